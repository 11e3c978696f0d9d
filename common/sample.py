"""What a data set hands to a model: the contract in memory."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Sample(NamedTuple):
    """One face, or a batch of them with a leading axis N.

    Attributes:
        image: (3, S, S) uint8 RGB; the device normalises.
        visible: (1, S, S) uint8, share of each pixel that is visible face: 255 all, 0 nothing; between the two only
            where labels are soft (translucent occluders, edges).
        full: (1, S, S) uint8, the same for the face as if nothing stood in front of it.
        valid: (2, S, S) bool, where `visible` (channel 0) and `full` (channel 1) are known. Loss and scores leave the
            rest out: borders that definitions disagree on, and `full` of real photos, where nobody knows it.
        id: name of the sample in its manifest.
        parts: (1, S, S) uint8 class ids of `common.labels.PART_NAMES` after occlusion, 255 where unknown; None where no
            network of parts is trained.
    """

    image: torch.Tensor
    visible: torch.Tensor
    full: torch.Tensor
    valid: torch.Tensor
    id: str
    parts: torch.Tensor | None = None
