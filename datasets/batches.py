"""From samples to batches: their order, which a run can go on with anywhere, and the loader's processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from common.engines import prepare_process
from common.sample import Sample
from common.seeding import ORDER_STREAM, generator
from datasets.faces import Key


class ImageStream(Sampler[Key]):
    """Keys (epoch, index) of an endless stream of images, a pure function of how many were seen.

    Every epoch visits each record once, in an order drawn from (seed, epoch). Rank r of R takes the positions
    k with k mod R = r, so that a global batch is the same set of images for any number of ranks.

    Args:
        length: number of records.
        start: images already seen, over all ranks.
        stop: images seen at the end.
    """

    def __init__(self, length: int, *, seed: int, start: int, stop: int, rank: int = 0, ranks: int = 1) -> None:
        self.length = length
        self.seed = seed
        self.start = start
        self.stop = stop
        self.rank = rank
        self.ranks = ranks

    def __len__(self) -> int:
        return len(range(self.start + self.rank, self.stop, self.ranks))

    def __iter__(self) -> Iterator[Key]:
        order_epoch, order = -1, np.empty(0, dtype=np.int64)
        for position in range(self.start + self.rank, self.stop, self.ranks):
            epoch, place = divmod(position, self.length)
            if epoch != order_epoch:
                order_epoch, order = epoch, generator(self.seed, ORDER_STREAM, epoch).permutation(self.length)
            yield epoch, int(order[place])


def fixed_keys(length: int) -> list[Key]:
    """Return the keys of a validation pass: every record once, in order, always the same draw."""
    return [(0, index) for index in range(length)]


def start_worker(_: int) -> None:
    """Set up a loader process, on one core; pass as `worker_init_fn`."""
    prepare_process()  # one that was not forked has nothing of its parent's setting
    torch.set_num_threads(1)


def collate(samples: Sequence[Sample]) -> Sample:
    """Return a batch: tensors stacked along a leading axis N, ids joined by newlines."""
    parts = [sample.parts for sample in samples if sample.parts is not None]
    return Sample(
        image=torch.stack([sample.image for sample in samples]),  # (N, 3, S, S)
        visible=torch.stack([sample.visible for sample in samples]),  # (N, 1, S, S)
        full=torch.stack([sample.full for sample in samples]),  # (N, 1, S, S)
        valid=torch.stack([sample.valid for sample in samples]),  # (N, 2, S, S)
        id="\n".join(sample.id for sample in samples),
        parts=torch.stack(parts) if parts else None,  # (N, 1, S, S)
    )
