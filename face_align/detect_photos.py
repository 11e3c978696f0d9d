"""`python -m face_align detect INPUT OUT`: landmarks for photos.

    OUT/landmarks.jsonl      one line a face: id, image_size, scheme, points, detector, score
    OUT/manifest.jsonl       one line a photo: its faces, or the reason why there is none
    OUT/report.json          counts, failures, rate
    OUT/contact_sheet.jpg    faces spread over the run with their points

The id of a face is the path of its photo below INPUT, without suffix; with `--faces all`, "#0", "#1", ... follow,
the largest first. The same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.cli import add_processes, parser
from common.config import Section
from common.errors import RecordError, UserError, exit_on_user_error
from common.geometry import apply_to_image, apply_to_points, compose, scaling
from common.image_io import read_image, write_image
from common.jobs import JobReport, claim_folder, run_job, write_report
from common.manifest import Row, sha256
from common.photo_list import find_photos
from common.visualize import draw_landmarks, grid
from face_align.detect import Face, YuNetDetector, require_yunet
from face_align.landmark_formats import LandmarkRecord
from face_align.landmark_formats.jsonl import write_landmarks_jsonl
from face_align.locate import FaceChoice, choose_faces
from face_align.mediapipe import MESH_TO_IBUG68, PRESENCE_THRESHOLD, FaceMesh, require_runtime, require_task

LANDMARKS_NAME = "landmarks.jsonl"
SCHEMES = {"five": "yunet", "ibug68": "mediapipe", "mediapipe478": "mediapipe"}
SHEET_FACES, SHEET_COLUMNS, TILE_PX = 24, 6, 200
TILE_GROWTH = 1.8  # side of a tile / long side of the face's points

EXAMPLES = """  python -m face_align detect photos runs/landmarks
  python -m face_align detect 'photos/**/*.jpg' runs/landmarks --faces all --processes 4
  python -m face_align detect photos runs/landmarks --detector mediapipe --scheme ibug68"""


class DetectSettings(Section):
    """What decides the landmarks; a folder belongs to one of these."""

    input: str
    detector: str
    scheme: str
    faces: str
    min_score: float
    weights_sha256: dict[str, str]


class PhotoRecord(NamedTuple):
    """A photo to search: id without suffix, path, and its path below the input as `source`."""

    id: str
    path: Path
    source: str


@dataclass(frozen=True)
class FaceFinder:
    """Returns the manifest row of a photo with all chosen faces. Picklable; networks are opened once a process.

    Attributes:
        yunet: the detector's file.
        task: the mesh's file, None for YuNet's five points.
        scheme: of the points.
        faces: which of several.
        min_score: faces below this confidence of YuNet are dropped, 0..1.
    """

    yunet: Path
    task: Path | None
    scheme: str
    faces: FaceChoice
    min_score: float

    def __call__(self, record: PhotoRecord) -> Row:
        """Return the row of `record`.

        Raises:
            RecordError: the photo cannot be read, or shows no face (outcome "no_face").
        """
        photo = read_image(record.path)
        size = photo.shape[:2]
        faces = _detector(self.yunet, self.min_score).detect(photo)
        chosen = choose_faces([face.box for face in faces], choice=self.faces, photo_size=size)
        found = [landmarks for index in chosen if (landmarks := self._landmarks(photo, faces[index])) is not None]
        if not found:
            seen = "found a face, but no mesh in it" if faces else "no face found"
            raise RecordError(
                f"{record.path}: {seen} in {size[0]} x {size[1]} pixels (height x width); "
                "if there is one, try --min-score 0.3, --detector yunet, or a larger copy",
                outcome="no_face",
            )
        return {
            "id": record.id,
            "outcome": "ok",
            "source": record.source,
            "source_sha256": sha256(record.path),
            "photo_size": list(size),
            "faces_seen": len(faces),
            "faces": found,
            "files": {},
            "sha256": {},
        }

    def _landmarks(self, photo: NDArray[np.uint8], face: Face) -> dict[str, Any] | None:
        points, score = face.points, face.score
        if self.task is not None:
            mesh = _mesh(self.task).find(photo, face)
            if mesh.score < PRESENCE_THRESHOLD:
                return None
            points, score = mesh.points, mesh.score
            points = points[list(MESH_TO_IBUG68)] if self.scheme == "ibug68" else points
        return {
            "points": points.round(3).tolist(),
            "score": round(score, 4),
            "box": [round(float(value), 2) for value in face.box],
        }


@functools.cache
def _detector(path: Path, min_score: float) -> YuNetDetector:
    return YuNetDetector(path, score_threshold=min_score)


@functools.cache
def _mesh(path: Path) -> FaceMesh:
    return FaceMesh(path)


@exit_on_user_error
def main(words: Sequence[str]) -> None:
    """Find faces in photos and write their landmarks.

    Args:
        words: the command line behind `detect`.
    """
    options = _options(words)
    found = find_photos(options.input, leave_out=options.output)
    finder = _finder(options)
    weights = {path.name: sha256(path) for path in (finder.yunet, finder.task) if path is not None}
    settings = DetectSettings(
        input=str(found.root.resolve()),
        detector=options.detector,
        scheme=finder.scheme,
        faces=finder.faces,
        min_score=finder.min_score,
        weights_sha256=weights,
    )
    if options.dry_run:
        print(settings.model_dump_json(indent=2))
        print(f"# dry run: would search {len(found.photos)} photos and write {options.output / LANDMARKS_NAME}")
        return
    claim_folder(options.output, settings)
    records = [PhotoRecord(photo.name, photo.path, photo.id) for photo in found.photos]
    report = run_job(
        finder,
        records,
        folder=options.output,
        title="detect",
        processes=options.processes,
        source_digest=lambda record: sha256(record.path),
    )
    _write_results(options.output, report, settings, found.root)


def _write_results(output: Path, report: JobReport, settings: DetectSettings, root: Path) -> None:
    rows = [row for row in report.rows if row["outcome"] == "ok"]
    records = [record for row in rows for record in landmark_records(row, settings)]
    path = output / LANDMARKS_NAME
    write_landmarks_jsonl(path, records)
    several = sum(row["faces_seen"] > 1 for row in rows)
    summary = write_report(output, report, faces=len(records), photos_with_several_faces=several)
    if not records:
        first = next(row["reason"] for row in report.rows if row["outcome"] != "ok")
        raise UserError(f"none of the {len(report.rows)} photos gave a face; see {summary}. The first: {first}")
    sheet = write_sheet(output / "contact_sheet.jpg", rows, root)
    print(f"{report.outcomes} of {len(report.rows)} photos, {len(records)} faces, {report.images_per_s:.1f} photos/s")
    print(f"{path}\n{summary}\n{sheet}")


def landmark_records(row: Row, settings: DetectSettings) -> list[LandmarkRecord]:
    """Return the faces of a photo's row in the form that `landmarks.jsonl` holds."""
    numbered = settings.faces == "all"
    return [
        LandmarkRecord(
            id=f"{row['id']}#{index}" if numbered else row["id"],
            points=np.array(face["points"], np.float64),
            scheme=settings.scheme,
            image_size=(row["photo_size"][0], row["photo_size"][1]),
            occluded=None,
            detector=settings.detector,
            score=face["score"],
            box=(face["box"][0], face["box"][1], face["box"][2], face["box"][3]),
        )
        for index, face in enumerate(row["faces"])
    ]


def write_sheet(path: Path, rows: Sequence[Row], root: Path) -> Path:
    """Write a picture of faces spread over the run with their points, and return its path."""
    step = max(1, -(-len(rows) // SHEET_FACES))
    tiles = []
    for row in rows[::step]:
        photo = read_image(root / row["source"])
        points = np.array(row["faces"][0]["points"])
        side = max(TILE_GROWTH * float(np.ptp(points, axis=0).max()), TILE_GROWTH * row["faces"][0]["box"][3] / 2, 8.0)
        corner = (points.min(axis=0) + points.max(axis=0) - side) / 2
        shift = np.array([[1.0, 0.0, -corner[0]], [0.0, 1.0, -corner[1]]])
        matrix = compose(scaling((round(side), round(side)), (TILE_PX, TILE_PX)), shift)
        tile = apply_to_image(matrix, photo, size=(TILE_PX, TILE_PX), fill="black")
        tiles.append(draw_landmarks(tile, apply_to_points(matrix, points)))
    write_image(path, grid(tiles, columns=min(SHEET_COLUMNS, len(tiles)), tile_px=TILE_PX), quality=88)
    return path


def _finder(options: argparse.Namespace) -> FaceFinder:
    """Return the finder that the options describe, after checking that its files and packages are there."""
    scheme = options.scheme or ("five" if options.detector == "yunet" else "mediapipe478")
    if SCHEMES[scheme] != options.detector:
        fitting = [name for name, detector in SCHEMES.items() if detector == options.detector]
        raise UserError(f"--scheme {scheme}: --detector {options.detector} gives {' or '.join(fitting)}")
    task = None
    if options.detector == "mediapipe":
        require_runtime()
        task = require_task()
    faces: Literal["largest", "centre", "all"] = options.faces
    return FaceFinder(require_yunet(), task, scheme, faces, options.min_score)


def _options(words: Sequence[str]) -> argparse.Namespace:
    arguments = parser("Find faces in photos and write landmarks.jsonl.", EXAMPLES)
    arguments.prog = "python -m face_align detect"
    arguments.add_argument("input", metavar="INPUT", help="a photo, a folder (with sub-folders) or a pattern in quotes")
    arguments.add_argument("output", metavar="OUT", type=Path, help="folder to write into")
    arguments.add_argument(
        "--detector",
        choices=["yunet", "mediapipe"],
        default="yunet",
        help="yunet: five points; mediapipe: a mesh in the box that YuNet finds (%(default)s)",
    )
    arguments.add_argument("--scheme", choices=list(SCHEMES), help="points of mediapipe: mediapipe478 or ibug68")
    arguments.add_argument(
        "--faces", choices=["largest", "centre", "all"], default="largest", help="which of several (%(default)s)"
    )
    arguments.add_argument("--min-score", type=_share, default=0.6, metavar="P", help="of YuNet, 0..1 (%(default)s)")
    add_processes(arguments)
    arguments.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    return arguments.parse_args(list(words))


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text!r}")
    return value
