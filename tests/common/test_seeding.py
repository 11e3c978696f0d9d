from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.seeding import ORDER_STREAM, TRAIN_STREAM, VALIDATION_STREAM, generator

keys = st.lists(st.integers(0, 2**31), min_size=1, max_size=4)


@given(keys)
def test_the_same_key_gives_the_same_draw(key: list[int]) -> None:
    assert (generator(*key).integers(0, 2**31, 8) == generator(*key).integers(0, 2**31, 8)).all()


@given(keys, keys)
def test_other_keys_give_other_draws(one: list[int], two: list[int]) -> None:
    assume(one + [0] * (4 - len(one)) != two + [0] * (4 - len(two)))
    assert (generator(*one).integers(0, 2**31, 8) != generator(*two).integers(0, 2**31, 8)).any()


def test_the_draw_is_the_same_on_every_machine() -> None:
    assert (
        generator(1, 2, 3).integers(0, 1000, 4).tolist()
        == np.random.default_rng([1, 2, 3]).integers(0, 1000, 4).tolist()
    )
    assert len({TRAIN_STREAM, VALIDATION_STREAM, ORDER_STREAM}) == 3


def test_global_generators_are_left_alone() -> None:
    np.random.seed(5)
    before = np.random.get_state()[1].tolist()
    generator(1, 2).random(100)
    assert np.random.get_state()[1].tolist() == before


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        generator(1, -1)
