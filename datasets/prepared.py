"""Reader of prepared folders: the manifest of `python -m face_align` or `python -m occlusion_gen`.

FOLDER/manifest.jsonl
FOLDER/images/{id}.jpg   FOLDER/labels/{id}.png   [FOLDER/parts/{id}.png   FOLDER/hidden/{id}.png]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.manifest import FILE_NAME, Row, read_samples, sha256
from configs.schema import PreparedSet


@dataclass(frozen=True)
class Crop:
    """How the crops of a set were cut: a network must see the same at prediction time."""

    method: str
    template: str


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


def build_face_set(sections: dict[str, PreparedSet]) -> FaceSet:
    """Return the samples of all prepared sets together.

    Raises:
        UserError: a manifest cannot be read, files are missing, or the sets were cut in different ways.
    """
    records: list[FaceRecord] = []
    crops: dict[str, Crop] = {}
    manifests: dict[str, str] = {}
    for name, section in sections.items():
        rows = read_samples(section.prepared, split=section.split)[: section.limit]
        crops[name] = Crop(**rows[0]["crop"])
        manifests[str(section.prepared / FILE_NAME)] = sha256(section.prepared / FILE_NAME)
        for row in rows:
            files = {key: section.prepared / path for key, path in row["files"].items()}
            record = FaceRecord(
                id=f"{name}/{row['id']}",
                image=files["image"],
                label=files["label"],
                parts=files.get("parts"),
                hidden=files.get("hidden"),
                occlude=section.occlude,
                subject=str(row["subject"]),
                landmarks=_landmarks(row),
                full_known=bool(row.get("full_known", True)),
            )
            records.append(record)
    missing = [str(path) for record in records for path in (record.image, record.label) if not path.exists()]
    if missing:
        raise UserError(
            f"{len(missing)} files named by a manifest are missing, e.g. {missing[:3]}; run the command that prepared "
            "the folder again: it makes what is missing"
        )
    if len(set(crops.values())) > 1:
        raise UserError(f"the sets were cut in different ways and cannot be mixed: {crops}; align them alike")
    return FaceSet(records, next(iter(crops.values())), manifests)


def _landmarks(row: Row) -> tuple[tuple[float, float], ...] | None:
    points = row.get("landmarks") if row.get("scheme") == "ibug68" else None
    return None if points is None else tuple((float(x), float(y)) for x, y in points)
