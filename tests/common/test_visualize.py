from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from common.labels import PALETTE, PART_ID
from common.visualize import (
    FACE_BLUE,
    INVENTED_YELLOW,
    MISSED_RED,
    blend,
    colour_labels,
    contact_sheet,
    draw_landmarks,
    grid,
    show_errors,
)

GREY = np.full((8, 10, 3), 100, np.uint8)
LEFT = np.zeros((8, 10), bool)
LEFT[:, :5] = True


def test_the_overlay_is_half_photo_half_blue_within_the_mask() -> None:
    shown = blend(GREY, LEFT)
    assert shown[0, 0].tolist() == [50, 92, 178]  # 0.5 * 100 + 0.5 * (0, 85, 255), halves to even
    assert_array_equal(shown[:, 5:], GREY[:, 5:])
    assert_array_equal(blend(GREY, LEFT, opacity=0), GREY)
    assert (GREY == 100).all()
    assert FACE_BLUE == (0, 85, 255)


def test_errors_have_their_colours() -> None:
    truth, prediction, valid = np.zeros((3, 8, 10), bool)
    truth[0, :2] = prediction[0, 1:3] = True
    valid[0, :8] = True
    shown = show_errors(GREY, prediction, truth, valid=valid).astype(int)

    def strength(pixel: np.ndarray, colour: tuple[int, int, int]) -> float:
        return float(np.linalg.norm(pixel - np.array(colour)))

    assert strength(shown[0, 0], MISSED_RED) < strength(GREY[0, 0], MISSED_RED) / 2
    assert strength(shown[0, 2], INVENTED_YELLOW) < strength(GREY[0, 0], INVENTED_YELLOW) / 2
    assert shown[0, 1].tolist() == shown[0, 7].tolist() == [100] * 3
    assert shown[5, 5].tolist() != [100] * 3
    assert (show_errors(GREY, truth, truth) == GREY).all()


def test_labels_have_the_colours_of_their_classes() -> None:
    label = np.array([[PART_ID["skin"], PART_ID["hair"]]], np.uint8)
    assert_array_equal(colour_labels(label)[0], PALETTE[[PART_ID["skin"], PART_ID["hair"]]])


def test_landmarks_are_drawn_at_their_place() -> None:
    shown = draw_landmarks(GREY, np.array([[7.2, 2.1]]))
    rows, columns = np.nonzero((shown != GREY).any(axis=2))
    assert (np.median(columns), np.median(rows)) == (7, 2)
    assert max(abs(columns - 7).max(), abs(rows - 2).max()) <= 2


@pytest.mark.parametrize(("count", "columns", "size"), [(1, 3, (20, 20)), (4, 3, (40, 60)), (6, 3, (40, 60))])
def test_a_grid_has_room_for_every_image(count: int, columns: int, size: tuple[int, int]) -> None:
    sheet = grid([GREY] * count, columns=columns, tile_px=20)
    assert sheet.shape == (*size, 3)
    assert (sheet == 100).all(axis=2).sum() == count * 20 * 16  # 8 x 10 fitted into 20 x 20


def test_sheets_take_any_size_and_captions() -> None:
    wide, grey = np.zeros((5, 50, 3), np.uint8), np.zeros((30, 9), np.uint8)
    assert contact_sheet([[wide, grey], [GREY]], tile_px=20, captions=["a", "b"]).shape[1] == 40
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([])
    with pytest.raises(ValueError, match="expected 2 captions, found 1"):
        contact_sheet([[GREY], [GREY]], captions=["a"])
