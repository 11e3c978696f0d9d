from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from common.image_io import write_image
from scripts.draw_gallery import choose


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "photos" / f"{name}.jpg" for name in "abcdef"]
    for path in paths:
        write_image(path, np.zeros((8, 8, 3), np.uint8))
    write_image(tmp_path / "known" / "c.png", np.zeros((8, 8, 3), np.uint8))
    return paths


def test_the_choice_depends_on_names_alone_and_leaves_known_photos_out(photos: list[Path], tmp_path: Path) -> None:
    chosen = choose(photos, without=[tmp_path / "known"], count=4)
    assert choose(photos[::-1], without=[tmp_path / "known"], count=4) == chosen
    assert len(chosen) == 4
    assert choose(photos, without=[tmp_path / "known"], count=9)[:4] == chosen
    assert "c" not in {path.stem for path in choose(photos, without=[tmp_path / "known"], count=9)}
    assert "c" in {path.stem for path in choose(photos, without=[], count=9)}


def test_nothing_left_is_an_error(photos: list[Path]) -> None:
    with pytest.raises(UserError, match="6 photos, and none is left"):
        choose(photos, without=[photos[0].parent], count=3)
