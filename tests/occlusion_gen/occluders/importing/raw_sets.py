"""Small published sets to import, and the command run on them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.image_io import write_image
from occlusion_gen.commands.import_ import main

HEIGHT, WIDTH = 120, 160


def photo(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "index.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def run(*words: object) -> None:
    main([*map(str, words), "--processes", "1"])


def error_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 2
    return capsys.readouterr().err


def box_polygon(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def note(key: int, image: int, category: int, box: tuple[float, ...], **more: Any) -> dict[str, Any]:
    x, y, width, height = box
    outline = [box_polygon(x, y, width, height)]
    standard = {"segmentation": outline, "bbox": list(box), "area": width * height, "iscrowd": 0}
    return {"id": key, "image_id": image, "category_id": category, **standard, **more}


def runs_of(mask: NDArray[np.bool_]) -> list[int]:
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], edges]))
    return [int(run) for run in runs]


def write_coco(root: Path, *, nested: bool = False) -> Path:
    """Write two photos: cups, a cell phone as run lengths, a crowd, a person, a crumb, and one cut off all round."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[30:100, 40:120] = True
    mask[50:60, 60:70] = False
    notes = [
        note(11, 9, 1, (10.45, 20, 80, 60)),
        note(12, 9, 2, (40, 30, 80, 70), segmentation={"counts": runs_of(mask), "size": [HEIGHT, WIDTH]}),
        note(13, 9, 1, (10, 10, 90, 80), iscrowd=1),
        note(14, 25, 3, (10, 10, 90, 80)),
        note(15, 25, 1, (10, 10, 20, 20)),
        note(16, 25, 1, (0, 0, 160, 100)),
        note(17, 25, 1, (0, 10, 100, 100), segmentation=[box_polygon(0, 10, 50, 100), box_polygon(60, 10, 40, 100)]),
    ]
    content = {
        "licenses": [{"id": 4, "name": "Attribution", "url": "http://example.org/by"}],
        "images": [
            {"id": 25, "file_name": "000000000025.jpg", "height": HEIGHT, "width": WIDTH},
            {"id": 9, "file_name": "000000000009.jpg", "height": HEIGHT, "width": WIDTH, "license": 4},
        ],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "cell phone"}, {"id": 3, "name": "person"}],
        "annotations": notes[::-1],
    }
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    for number in (9, 25):
        place = root / "images" / "val2017" if nested else root / "val2017"
        write_image(place / f"{number:012d}.jpg", photo(number), quality=100)
    return root
