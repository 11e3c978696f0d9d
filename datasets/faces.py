"""The training set: records to samples, occluded and augmented on the way, repeatable sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from common.geometry import scaling
from common.labels import (
    OCCLUDER_PARTS,
    PART_ID,
    UNKNOWN_PART,
    FacePolicy,
    full_mask,
    known_mask,
    still_visible_mask,
)
from common.lockstep import Steps, alone, in_step
from common.sample import Sample
from common.seeding import generator
from datasets.augment import Augmenter, warp
from datasets.prepared import FaceRecord
from datasets.scenes import Scenes

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Key = tuple[int, int]

# What the classes of a label map are to a parser: 18 parts, background, and worn masks; other occluders are background.
PARSED = np.arange(256, dtype=np.uint8)
IN_STEP_PX = 32 * 256**2  # of samples that are made in step; the caches hold no more
MOST_REMEMBERED = 20_000  # faces of which measurements are kept, about a kilobyte each
EVERYWHERE = torch.ones(1, dtype=torch.bool)
FIRST_UNSEEN, LAST_UNSEEN = PART_ID[OCCLUDER_PARTS[0]], PART_ID[UNKNOWN_PART]  # occluders and what is unknown
PARSED[[PART_ID["hand"], PART_ID["object"], PART_ID["shape"]]] = PART_ID["background"]
PARSED[PART_ID[UNKNOWN_PART]] = 255


class Occluded(Protocol):
    """What this room needs to know of a synthetic sample."""

    @property
    def image(self) -> Image8: ...  # noqa: D102
    @property
    def label(self) -> Image8: ...  # noqa: D102
    @property
    def parts(self) -> Image8: ...  # noqa: D102
    @property
    def visible(self) -> Image8: ...  # noqa: D102
    @property
    def full(self) -> Mask: ...  # noqa: D102
    @property
    def full_known(self) -> bool: ...  # noqa: D102


class Synthesise(Protocol):
    """Puts an occluder on a face; see `occlusion_gen.synthesiser.Synthesiser`."""

    def steps(  # noqa: D102
        self,
        rng: np.random.Generator,
        *,
        image: Image8,
        label: Image8,
        landmarks: Points | None = None,
        memory: dict[str, Any] | None = None,
    ) -> Steps[Occluded]: ...


class FaceOcclusionDataset(Dataset[Sample]):
    """Samples by (epoch, index); equal seeds and keys give equal bytes in any worker, rank and order.

    Args:
        records: the faces.
        size: side S of the samples in pixels.
        policy: what counts as face.
        seed: of the run.
        stream: keeps training and validation draws apart, see `common.seeding`.
        synthesise: puts occluders on records that ask for it; None leaves all as they are.
        augment: random changes; None only resizes.
        scenes: makes faces small and puts them elsewhere; None leaves them where they are.
        parts: whether samples carry class ids after occlusion. A worn mask keeps its id 19; hands, objects and shapes
            become background (`PARSED`), as sets for face parsing label them.
    """

    def __init__(
        self,
        records: Sequence[FaceRecord],
        *,
        size: int,
        policy: FacePolicy,
        seed: int,
        stream: int,
        synthesise: Synthesise | None = None,
        augment: Augmenter | None = None,
        scenes: Scenes | None = None,
        parts: bool = False,
    ) -> None:
        self.records = records
        self.size = size
        self.policy = policy
        self.seed = seed
        self.stream = stream
        self.synthesise = synthesise
        self.augment = augment
        self.scenes = scenes
        self.parts = parts
        self._memories: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: Key) -> Sample:
        """Return the sample of (epoch, index).

        Raises:
            RecordError: a file is damaged; training stops rather than go on without it.
        """
        return alone(self._steps(key))

    def __getitems__(self, keys: Sequence[Key]) -> list[Sample]:
        """Return the samples of a batch, for which a loader asks at once; the same bytes as one by one, in less time.

        Raises:
            RecordError: as `__getitem__`.
        """
        groups = (keys[start : start + self._together] for start in range(0, len(keys), self._together))
        return [sample for group in groups for sample in in_step(self._steps(key) for key in group)]

    @cached_property
    def _together(self) -> int:
        """How many samples are made in step."""
        return max(1, IN_STEP_PX // max(self.size, self.records[0].side_px()) ** 2)

    def _steps(self, key: Key) -> Steps[Sample]:
        epoch, index = key
        record = self.records[index]
        rng = generator(self.seed, self.stream, epoch, index)
        image, masks = yield from self._load(record, rng)
        yield
        if self.scenes is not None:
            known = slice(2, masks.shape[2] - int(self.parts))
            image, masks = self.scenes(rng, image=image, masks=masks, known=known)
        if self.augment is not None:
            channel = masks.shape[2] - 1 if self.parts else None
            image, masks = yield from self.augment.steps(
                rng, image=image, masks=masks, size=self.size, parts_channel=channel
            )
        else:
            image, masks = _resize(image, masks, self.size)
        yield
        planes = _planes(masks)
        planes, ids = (planes[:-1], planes[-1]) if self.parts else (planes, None)
        return Sample(
            image=torch.from_numpy(_planes(image)),
            visible=torch.from_numpy(planes[:1]),
            full=torch.from_numpy(planes[1:2]),
            valid=_valid(planes),
            id=record.id,
            parts=None if ids is None else torch.from_numpy(PARSED[ids][None]),
        )

    def _load(self, record: FaceRecord, rng: np.random.Generator) -> Steps[tuple[Image8, Image8]]:
        """Return image (H, W, 3) and masks (H, W, C): those of `_stack`, and last the class ids if they are wanted."""
        image, label, parts, hidden = record.read()
        yield
        if record.occlude and self.synthesise is not None:
            occluded = yield from self.synthesise.steps(
                rng, image=image, label=label, landmarks=record.points, memory=self._memory_of(record)
            )
            yield
            known = known_mask(occluded.label, occluded.parts, self.policy)
            masks = _stack(
                occluded.visible, occluded.full, known, _full_known(occluded.parts, face_known=occluded.full_known)
            )
            image, label = occluded.image, occluded.label
        else:
            before = label if parts is None else parts
            visible = still_visible_mask(label, before, self.policy).astype(np.uint8) * np.uint8(255)
            if hidden is not None:
                visible = cv2.min(visible, 255 - hidden)
            known = known_mask(label, before, self.policy)
            masks = _stack(
                visible, full_mask(before, self.policy), known, _full_known(before, face_known=record.full_known)
            )
        return image, np.dstack([masks, label]) if self.parts else masks

    def _memory_of(self, record: FaceRecord) -> dict[str, Any] | None:
        """Return what this process measured on the face in earlier epochs; None where too many are remembered."""
        if record.id not in self._memories and len(self._memories) >= MOST_REMEMBERED:
            return None
        return self._memories.setdefault(record.id, {})


def _full_known(before: Image8, *, face_known: bool) -> Mask | None:
    """Return where it is known whether the face would be there without its occluder, (H, W) bool; None: everywhere.

    Nobody knows what lies behind an occluder that was in the photo from the start.

    Args:
        before: (H, W) uint8 class ids before anything was put on.
        face_known: False where nothing is known of the whole face.
    """
    if not face_known:
        return np.zeros(before.shape, np.bool_)
    real = cv2.inRange(before, FIRST_UNSEEN, LAST_UNSEEN)
    return real == 0 if cv2.countNonZero(real) else None


def _stack(visible: Image8, full: Mask, known: Mask | None, full_known: Mask | None) -> Image8:
    """Return masks (H, W, C) uint8 0..255: visible, full and, only where something is unknown, known of each."""
    layers = [visible, full.view(np.uint8) * np.uint8(255)]
    if known is not None or full_known is not None:
        whole = np.ones(full.shape, np.bool_)
        layers += [(whole if mask is None else mask).view(np.uint8) * np.uint8(255) for mask in (known, full_known)]
    return cv2.merge(layers)


def _planes(image: Image8) -> Image8:
    """Return the channels of `image` (H, W, C) as (C, H, W); four times as fast as a transposed copy."""
    planes = np.empty((image.shape[2], *image.shape[:2]), np.uint8)
    cv2.split(image, list(planes))
    return planes


def _valid(planes: Image8) -> torch.Tensor:
    """Return where visible and full are known, (2, S, S) bool, from the planes of `_stack` (C, S, S)."""
    if len(planes) == 2:
        return EVERYWHERE.expand(planes.shape)
    return torch.from_numpy(planes[2:] > 127)


def _resize(image: Image8, masks: NDArray[np.uint8], size: int) -> tuple[Image8, NDArray[np.uint8]]:
    if image.shape[:2] == (size, size):
        return image, masks
    return warp(scaling(image.shape[:2], (size, size)), image=image, masks=masks, size=size)
