from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.in_order import in_order


@settings(max_examples=25, deadline=None)
@given(
    costs=st.lists(st.integers(0, 9), max_size=20),
    ahead=st.integers(1, 6),
    most=st.integers(1, 12),
    threads=st.integers(1, 4),
)
def test_order_and_limits(costs: list[int], ahead: int, most: int, threads: int) -> None:
    """Results come in order; what is submitted and not yet given out stays within both limits, or is one item."""
    lock, held, largest = threading.Lock(), [], [0, 0]

    def work(item: tuple[int, int]) -> tuple[int, int]:
        with lock:
            held.append(item)
            largest[0] = max(largest[0], len(held))
            largest[1] = max(largest[1], sum(cost for _, cost in held) if len(held) > 1 else 0)
        time.sleep(0.0005 * (item[0] % 3))
        return item

    items = list(enumerate(costs))
    with ThreadPoolExecutor(threads) as pool:
        results = in_order(pool, work, items, ahead=ahead, pixels=lambda item: item[1], most_pixels=most)
        given_out = []
        for result in results:
            with lock:
                held.remove(result)
            given_out.append(result)
    assert given_out == items
    assert largest[0] <= ahead
    assert largest[1] <= most


def test_stages_can_be_chained_and_run_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:

        def stage(items, function):
            return in_order(pool, function, items, ahead=4, pixels=lambda _: 1, most_pixels=100)

        def slow(value: int) -> int:
            time.sleep(0.01)
            return value + 1

        start_s = time.perf_counter()
        assert list(stage(stage(range(20), slow), slow)) == list(range(2, 22))
        assert time.perf_counter() - start_s < 0.3  # one after the other: 0.4 s; four at once: 0.1 s


def test_an_error_ends_all_without_taking_more() -> None:
    taken = []

    def items():
        for index in range(100):
            taken.append(index)
            yield index

    def fails(index: int) -> int:
        if index == 3:
            raise RuntimeError("broken")
        return index

    with ThreadPoolExecutor(2) as pool:
        results = in_order(pool, fails, items(), ahead=4, pixels=lambda _: 1, most_pixels=100)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(RuntimeError, match="broken"):
            next(results)
    assert len(taken) < 12
