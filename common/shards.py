"""Shards: equal parts of a job that run apart from each other, on one machine or many, into one folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class Shard(NamedTuple):
    """Part `number` (from 1) of `total`; written 3/16."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    @property
    def suffix(self) -> str:
        """What the names of its files have before their ending."""
        return f".{self.number}-of-{self.total}"

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return every `total`-th item, so that shards take about equally long wherever the slow ones stand."""
        return items[self.number - 1 :: self.total]


def parse_shard(text: str) -> Shard:
    """Return the shard that a text such as "3/16" names.

    Raises:
        ValueError: it is no such text, or the number is not between 1 and the total.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    shard = Shard(int(found[1]), int(found[2])) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.total:
        raise ValueError(f"expected a shard as 3/16, from 1/16 to 16/16, found {text!r}")
    return shard
