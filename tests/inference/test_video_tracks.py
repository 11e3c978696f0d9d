from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.geometry import apply_to_points, invert
from face_align.locate import Location
from inference.video_tracks import SceneCuts, SteadyTransform, Tracker, inner_box, match_boxes, overlap

SIDE, FPS = 64, 25.0


def crop_at(x: float, y: float, *, scale: float = 1.0, angle_deg: float = 0.0) -> np.ndarray:
    """Return photo_to_crop of a crop whose centre lies at (x, y) of the photo."""
    angle = math.radians(angle_deg)
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.hstack([linear, (SIDE / 2 - linear @ [x, y])[:, None]])


def tracker(patience_s: float = 0.2) -> Tracker:
    return Tracker(fps=FPS, side_px=SIDE, patience_s=patience_s, resting_hz=1.0, hz_per_side=10.0)


def steady() -> SteadyTransform:
    return SteadyTransform(fps=FPS, resting_hz=1.0, hz_per_side=10.0)


def centre(photo_to_crop: np.ndarray) -> np.ndarray:
    return apply_to_points(invert(photo_to_crop), np.array([[SIDE / 2, SIDE / 2]]))[0]


def test_a_face_that_rests_jitters_less() -> None:
    rng, filtered = np.random.default_rng(0), steady()
    found = [crop_at(*(100 + rng.normal(0, 1.0, 2)), scale=1 + rng.normal(0, 0.01)) for _ in range(100)]
    smoothed = [filtered.smooth(matrix, side_px=SIDE) for matrix in found]
    before, after = (np.diff([centre(m) for m in matrices[10:]], axis=0).std() for matrices in (found, smoothed))
    assert after < 0.4 * before
    np.testing.assert_allclose(np.mean([centre(m) for m in smoothed[10:]], axis=0), 100, atol=0.3)


def test_a_face_that_moves_is_followed() -> None:
    """Two crop sides a second: the lag stays below a twentieth of the crop."""
    filtered = steady()
    for index in range(50):
        x = 100 + 2 * SIDE * index / FPS
        smoothed = filtered.smooth(crop_at(x, 80), side_px=SIDE)
    assert abs(centre(smoothed)[0] - x) < SIDE / 20


@given(st.lists(st.tuples(*[st.floats(-1, 1)] * 4), min_size=2, max_size=8))
@settings(max_examples=50, deadline=None)
def test_similarities_stay_similarities(waves: list[tuple[float, ...]]) -> None:
    filtered = steady()
    for right, down, grow, turn in waves:
        matrix = crop_at(100 + 30 * right, 80 + 30 * down, scale=math.exp(0.3 * grow), angle_deg=40 * turn)
        a, b, c, d = filtered.smooth(matrix, side_px=SIDE)[:, :2].ravel()
        assert a == pytest.approx(d, abs=1e-9)
        assert b == pytest.approx(-c, abs=1e-9)


def test_what_does_not_change_is_left_alone() -> None:
    filtered, matrix = steady(), crop_at(50, 60, scale=0.7, angle_deg=20)
    for _ in range(4):
        np.testing.assert_allclose(filtered.smooth(matrix, side_px=SIDE), matrix, atol=1e-9)


def test_faces_keep_their_numbers_when_they_swap_places_in_the_list() -> None:
    faces = tracker()
    left, right = Location(crop_at(50, 50)), Location(crop_at(150, 50))
    assert [track.id for track in faces.update([left, right])] == [0, 1]
    assert [track.id for track in faces.update([right, left])] == [1, 0]
    third = Location(crop_at(300, 50))
    assert [track.id for track in faces.update([third, right, left])] == [2, 1, 0]


def test_a_face_that_is_missed_waits_at_its_place_for_a_while() -> None:
    faces, place = tracker(patience_s=0.2), Location(crop_at(50, 50))
    for _ in range(4):
        faces.update([place])
    missed = [faces.update([]) for _ in range(7)]
    assert [len(tracks) for tracks in missed] == [1] * 5 + [0] * 2  # 0.2 s are 5 frames
    assert [track.id for track in missed[0]] == [0]
    np.testing.assert_allclose(missed[0][0].location.photo_to_crop, place.photo_to_crop)


def test_a_face_that_comes_back_in_time_is_the_same() -> None:
    faces, place = tracker(), Location(crop_at(50, 50))
    for found in ([place],) * 4 + ([],) * 2:
        faces.update(found)
    (track,) = faces.update([place])
    assert (track.id, track.missed) == (0, 0)


def test_what_was_seen_once_is_not_waited_for() -> None:
    faces = tracker()
    faces.update([Location(crop_at(50, 50))])
    assert faces.update([]) == []


def test_a_face_in_place_of_another_leaves_no_ghost() -> None:
    """With --largest another face may become the largest: there is still one."""
    faces = tracker()
    for _ in range(5):
        faces.update([Location(crop_at(50, 50))])
    assert [track.id for track in faces.update([Location(crop_at(300, 50))])] == [1]


def test_a_new_scene_has_new_faces() -> None:
    faces, place = tracker(), Location(crop_at(50, 50))
    for _ in range(5):
        faces.update([place])
    faces.reset()
    assert faces.update([]) == []
    assert [track.id for track in faces.update([place])] == [1]


def test_boxes_overlap_as_paper_and_pencil_say() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (2, 0, 3, 2)) == 0
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0
    assert inner_box(crop_at(100, 50, scale=2.0), SIDE) == pytest.approx((92, 42, 108, 58))
    assert match_boxes([(0, 0, 2, 2)], [(1, 0, 3, 2), (0, 0, 2, 2.1)]) == [(0, 1)]
    assert match_boxes([], [(0, 0, 1, 1)]) == []


def scene(seed: int, *, shift: int = 0) -> np.ndarray:
    """Return a frame (120, 160, 3) with colours of its own, moved to the right."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.roll(coarse.repeat(20, axis=0).repeat(20, axis=1), shift, axis=1)


def test_cuts_are_seen_and_motion_is_none() -> None:
    cuts = SceneCuts()
    frames = [scene(1, shift=2 * index) for index in range(10)] + [scene(2, shift=2 * index) for index in range(10)]
    assert [index for index, frame in enumerate(frames) if cuts.is_cut(frame)] == [10]


def test_light_that_changes_is_no_cut() -> None:
    cuts, frame = SceneCuts(), scene(3) // 2
    assert not any(cuts.is_cut((frame * gain).astype(np.uint8)) for gain in np.linspace(1, 1.8, 20))
