from __future__ import annotations

import numpy as np

from face_align.locate import Location
from inference.video_segmenter import Smoothing, VideoSegmenter
from tests.stand_ins import SIZE, ColourPredictor

FPS = 25.0


class Jittering:
    """Finds the faces at fixed places, up to a pixel beside; tells none in the frames that it was told."""

    def __init__(self, *places: tuple[float, float], misses: tuple[int, ...] = ()) -> None:
        self._places, self._misses = places, misses
        self._rng = np.random.default_rng(0)
        self._frame = -1

    def __call__(self, photo: np.ndarray, name: str) -> list[Location]:
        self._frame += 1
        if self._frame in self._misses:
            return []
        return [Location(self._crop(x, y)) for x, y in self._places]

    def _crop(self, x: float, y: float) -> np.ndarray:
        shift = SIZE / 2 - np.array([x, y]) + self._rng.normal(0, 0.6, 2)
        return np.hstack([np.eye(2), shift[:, None]])


def frame(*faces: tuple[int, int], background: int = 0) -> np.ndarray:
    """Return a frame (100, 200, 3) with red squares of 30 px centred at (x, y)."""
    image = np.full((100, 200, 3), background, np.uint8)
    for x, y in faces:
        image[y - 15 : y + 15, x - 15 : x + 15] = (255, 0, 0)
    return image


def segmenter(locate: Jittering, smoothing: Smoothing | None = None) -> VideoSegmenter:
    return VideoSegmenter(ColourPredictor(), locate, fps=FPS, smoothing=smoothing)


def test_masks_lie_where_the_faces_are_and_faces_keep_their_numbers() -> None:
    ask = segmenter(Jittering((50, 50), (150, 50)), Smoothing())
    for _ in range(6):
        found = ask(frame((50, 50), (150, 50)))
        truth = frame((50, 50), (150, 50))[..., 0] > 0
        shared, union = (found.masks.visible & truth).sum(), (found.masks.visible | truth).sum()
        assert shared / union > 0.9
        assert found.tracks == (0, 1)
        assert found.seen == (True, True)
        assert not found.is_cut
    assert found.masks.full is not None
    assert len(found.masks.faces) == 2


def test_without_smoothing_each_frame_is_a_photo() -> None:
    calm, ask = segmenter(Jittering((50, 50))), segmenter(Jittering((50, 50)))
    for _ in range(3):
        assert (ask(frame((50, 50))).masks.probability == calm(frame((50, 50))).masks.probability).all()
    fresh = segmenter(Jittering((50, 50)))(frame((50, 50)))
    matrix = fresh.masks.faces[0].location.photo_to_crop
    np.testing.assert_array_equal(matrix, Jittering((50, 50))(frame(), "")[0].photo_to_crop)


def test_smoothing_steadies_the_crops() -> None:
    def jitter(smoothing: Smoothing | None) -> float:
        ask = segmenter(Jittering((50, 50)), smoothing)
        shifts = [ask(frame((50, 50))).masks.faces[0].location.photo_to_crop[:, 2] for _ in range(20)]
        return float(np.diff(shifts, axis=0).std())

    assert jitter(Smoothing()) < 0.5 * jitter(None)


def test_a_face_that_the_detector_misses_keeps_its_mask() -> None:
    ask = segmenter(Jittering((50, 50), misses=(4, 5)), Smoothing())
    found = [ask(frame((50, 50))) for _ in range(7)]
    assert [result.seen for result in found[3:]] == [(True,), (False,), (False,), (True,)]
    assert all(result.tracks == (0,) for result in found)
    assert all(result.masks.visible.sum() > 700 for result in found)
    alone = segmenter(Jittering((50, 50), misses=(4, 5)))
    assert [len(alone(frame((50, 50))).tracks) for _ in range(7)] == [1, 1, 1, 1, 0, 0, 1]


def test_nothing_is_carried_over_a_cut() -> None:
    """The face is in the same place in both scenes, but hidden in the second."""
    ask = segmenter(Jittering((50, 50)), Smoothing(memory_s=10.0))
    for _ in range(5):
        ask(frame((50, 50)))
    found = ask(frame(background=200))
    assert found.is_cut
    assert found.tracks == (1,)
    assert not (found.masks.probability[35:65, 35:65] > 0.8).any()


def test_a_frame_without_a_face_is_empty() -> None:
    found = segmenter(Jittering(), Smoothing())(frame())
    assert not found.masks.visible.any()
    assert found.tracks == ()
