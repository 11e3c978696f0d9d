from __future__ import annotations

import numpy as np
import pytest

from occlusion_gen.coverage import Aim, hidden_share


def draws(aim: Aim, faces: int) -> tuple[np.ndarray, list[int]]:
    """Return the shares that were kept, and the tries, where a draw hides a share uniform in 0..1."""
    rng = np.random.default_rng(0)
    kept = [aim.draw(rng, lambda: [{"share": rng.random()}], lambda layers: layers[0]["share"]) for _ in range(faces)]
    return np.array([layers[0]["share"] for layers, _ in kept]), [tries for _, tries in kept]


def test_the_hidden_share_is_of_the_full_face() -> None:
    full = np.zeros((10, 10), bool)
    full[:5] = True
    visible = np.full((10, 10), 255, np.uint8)
    assert hidden_share(visible, full) == 0
    visible[:2] = 0
    assert hidden_share(visible, full) == pytest.approx(0.4)
    visible[2] = 51  # a fifth of each pixel of a row can be seen
    assert hidden_share(visible, full) == pytest.approx(0.4 + 0.8 * 0.2)
    assert hidden_share(visible, full & False) == 0


def test_without_an_aim_nothing_is_drawn_twice_nor_measured() -> None:
    def measure(_: object) -> float:
        raise AssertionError("measured")

    layers, tries = Aim().draw(np.random.default_rng(0), lambda: [{"a": 1}], measure)
    assert (layers, tries) == ([{"a": 1}], 1)


def test_bounds_are_kept_where_they_can_be() -> None:
    shares, tries = draws(Aim(bounds=(0.3, 0.5), tries=60), 200)
    assert shares.min() >= 0.3
    assert shares.max() <= 0.5
    assert np.mean(tries) == pytest.approx(5, abs=1)


def test_the_nearest_draw_is_kept_when_none_fits() -> None:
    shares = iter([0.9, 0.2, 0.7])
    rng = np.random.default_rng(0)
    aim = Aim(bounds=(0.3, 0.5), tries=3)
    layers, tries = aim.draw(rng, lambda: [{"share": next(shares)}], lambda found: found[0]["share"])
    assert layers == [{"share": 0.2}]
    assert tries == 3


def test_a_target_histogram_is_reached() -> None:
    target = (1, 0, 3, 0, 0, 6, 0, 0, 0, 0)
    shares, _ = draws(Aim(target=target, tries=100), 2000)
    found = np.histogram(shares, bins=10, range=(0, 1))[0] / 2000
    assert found == pytest.approx(np.array(target) / 10, abs=0.03)


def test_bounds_and_target_hold_together() -> None:
    shares, _ = draws(Aim(bounds=(0.25, 1), target=(9, 1), tries=100), 500)
    assert shares.min() >= 0.25
    assert np.mean(shares < 0.5) == pytest.approx(0.9, abs=0.05)
