from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.errors import RecordError
from occlusion_gen.occluders.importing.outlines import Polygons, RunLengths, coco_outline, decode_counts


def encode_counts(runs: list[int]) -> str:
    """Return run lengths as COCO's text: the inverse of `decode_counts`, written down on its own."""
    text = ""
    for at, run in enumerate(runs):
        value = run - runs[at - 2] if at > 2 else run
        while True:
            group, value = value & 31, value >> 5
            done = value == (-1 if group & 16 else 0)
            text += chr(48 + (group if done else group | 32))
            if done:
                break
    return text


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_compressed_counts_come_back(runs: list[int]) -> None:
    assert list(decode_counts(encode_counts(runs))) == runs


def test_a_compressed_text_written_by_hand() -> None:
    # Height 6, width 4, rows 1..3 of the columns 1 and 2 set; written by hand after the format's description.
    outline = coco_outline({"counts": "73305", "size": [6, 4]}, source="here")
    assert isinstance(outline, RunLengths)
    assert outline.counts == (7, 3, 3, 3, 8)
    expected = np.zeros((6, 4), np.uint8)
    expected[1:4, 1:3] = 255
    assert_array_equal(outline.alpha(), expected)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**20))
def test_run_lengths_give_back_their_mask(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) > 0.5
    flat = mask.T.ravel()
    runs = [0] if flat[0] else []
    start = 0
    for end in [*np.flatnonzero(np.diff(flat)) + 1, flat.size]:
        runs.append(int(end - start))
        start = end
    for counts in (runs, encode_counts(runs)):
        outline = coco_outline({"counts": counts, "size": [height, width]}, source="here")
        assert isinstance(outline, RunLengths)
        assert_array_equal(outline.alpha() > 0, mask)


@given(st.floats(2, 20), st.floats(2, 20), st.floats(5, 25), st.floats(5, 25))
def test_polygons_cover_their_area_at_its_place(x: float, y: float, width: float, height: float) -> None:
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    alpha = Polygons((corners,)).alpha((50, 50)) / 255
    # The outline's own pixels on the fine grid count as inside, an eighth of a pixel to each side.
    assert (width - 0.1) * (height - 0.1) <= alpha.sum() <= (width + 0.3) * (height + 0.3)
    centre = [(alpha * grid).sum() / alpha.sum() + 0.5 for grid in np.mgrid[:50, :50]]
    assert centre == pytest.approx([y + height / 2, x + width / 2], abs=0.2)


@pytest.mark.parametrize("segmentation", [[], [[1, 2, 3, 4]], {}, {"counts": [1]}, None, "text"])
def test_no_outline_is_told(segmentation: object) -> None:
    with pytest.raises(RecordError, match=r"instances\.json, annotation 3: expected polygons or run lengths"):
        coco_outline(segmentation, source="instances.json, annotation 3")


@pytest.mark.parametrize(("counts", "size"), [((5, 5), (2, 5)), ((5, 4), (3, 4))])
def test_run_lengths_of_another_size_are_told(counts: tuple[int, ...], size: tuple[int, int]) -> None:
    with pytest.raises(RecordError, match=r"a\.jpg: the run lengths are of") as caught:
        RunLengths(counts, size).cut(np.zeros((3, 4, 3), np.uint8), name="a.jpg")
    assert caught.value.outcome == "outline_does_not_fit"
