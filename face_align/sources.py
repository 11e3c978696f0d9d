"""Which photos a configuration means, and the landmarks of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.errors import RecordError, UserError
from common.geometry import apply_to_points, scaling
from configs.schema import AlignJob
from face_align.celebamask_hq import PhotoRecord, read_celebamask_hq
from face_align.cofw import open_cofw_landmarks, read_cofw_photos
from face_align.landmark_formats import LandmarkRecord, LandmarkSource, open_landmarks
from face_align.landmarks import LandmarkError, points_in_photo
from face_align.locate import Box
from face_align.photo_choice import read_choice
from face_align.photo_folders import PhotoFace, read_photo_folder

AlignRecord = PhotoRecord | PhotoFace
LANDMARK_NAMES = ("landmarks.jsonl", "landmarks")


def build_landmarks(job: AlignJob) -> LandmarkSource | None:
    """Return the landmarks of the set; None where each record of CelebAMask-HQ names its own file, or none are needed.

    Raises:
        UserError: there are none.
    """
    source = job.source.landmarks
    if job.align.method == "none":
        return None
    if source is None and job.source.layout == "celebamask_hq":
        return None
    if source is None and job.source.layout == "cofw":
        return open_cofw_landmarks(job.data.root)
    candidates = [source] if source is not None else [job.data.root / name for name in LANDMARK_NAMES]
    path = next((candidate for candidate in candidates if candidate.exists()), None)
    if path is None:
        raise UserError(
            f"no landmarks: {' and '.join(map(str, candidates))} do not exist; make them with "
            f"`python -m face_align detect {job.data.root} OUT` and set source.landmarks=OUT/landmarks.jsonl"
        )
    return open_landmarks(path)


def build_records(job: AlignJob, landmarks: LandmarkSource | None) -> Sequence[AlignRecord]:
    """Return the photos of the configuration, one record a face to cut.

    Raises:
        UserError: the set is not as its layout says; tells everything that is missing.
    """
    source = job.source
    if source.layout == "celebamask_hq":
        return read_celebamask_hq(
            job.data.root,
            landmarks=source.landmarks,
            split=source.split,
            limit=source.limit,
            faults=job.faults,
            choice=read_choice(source.only, source.leave_out),
            landmarks_needed=job.align.method != "none",
        )
    photos = _photos(job)
    if source.faces != "all" or landmarks is None:
        return photos
    return [face for photo in photos for face in every_face(photo, landmarks)]


def _photos(job: AlignJob) -> list[PhotoFace]:
    source = job.source
    assert source.layout != "celebamask_hq"  # has records of its own
    if source.layout == "cofw":
        return read_cofw_photos(
            job.data.root,
            labels=source.labels,
            label_kind=source.label_kind,
            split=source.split,
            limit=source.limit,
        )
    return read_photo_folder(
        job.data.root,
        layout=source.layout,
        labels=source.labels,
        label_kind=source.label_kind,
        split=source.split,
        limit=source.limit,
        choice=read_choice(source.only, source.leave_out),
    )


def every_face(photo: PhotoFace, landmarks: LandmarkSource) -> list[PhotoFace]:
    """Return a record a face of the photo, named #0, #1, ...; the photo itself where it has no usable landmarks."""
    try:
        count = len(landmarks_of(landmarks, photo.photo_id))
    except RecordError:
        return [photo]  # the work will record the reason
    return [replace(photo, id=f"{photo.id}#{index}", face=index) for index in range(count)]


def landmarks_of(source: LandmarkSource, photo_id: str) -> Sequence[LandmarkRecord]:
    """Return the landmarks of a photo by its id, or by the last part of it where they are named so.

    Raises:
        RecordError: there are none under either name, or they cannot be used.
    """
    try:
        return source.get(photo_id)
    except LandmarkError as error:
        short = photo_id.rpartition("/")[2]
        if error.outcome != "no_landmarks" or short == photo_id:
            raise
        return source.get(short)


def to_photo(face: LandmarkRecord, photo_size: tuple[int, int], image: Path) -> LandmarkRecord:
    """Return the landmarks scaled from the size that they were detected at to that of the photo."""
    if face.image_size is None or tuple(face.image_size) == photo_size:
        return face
    try:
        moved = face._replace(points=points_in_photo(face, photo_size), image_size=photo_size)
    except LandmarkError as error:
        raise LandmarkError(f"{image}: {error}", outcome=error.outcome) from error
    if face.box is None:
        return moved
    x, y, box_width, box_height = face.box
    to_photo_px = scaling(face.image_size, photo_size)
    left, top, right, bottom = apply_to_points(to_photo_px, np.array([[x, y], [x + box_width, y + box_height]])).ravel()
    return moved._replace(box=(left, top, right - left, bottom - top))


def box_of(face: LandmarkRecord) -> Box:
    """Return the detector's box (x, y, width, height) where it is known, else the extent of the points."""
    if face.box is not None:
        return face.box
    points = face.points
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    return float(low[0]), float(low[1]), float(extent[0]), float(extent[1])
