from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from common.image_io import read_label, write_grey, write_mask
from common.labels import PART_ID

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "label_ffhq_masked.py"


def run(*arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_face_mask_and_ears_get_ids_of_their_own(tmp_path: Path) -> None:
    label = np.zeros((8, 8), np.uint8)
    label[:4], label[4:] = 1, 2
    ears = np.zeros((8, 8), bool)
    ears[2:6, :2] = True
    write_grey(tmp_path / "labels" / "a.png", label)
    write_mask(tmp_path / "ears_ignore" / "a.png", ears)
    write_grey(tmp_path / "labels" / "b.png", label)
    assert run(tmp_path, tmp_path / "out").returncode == 0
    parts = read_label(tmp_path / "out" / "a.png")
    assert (parts[2:4, :2] == PART_ID["l_ear"]).all()
    assert (parts[:2] == PART_ID["skin"]).all()
    assert (parts[4:] == PART_ID["mask"]).all()  # what the mask covers is no ear
    assert PART_ID["l_ear"] not in read_label(tmp_path / "out" / "b.png")


def test_other_values_are_refused(tmp_path: Path) -> None:
    write_grey(tmp_path / "labels" / "a.png", np.full((4, 4), 3, np.uint8))
    done = run(tmp_path, tmp_path / "out")
    assert done.returncode == 2
    assert "expected 0 background, 1 face, 2 mask, found [3]" in done.stderr
