from __future__ import annotations

import pytest

from common.lockstep import Steps, alone, in_step


def work(name: str, steps: int, done: list[str]) -> Steps[str]:
    for step in range(1, steps):
        done.append(f"{name}{step}")
        yield
    done.append(f"{name}{steps}")
    return name


def test_alone_a_work_is_done_from_beginning_to_end() -> None:
    done: list[str] = []
    assert alone(work("a", 3, done)) == "a"
    assert done == ["a1", "a2", "a3"]


def test_in_step_the_same_step_of_all_works_follows_each_other() -> None:
    done: list[str] = []
    assert in_step([work("a", 2, done), work("b", 3, done), work("c", 1, done)]) == ["a", "b", "c"]
    assert done == ["a1", "b1", "c1", "a2", "b2", "b3"]
    assert in_step([]) == []


def test_an_exception_of_one_work_comes_through() -> None:
    def broken() -> Steps[str]:
        yield
        raise ValueError("of the second step")

    done: list[str] = []
    with pytest.raises(ValueError, match="of the second step"):
        in_step([work("a", 3, done), broken(), work("b", 3, done)])
    assert done == ["a1", "b1", "a2"]
