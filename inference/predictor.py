"""One object for other people's code: a photo in, masks of its faces at the photo's own size out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.engines import default_processes
from face_align.locate import Locator
from inference.faces import PhotoMasks, Refiner, merge_faces, read_faces
from inference.locators import build_finder
from inference.open_model import default_weights, open_model
from inference.photo_masks import Image8
from models.predictor import CropModel


class Predictor:
    """Finds the faces of a photo and tells where they can be seen.

    Example:
        >>> from inference import Predictor
        >>> predictor = Predictor.from_file()
        >>> masks = predictor(photo)  # (H, W, 3) uint8 RGB
        >>> masks.visible  # (H, W) bool
        >>> masks.faces[0].coverage["eyes"]  # share of the eyes that is hidden, 0..1

    Args:
        model: answers on crops.
        locate: finds the faces of a photo.
        refiner: brings answers to the photo, see `inference.faces.describe_faces`.

    One object belongs to one thread, since detectors keep state; make one for each.
    """

    def __init__(self, model: CropModel, locate: Locator, *, refiner: Refiner | None = None) -> None:
        self.model = model
        self._locate = locate
        self._refiner = refiner

    @classmethod
    def from_file(
        cls,
        path: str | Path | None = None,
        *,
        detector: str = "auto",
        aligned: bool = False,
        max_faces: int | None = None,
        min_size_px: float = 0.0,
        runtime: str = "auto",
        device: str = "auto",
        threads: int | None = None,
        flip: bool = False,
        multi_scale: bool = False,
        refine: tuple[str, ...] = (),
    ) -> Predictor:
        """Return the predictor of a weights file.

        Args:
            path: .safetensors or .onnx; None: the weights that lie in the repository.
            detector: auto, yunet, self or mediapipe, see `inference.locators`.
            aligned: photos are face crops already; nothing is searched.
            max_faces: keep so many of the largest; None keeps all.
            min_size_px: leave out faces whose box is narrower or lower.
            runtime: auto (told by the file), torch or onnx.
            device: auto, cpu, cuda or cuda:1.
            threads: cores that the network uses on a CPU; None: all.
            flip: mean with the mirrored face.
            multi_scale: mean over three scales.
            refine: of "sliding" and "edges", see `inference.open_model.open_model`.

        Raises:
            UserError: a file, a package or the device cannot be used.
        """
        opened = open_model(
            default_weights() if path is None else Path(path),
            runtime=runtime,
            device=device,
            threads=threads or default_processes(),
            flip=flip,
            multi_scale=multi_scale,
            refine=refine,
        )
        finder = build_finder(
            opened.model, detector=detector, aligned=aligned, max_faces=max_faces, min_size_px=min_size_px
        )
        return cls(opened.model, finder.new_locator(), refiner=opened.refiner)

    def __call__(self, photo: Image8, *, name: str = "photo") -> PhotoMasks:
        """Return the masks of a photo: all False where no face was found.

        Args:
            photo: (H, W, 3) uint8 RGB.
            name: of the photo, for landmarks that are looked up by it.

        Raises:
            ValueError: another shape or type.
        """
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
            raise ValueError(f"expected a photo (H, W, 3) uint8 RGB, found {photo.shape} {photo.dtype}")
        faces = read_faces(self.model, photo, self._locate(photo, name), refiner=self._refiner)
        size = (photo.shape[0], photo.shape[1])
        return merge_faces(faces, size, outputs=self.model.outputs, threshold=self.model.threshold)
