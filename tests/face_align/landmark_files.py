"""Points that tests write into files, and the real files where there are some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from face_align.landmark_formats import (
    LandmarkError,
    open_landmarks,
)
from tests.tiny_world import points68

POINTS = points68()
DATA = Path(os.environ.get("OCCFACE_DATA") or "nowhere")


def real(path: str) -> Path:
    """Return a real file or folder, or skip."""
    if not (DATA / path).exists():
        pytest.skip(f"needs the real data: set OCCFACE_DATA to the folder that holds {path}")
    return DATA / path


def outcome_of(source: Path, photo_id: str) -> str:
    with pytest.raises(LandmarkError) as caught:
        open_landmarks(source).get(photo_id)
    assert photo_id in str(caught.value) or source.name in str(caught.value)
    return caught.value.outcome
