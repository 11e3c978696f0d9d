"""A stage of a pipeline: work done by several threads at once, results in the order of the input, memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int,
    pixels: Callable[[Item], int],
    most_pixels: int,
) -> Generator[Result, None, None]:
    """Yield `function(item)` for each item, in order, while the executor works on those that follow.

    Items are taken only when there is room, so that stages can be chained and none runs away from the next.

    Args:
        executor: does the work.
        function: of one item.
        items: taken in this thread.
        ahead: how many items may be waiting or worked on.
        pixels: what an item costs.
        most_pixels: how many pixels may be waiting or worked on; a single larger item goes alone.
    """
    source = ((item, pixels(item)) for item in items)
    waiting: deque[tuple[Future[Result], int]] = deque()
    following = next(source, None)
    used = 0
    try:
        while waiting or following is not None:
            while following is not None and len(waiting) < ahead:
                item, cost = following
                if waiting and used + cost > most_pixels:
                    break
                waiting.append((executor.submit(function, item), cost))
                used += cost
                following = next(source, None)
            future, cost = waiting.popleft()
            used -= cost
            yield future.result()
    finally:
        for future, _ in waiting:
            future.cancel()
