"""Reader of prepared folders: the manifest of `python -m face_align` or `python -m occlusion_gen`.

FOLDER/manifest.jsonl
FOLDER/images/{id}.jpg   FOLDER/labels/{id}.png   [FOLDER/parts/{id}.png   FOLDER/hidden/{id}.png]

or the same packed into arrays by `python -m datasets pack`, see `datasets.packed`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.cut_options import USUAL, CutOptions
from common.errors import RecordError, UserError
from common.image_io import FileContent, image_size, read_image, read_label
from common.labels import PART_NAMES
from common.manifest import FILE_NAME, ManifestError, Row, read_checked, read_samples, sha256
from configs.schema import PreparedSet
from datasets.packed import ARRAY_NAMES, Packed, is_packed, open_packed

Image8 = NDArray[np.uint8]
TEST_SPLIT = "test"


@dataclass(frozen=True)
class Crop:
    """How the crops of a set were cut: a network must see the same at prediction time."""

    method: str
    template: str
    options: CutOptions = USUAL

    @classmethod
    def of_row(cls, crop: Mapping[str, Any]) -> Crop:
        """Return what a row of a manifest says under `crop`."""
        options = {key: value for key, value in crop.items() if key not in ("method", "template")}
        return cls(crop["method"], crop["template"], CutOptions(**options))


class Stored(NamedTuple):
    """What is stored of a face.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids.
        parts: (H, W) uint8 class ids before occlusion; None where nothing was put on.
        hidden: (H, W) uint8, hidden share of each pixel; None without soft labels.
    """

    image: Image8
    label: Image8
    parts: Image8 | None
    hidden: Image8 | None


@dataclass(frozen=True)
class FaceRecord:
    """One crop with its label map.

    Attributes:
        id: set name and id, unique over all sets of a run.
        image: path of the crop.
        label: path of its label map.
        parts: path of the label map before occlusion, None where nothing was put on.
        hidden: path of the hidden share of each pixel, where translucent occluders have soft labels.
        occlude: whether an occluder shall be put on while loading.
        subject: person or photo, for checks of splits.
        full_known: whether it is known what the face would be without its occluder.
        landmarks: (68, 2) points of the crop as nested tuples, None where the manifest has none.
        sha256: of each file by its name in the manifest's `files`; content that has changed is refused.
        packed: arrays that hold the files' content at `row`, None where the files themselves are there.
        row: place in `packed`.
    """

    id: str
    image: Path
    label: Path
    parts: Path | None
    hidden: Path | None
    occlude: bool
    subject: str
    landmarks: tuple[tuple[float, float], ...] | None = None
    full_known: bool = True
    sha256: Mapping[str, str] = field(default_factory=dict, repr=False)
    packed: Packed | None = None
    row: int = 0

    def read(self) -> Stored:
        """Return image and label maps.

        Raises:
            RecordError: a file is damaged or has changed, the sizes differ, or there are ids that no part has.
        """
        stored = Stored(
            image=self._pixels("image", self.image, read_image),
            label=self._pixels("label", self.label, read_label),
            parts=None if self.parts is None else self._pixels("parts", self.parts, read_label),
            hidden=None if self.hidden is None else self._pixels("hidden", self.hidden, read_label),
        )
        _check_stored(stored, self)
        return stored

    def _pixels(self, kind: str, path: Path, read: Callable[[FileContent], Image8]) -> Image8:
        if self.packed is not None:
            return self.packed.read(ARRAY_NAMES[kind], self.row)
        return read(read_checked(path, self.sha256.get(kind)))

    @functools.cached_property
    def points(self) -> NDArray[np.float64] | None:
        """The landmarks as an array (68, 2), read-only."""
        if self.landmarks is None:
            return None
        points = np.array(self.landmarks)
        points.flags.writeable = False
        return points

    def side_px(self) -> int:
        """Return the longer side of the image."""
        return max(image_size(self.image) if self.packed is None else self.packed.size)


@dataclass(frozen=True)
class FaceSet:
    """The records of one or more prepared folders.

    Attributes:
        records: in the order of the manifests.
        crop: how all of them were cut.
        manifests: path of each manifest -> its SHA-256.
    """

    records: list[FaceRecord]
    crop: Crop
    manifests: dict[str, str]

    @property
    def side_px(self) -> int:
        """Longer side of the first image; all of a folder are alike."""
        return self.records[0].side_px()


def build_face_set(sections: dict[str, PreparedSet], *, judges: bool = False) -> FaceSet:
    """Return the samples of all prepared sets together.

    Args:
        judges: whether the set chooses a checkpoint, which no sample of a test split may.

    Raises:
        UserError: a manifest cannot be read, files are missing, the sets were cut in different ways, or a test set
            would judge.
    """
    records: list[FaceRecord] = []
    crops: dict[str, Crop] = {}
    manifests: dict[str, str] = {}
    for name, section in sections.items():
        rows = read_samples(section.prepared, split=section.split)[: section.limit]
        if judges:
            _check_judge(section.prepared, rows)
        manifests[str(section.prepared / FILE_NAME)] = sha256(section.prepared / FILE_NAME)
        packed = open_packed(section.prepared) if is_packed(section.prepared) else None
        try:
            crops[name] = Crop.of_row(rows[0]["crop"])
            records += [_record(name, section, row, packed) for row in rows]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ManifestError(
                f"{section.prepared / FILE_NAME}: a row lacks what `python -m face_align` writes, or holds something "
                f"else ({error!r}); run the command that prepared the folder again"
            ) from error
    files = [path for record in records if record.packed is None for path in (record.image, record.label)]
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise UserError(
            f"{len(missing)} files named by a manifest are missing, e.g. {missing[:3]}; run the command that prepared "
            "the folder again: it makes what is missing"
        )
    if len(set(crops.values())) > 1:
        raise UserError(f"the sets were cut in different ways and cannot be mixed: {crops}; align them alike")
    return FaceSet(records, next(iter(crops.values())), manifests)


def _record(name: str, section: PreparedSet, row: Row, packed: Packed | None) -> FaceRecord:
    files = {key: section.prepared / path for key, path in row["files"].items()}
    return FaceRecord(
        id=f"{name}/{row['id']}",
        image=files["image"],
        label=files["label"],
        parts=files.get("parts"),
        hidden=files.get("hidden"),
        occlude=section.occlude,
        subject=str(row["subject"]),
        landmarks=_landmarks(row),
        full_known=bool(row.get("full_known", True)),
        sha256=row.get("sha256", {}),
        packed=packed,
        row=0 if packed is None else packed.rows[row["id"]],
    )


def _check_judge(folder: Path, rows: list[Row]) -> None:
    tests = [row["id"] for row in rows if row.get("split") == TEST_SPLIT]
    if tests:
        raise UserError(
            f"{folder}: {len(tests)} of {len(rows)} samples for validation are of split {TEST_SPLIT!r}, e.g. "
            f"{tests[:3]}; a test set never chooses a checkpoint: set validation.set.split to another one"
        )


def _check_stored(stored: Stored, record: FaceRecord) -> None:
    if stored.image.shape[:2] != stored.label.shape:
        raise RecordError(
            f"{record.label}: label is {stored.label.shape} but its image is {stored.image.shape[:2]} (height, "
            "width); run the command that prepared the folder again",
            outcome="bad_label",
        )
    for path, label in ((record.label, stored.label), (record.parts, stored.parts)):
        largest = 0 if label is None else int(label.max(initial=0))
        if largest >= len(PART_NAMES):
            raise RecordError(
                f"{path}: holds the class id {largest}, known are 0 to {len(PART_NAMES) - 1}. "
                "A mask of 0 and 255 is no label map: run the command that prepared the folder again",
                outcome="bad_label",
            )


def _landmarks(row: Row) -> tuple[tuple[float, float], ...] | None:
    points = row.get("landmarks") if row.get("scheme") == "ibug68" else None
    return None if points is None else tuple((float(x), float(y)) for x, y in points)
