"""Cut-outs that know where they lay in their file: of files that are as large as an aligned face."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from common.geometry import Affine, compose, scaling
from common.image_io import read_mask, read_rgba
from occlusion_gen.face import Box, Image8, bounding_box
from occlusion_gen.occluders.library import OccluderLibrary
from occlusion_gen.occluders.rgba import OPAQUE


class Canvas(NamedTuple):
    """Where a cut-out lies in its file.

    Attributes:
        size: (height, width) of the file.
        box: of the cut-out in it.
    """

    size: tuple[int, int]
    box: Box

    def to_crop(self, cutout_size: tuple[int, int], crop_size: tuple[int, int]) -> Affine:
        """Return the transform from pixels of the cut-out, as the library keeps it, to a crop that the file fills."""
        to_box = scaling(cutout_size, (self.box.height, self.box.width))
        shifted = to_box + np.array([[0.0, 0.0, self.box.x], [0.0, 0.0, self.box.y]])
        return compose(scaling(self.size, crop_size), shifted)


@dataclass
class CanvasLibrary:
    """Occluders by index with their places; pixels are kept by `cutouts`, here only a few numbers a file."""

    cutouts: OccluderLibrary
    _places: dict[int, Canvas] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.cutouts)

    def name(self, index: int) -> str:
        """Return the file name of an occluder, for manifests."""
        return self.cutouts.name(index)

    def __getitem__(self, index: int) -> Image8:
        """Return occluder `index`, as `OccluderLibrary` gives it."""
        return self.cutouts[index]

    def place(self, index: int) -> Canvas:
        """Return where occluder `index` lies in its file.

        Raises:
            UserError: the file is unreadable.
        """
        if index not in self._places:
            image, mask = self.cutouts.files[index]
            opaque = read_rgba(image)[..., 3] > OPAQUE if mask is None else read_mask(mask)
            box = bounding_box(opaque)
            assert box is not None  # reading the cut-out refuses an empty file
            self._places[index] = Canvas((opaque.shape[0], opaque.shape[1]), box)
        return self._places[index]
