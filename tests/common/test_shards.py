from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.shards import Shard, parse_shard


@given(st.integers(0, 40), st.integers(1, 12))
def test_shards_hold_every_item_once_and_are_about_equal(items: int, total: int) -> None:
    parts = [list(Shard(number, total).of(range(items))) for number in range(1, total + 1)]
    assert sorted(item for part in parts for item in part) == list(range(items))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_is_read_as_it_is_written() -> None:
    assert parse_shard("3/16") == Shard(3, 16)
    assert str(parse_shard("16/16")) == "16/16"
    assert Shard(3, 16).suffix == ".3-of-16"


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "1/0", "-1/4", "1/4 ", "a/b", "1/4/2"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a shard as 3/16"):
        parse_shard(text)
