"""From a record to files on disk: one aligned crop, its label map and its manifest row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.cut_options import CutOptions
from common.errors import RecordError
from common.geometry import Affine, Fill, apply_to_label, apply_to_points, compose, scaling
from common.image_io import write_image, write_label
from common.labels import FacePolicy, visible_mask
from common.manifest import Row
from configs.schema import AlignJob
from face_align.celebamask_hq import PhotoRecord
from face_align.crop import Method, photo_to_crop, residual_px
from face_align.landmark_formats import LandmarkRecord, LandmarkSource, read_landmark_file
from face_align.landmarks import check_frame, five_points
from face_align.locate import FaceChoice, choose_faces
from face_align.photo_folders import PhotoFace
from face_align.record_files import RecordFiles
from face_align.sources import AlignRecord, box_of, build_landmarks, landmarks_of, to_photo
from face_align.sunglasses import mark_sunglasses


@dataclass(frozen=True)
class Aligner:
    """Writes the crop and the label map of a record and returns its manifest row. Picklable.

    Attributes:
        root: raw data set; paths in the manifest are relative to it.
        output: folder to write into.
        size: side of the crop in pixels.
        image_format: "jpg" or "png".
        landmarks: of all photos; None: each record names its own file.
        faces: which face, where a photo has landmarks of several.
        box_scale: see `face_align.crop.photo_to_crop`, as the legacy switches.
        photos_cut_by: template of `similarity5` that whole photos were cut by before they came here.
        mark_sunglasses: whether dark glasses become class `object`.
    """

    root: Path
    output: Path
    method: Method
    template: str
    size: int
    fill: Fill
    image_format: str
    policy: FacePolicy
    landmarks: LandmarkSource | None = None
    faces: FaceChoice = "largest"
    box_scale: float = 1.3
    legacy_offsets: bool = False
    legacy_clip: bool = False
    photos_cut_by: str | None = None
    mark_sunglasses: bool = False

    def __call__(self, record: AlignRecord) -> Row:
        """Return the manifest row of `record` after writing its files.

        Raises:
            RecordError: photo, label or landmarks cannot be used.
        """
        if isinstance(record, PhotoRecord) and record.fault is not None:
            raise RecordError(f"{record.image}: {record.fault}; faults: keep takes it in", outcome="known_fault")
        source = RecordFiles(record)
        size = source.photo_size
        faces = self._all_landmarks(record)
        found = None if self.method == "none" else self._landmarks(record, faces, size)
        matrix = self._photo_to_crop(record, found, size)
        label = source.label_map()
        crop = source.crop(matrix, size=self.size, fill=self.fill)
        files = {"image": f"images/{record.id}.{self.image_format}"}
        digests: dict[str, str] = {}
        share: dict[str, float] = {}
        if label is not None:
            label_crop = self._label_crop(record, matrix, label, size)
            if self.mark_sunglasses:
                label_crop = mark_sunglasses(crop, label_crop)
            files["label"] = f"labels/{record.id}.png"
            visible = visible_mask(label_crop, self.policy)
            share["face_share"] = round(np.count_nonzero(visible) / visible.size, 4)
            digests["label"] = write_label(self.output / files["label"], label_crop)
        digests["image"] = write_image(self.output / files["image"], crop)
        return {
            "id": record.id,
            "outcome": "ok",
            "split": record.split,
            "subject": record.subject,
            "source": _relative(record.image, self.root),
            "source_sha256": source.digest(faces),
            "crop": self._crop(),
            "photo_size": list(size),
            "files": files,
            "sha256": {name: digests[name] for name in files},
            "photo_to_crop": _rounded(matrix),
            **({} if found is None else self._landmark_columns(found, matrix)),
            **share,
        }

    def _crop(self) -> dict[str, object]:
        """Return how the crop was cut, here or before."""
        if self.photos_cut_by is not None:
            return {"method": "similarity5", "template": self.photos_cut_by}
        options = CutOptions(self.box_scale, self.legacy_offsets, self.legacy_clip)
        return {"method": self.method, "template": self.template, **options.of_method(self.method).changed()}

    def _photo_to_crop(self, record: AlignRecord, found: LandmarkRecord | None, size: tuple[int, int]) -> Affine:
        try:
            return photo_to_crop(
                None if found is None else five_points(found.points, found.scheme),
                photo_size=size,
                method=self.method,
                size=self.size,
                template=self.template,
                landmarks=None if found is None or found.scheme == "five" else found.points,
                box=None if found is None else found.box,
                box_scale=self.box_scale,
                legacy_offsets=self.legacy_offsets,
                legacy_clip=self.legacy_clip,
            )
        except ValueError as error:
            raise RecordError(f"{record.image}: landmarks: {error}", outcome="bad_landmarks") from error

    def _landmark_columns(self, found: LandmarkRecord, matrix: Affine) -> Row:
        aim = {"pos3d": "faceocc256", "similarity5": self.template}.get(self.method)
        return {
            "landmarks": _rounded(apply_to_points(matrix, found.points), digits=3),
            "scheme": found.scheme,
            "residual_px": round(residual_px(matrix, five_points(found.points, found.scheme), self.size, aim), 3),
            "detector": found.detector,
        }

    def source_digest(self, record: AlignRecord) -> str:
        """Return the SHA-256 of all that the crop is made from: photo, labels and landmarks.

        What cannot be read has a digest, too, which no row of an earlier run holds.
        """
        try:
            return RecordFiles(record).digest(self._all_landmarks(record))
        except RecordError as error:
            return hashlib.sha256(str(error).encode(errors="replace")).hexdigest()

    def _all_landmarks(self, record: AlignRecord) -> Sequence[LandmarkRecord]:
        if self.method == "none":
            return []
        if isinstance(record, PhotoRecord):
            if self.landmarks is not None:
                return self.landmarks.get(record.id)
            return read_landmark_file(record.landmarks, record.id)
        assert self.landmarks is not None  # see `build_aligner`
        return landmarks_of(self.landmarks, record.photo_id)

    def _landmarks(
        self, record: AlignRecord, found: Sequence[LandmarkRecord], photo_size: tuple[int, int]
    ) -> LandmarkRecord:
        """Return the landmarks of the record's face in pixels of the photo."""
        faces = [to_photo(face, photo_size, record.image) for face in found]
        number = record.face if isinstance(record, PhotoFace) else None
        if number is None:
            boxes = [box_of(face) for face in faces]
            (number, *_) = choose_faces(boxes, choice=self.faces, photo_size=photo_size)
        face = faces[number]
        centred = isinstance(record, PhotoRecord)
        check_frame(record.image, face.points, photo_size, centred=centred)
        return face

    def _label_crop(
        self, record: AlignRecord, matrix: Affine, label: NDArray[np.uint8], photo_size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        label_size = (label.shape[0], label.shape[1])
        _check_label_shape(record, photo_size, label_size)
        label_to_crop = compose(matrix, scaling(label_size, photo_size))
        return apply_to_label(label_to_crop, label, size=(self.size, self.size))


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
        landmarks=build_landmarks(job),
        faces=job.source.faces,
        box_scale=job.align.box_scale,
        legacy_offsets=job.align.legacy_offsets,
        legacy_clip=job.align.legacy_clip,
        photos_cut_by=job.align.photos_cut_by,
        mark_sunglasses=job.align.mark_sunglasses,
    )


def _check_label_shape(record: AlignRecord, photo_size: tuple[int, int], label_size: tuple[int, int]) -> None:
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
    rounded: list[list[float]] = np.round(np.asarray(values, np.float64), digits).tolist()
    return rounded
