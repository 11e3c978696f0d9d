from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from datasets.batches import ImageStream

lengths, seeds = st.integers(1, 30), st.integers(0, 10**6)


@given(lengths, seeds, st.integers(1, 4))
def test_every_epoch_visits_each_record_once(length: int, seed: int, epochs: int) -> None:
    keys = list(ImageStream(length, seed=seed, start=0, stop=length * epochs))
    for epoch in range(epochs):
        part = keys[epoch * length : (epoch + 1) * length]
        assert {key[0] for key in part} == {epoch}
        assert sorted(key[1] for key in part) == list(range(length))


@given(lengths, seeds, st.integers(0, 70), st.integers(0, 70))
def test_a_later_start_is_the_tail_of_the_whole_stream(length: int, seed: int, start: int, more: int) -> None:
    whole = list(ImageStream(length, seed=seed, start=0, stop=start + more))
    tail = ImageStream(length, seed=seed, start=start, stop=start + more)
    assert list(tail) == whole[start:]
    assert len(tail) == more


@given(lengths, seeds, st.integers(1, 5), st.integers(0, 6), st.integers(1, 4))
def test_ranks_share_the_global_batches(length: int, seed: int, ranks: int, start: int, batch: int) -> None:
    stop = (start + 3 * batch) * ranks
    streams = [
        list(ImageStream(length, seed=seed, start=start * ranks, stop=stop, rank=rank, ranks=ranks))
        for rank in range(ranks)
    ]
    whole = list(ImageStream(length, seed=seed, start=start * ranks, stop=stop))
    assert {len(stream) for stream in streams} == {3 * batch}
    for step in range(3):
        together = [key for stream in streams for key in stream[step * batch : (step + 1) * batch]]
        assert Counter(together) == Counter(whole[step * batch * ranks : (step + 1) * batch * ranks])


def test_orders_differ_between_epochs_and_seeds() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [index for _, index in ImageStream(40, seed=seed, start=40 * epoch, stop=40 * (epoch + 1))]

    assert len({tuple(order(*key)) for key in ((0, 0), (0, 1), (1, 0), (1, 1))}) == 4
