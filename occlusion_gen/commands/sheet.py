"""A look at cut-outs: alternately on black and on grey, where rims and shadows show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.image_io import read_rgba, write_image
from common.manifest import Row
from common.visualize import grid

# In a folder of its own, so that the library does not take it for an occluder.
SHEET_PATH = Path("preview") / "contact_sheet.jpg"
SHEET_CUTOUTS, SHEET_COLUMNS, TILE_PX = 32, 8, 180
BACKGROUNDS = (0, 110)


def write_sheet(output: Path, rows: Sequence[Row]) -> Path | None:
    """Write cut-outs spread over the run and return the path; None where there are none."""
    names = [row["files"]["occluder"] for row in rows if row["outcome"] == "ok"]
    if not names:
        return None
    step = -(-len(names) // SHEET_CUTOUTS)
    tiles = [_on_grey(read_rgba(output / name), BACKGROUNDS[at % 2]) for at, name in enumerate(names[::step])]
    path = output / SHEET_PATH
    write_image(path, grid(tiles, columns=min(SHEET_COLUMNS, len(tiles)), tile_px=TILE_PX), quality=90)
    return path


def _on_grey(rgba: NDArray[np.uint8], grey: int) -> NDArray[np.uint8]:
    share = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(share * rgba[..., :3] + (1 - share) * grey).astype(np.uint8)
