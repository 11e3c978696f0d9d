"""From a record to files on disk: one aligned crop, its label map and its manifest row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import RecordError
from common.geometry import Affine, Fill, apply_to_image, apply_to_label, apply_to_points, compose, scaling
from common.image_io import read_image, write_image, write_label
from common.labels import FacePolicy, visible_mask
from common.manifest import Row, sha256
from configs.schema import AlignJob
from face_align.celebamask_hq import PhotoRecord, read_parts
from face_align.crop import Method, photo_to_crop, residual_px
from face_align.landmarks import check_frame, five_points, read_landmarks


@dataclass(frozen=True)
class Aligner:
    """Writes the crop and the label map of a record and returns its manifest row. Picklable.

    Attributes:
        root: raw data set; paths in the manifest are relative to it.
        output: folder to write into.
        size: side of the crop in pixels.
        image_format: "jpg" or "png".
    """

    root: Path
    output: Path
    method: Method
    template: str
    size: int
    fill: Fill
    image_format: str
    policy: FacePolicy

    def __call__(self, record: PhotoRecord) -> Row:
        """Return the manifest row of `record` after writing its files.

        Raises:
            RecordError: photo, label or landmarks cannot be used.
        """
        photo = read_image(record.image)
        landmarks = read_landmarks(record.landmarks)
        check_frame(record.landmarks, landmarks, photo.shape[:2])
        points = five_points(landmarks)
        try:
            matrix = photo_to_crop(
                points, photo_size=photo.shape[:2], method=self.method, size=self.size, template=self.template
            )
        except ValueError as error:
            raise RecordError(f"{record.landmarks}: {error}", outcome="bad_landmarks") from error
        label = read_parts(record)
        _check_label_shape(record, photo.shape[:2], label.shape[:2])
        label_to_crop = compose(matrix, scaling(label.shape[:2], photo.shape[:2]))
        crop_size = (self.size, self.size)
        label_crop = apply_to_label(label_to_crop, label, size=crop_size)
        files = {"image": f"images/{record.id}.{self.image_format}", "label": f"labels/{record.id}.png"}
        write_image(self.output / files["image"], apply_to_image(matrix, photo, size=crop_size, fill=self.fill))
        write_label(self.output / files["label"], label_crop)
        return {
            "id": record.id,
            "outcome": "ok",
            "split": record.split,
            "subject": record.subject,
            "source": _relative(record.image, self.root),
            "crop": {"method": self.method, "template": self.template},
            "photo_size": list(photo.shape[:2]),
            "files": files,
            "sha256": {name: sha256(self.output / path) for name, path in files.items()},
            "photo_to_crop": _rounded(matrix),
            "landmarks": _rounded(apply_to_points(matrix, landmarks), digits=3),
            "residual_px": round(residual_px(matrix, points, self.size), 3),
            "detector": "file",
            "face_share": round(float(visible_mask(label_crop, self.policy).mean()), 4),
        }


def build_aligner(job: AlignJob) -> Aligner:
    """Return the aligner that the configuration describes."""
    return Aligner(
        root=job.data.root,
        output=job.output,
        method=job.align.method,
        template=job.align.template,
        size=job.align.size,
        fill=job.align.fill,
        image_format=job.image_format,
        policy=job.face.policy(),
    )


def _check_label_shape(record: PhotoRecord, photo_size: tuple[int, int], label_size: tuple[int, int]) -> None:
    """Refuse labels that are no plain scaling of the photo, up to a pixel of rounding."""
    ratio_y, ratio_x = label_size[0] / photo_size[0], label_size[1] / photo_size[1]
    if abs(ratio_y * photo_size[1] - label_size[1]) > 1 and abs(ratio_x * photo_size[0] - label_size[0]) > 1:
        raise RecordError(
            f"{record.image}: photo is {photo_size} but its label is {label_size} (height, width), of another shape; "
            "they do not belong together",
            outcome="bad_label",
        )


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _rounded(values: Affine, *, digits: int = 9) -> list[list[float]]:
    return [[round(float(value), digits) for value in row] for row in np.asarray(values)]
