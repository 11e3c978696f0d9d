"""EgoHands: two people at a table, seen by one of them; polygons of all hands.

    metadata.mat                                        struct array `video`, 48 of them
    _LABELLED_SAMPLES/{video}/frame_{nnnn}.jpg          100 frames each, 1280 x 720

`video` has the fields video_id and labelled_frames; a labelled frame has frame_num and the polygons myleft, myright
(of the person who wears the camera), yourleft, yourright (of the partner), N x 2 of x and y, empty where not seen.
Occluders are named {video}_frame_{nnnn}_{partner or own}_{left or right}; a video stays on one side of a split.

Source: Bambach et al., "Lending a hand: detecting hands and recognizing activities in complex egocentric
interactions", 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common.errors import UserError
from occlusion_gen.occluders.importing.outlines import Polygons
from occlusion_gen.occluders.importing.records import CutoutRecord, require

TREE = """
metadata.mat
_LABELLED_SAMPLES/CARDS_COURTYARD_B_T/frame_0011.jpg
"""
Hands = Literal["partner", "own", "all"]
FIELDS = {
    "partner": {"yourleft": "partner_left", "yourright": "partner_right"},
    "own": {"myleft": "own_left", "myright": "own_right"},
}
FIRST_PIXEL = 0.5  # MATLAB calls the centre of the first pixel 1; from the photo's corner that is 0.5


def read_egohands(source: Path, *, hands: Hands = "partner") -> list[CutoutRecord]:
    """Return one record a hand, in the order of the metadata.

    Args:
        hands: the partner's are seen from the front, as hands before a face are; the wearer's own from behind.

    Raises:
        UserError: files are missing, or the metadata has another form.
    """
    table, samples = source / "metadata.mat", source / "_LABELLED_SAMPLES"
    missing = [table.name] if not table.is_file() else []
    missing += [f"{samples.name}/"] if not samples.is_dir() else []
    require(source, layout="EgoHands", tree=TREE, missing=missing)
    fields = {**FIELDS["partner"], **FIELDS["own"]} if hands == "all" else FIELDS[hands]
    records = [record for video in _videos(table) for record in _hands_of(table, video, samples, fields)]
    if not records:
        raise UserError(f"{table}: tells of no hand of --hands {hands}")
    absent = sorted({record.image.relative_to(source).as_posix() for record in records if not record.image.is_file()})
    shown = absent[:5] + ([f"and {len(absent) - 5} more frames"] if len(absent) > 5 else [])
    require(source, layout="EgoHands", tree=TREE, missing=shown)
    return records


def _videos(table: Path) -> list[Any]:
    from scipy.io import loadmat  # takes long to import

    try:
        content = loadmat(table, struct_as_record=False, squeeze_me=True)
    except Exception as error:  # scipy raises many kinds for damaged files
        raise UserError(f"{table}: cannot be read as a MATLAB file ({error}); download it again") from error
    if "video" not in content:
        found = sorted(name for name in content if not name.startswith("__"))
        raise UserError(f"{table}: expected the variable `video` as in EgoHands, found {found}")
    return list(np.atleast_1d(content["video"]))


def _hands_of(table: Path, video: Any, samples: Path, fields: dict[str, str]) -> Iterator[CutoutRecord]:
    try:
        name = str(video.video_id)
        for frame in np.atleast_1d(video.labelled_frames):
            number = int(frame.frame_num)
            for field, hand in fields.items():
                points = np.asarray(getattr(frame, field), np.float64)
                if points.ndim != 2 or points.shape[0] < 3 or points.shape[1] != 2:
                    continue  # not seen
                corners = tuple((float(x), float(y)) for x, y in points - FIRST_PIXEL)
                yield CutoutRecord(
                    id=f"{name}_frame_{number:04d}_{hand}",
                    image=samples / name / f"frame_{number:04d}.jpg",
                    outline=Polygons((corners,)),
                    group=f"video {name}",
                    category="hand",
                )
    except AttributeError as error:
        raise UserError(f"{table}: a video or frame lacks a field of EgoHands ({error})") from error
