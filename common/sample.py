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
    """

    image: torch.Tensor
    visible: torch.Tensor
    full: torch.Tensor
    valid: torch.Tensor
    id: str
