from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from occlusion_gen.blending.region import grow, trim, within
from occlusion_gen.face import Patch
from tests.occlusion_gen.blending.drawn_patches import draw_patch

SIZE = (96, 96)


@pytest.mark.parametrize("rows", [slice(0, 40), slice(30, 60), slice(80, 96)])
def test_growing_keeps_what_is_there(rows: slice) -> None:
    patch = draw_patch(rows, slice(50, 90), share=0.6)
    grown = grow(patch, 12, size=SIZE)
    assert (grown.rows, grown.columns) == (slice(max(0, rows.start - 12), min(96, rows.stop + 12)), slice(38, 96))
    whole = np.zeros((2, *SIZE), np.uint8)
    whole[0, patch.rows, patch.columns], whole[1, grown.rows, grown.columns] = patch.alpha, grown.alpha
    assert_array_equal(whole[0], whole[1])
    inner = within((grown.rows, grown.columns), patch)
    assert_array_equal(grown.colour[inner], patch.colour)


@pytest.mark.parametrize("reach_px", [0, 3, 50])
def test_trimming_cuts_what_is_transparent(reach_px: int) -> None:
    patch = draw_patch(slice(10, 80), slice(20, 90), share=0.2)
    trimmed = trim(patch, reach_px)
    opaque_rows, opaque_columns = np.nonzero(patch.alpha)
    assert trimmed.rows.start == max(10, 10 + opaque_rows.min() - reach_px)
    assert trimmed.rows.stop == min(80, 10 + opaque_rows.max() + 1 + reach_px)
    assert trimmed.columns.start == max(20, 20 + opaque_columns.min() - reach_px)
    assert trimmed.columns.stop == min(90, 20 + opaque_columns.max() + 1 + reach_px)
    assert np.count_nonzero(trimmed.alpha) == np.count_nonzero(patch.alpha)
    inner = within((patch.rows, patch.columns), trimmed)
    for whole, part in zip(patch[2:], trimmed[2:], strict=True):
        assert_array_equal(whole[inner], part)


def test_what_is_wholly_transparent_is_not_trimmed() -> None:
    nothing = np.zeros((8, 9), np.uint8)
    patch = Patch(slice(1, 9), slice(2, 11), np.zeros((8, 9, 3), np.uint8), nothing, nothing)
    assert trim(patch, 2) is patch
