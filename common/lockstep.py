"""Several works done in step with each other, so that the code of a step stays in the processor's caches.

A small image takes a few hundred short calls of large libraries, whose code does not fit into the caches at once: done
image by image, each call waits for its code to be fetched again. Done step by step for all images of a batch, most of
that waiting is gone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable
from typing import ParamSpec, TypeVar

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
# Yields after each step but the last, and returns what came out.
Steps = Generator[None, None, Result]


def alone(work: Steps[Result]) -> Result:
    """Return what comes out of `work`."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        result: Result = end.value
        return result


def at_once(steps: Callable[Arguments, Steps[Result]]) -> Callable[Arguments, Result]:
    """Return the function that takes what `steps` takes, and returns what comes out of its work."""

    @functools.wraps(steps)
    def done(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        return alone(steps(*arguments, **named))

    return done


def in_step(works: Iterable[Steps[Result]]) -> list[Result]:
    """Return what comes out of each of `works`: the first step of all is done first, then the second of all.

    An exception of one ends them all.
    """
    waiting = dict(enumerate(works))
    results: dict[int, Result] = {}
    while waiting:
        for place, work in list(waiting.items()):
            try:
                next(work)
            except StopIteration as end:
                results[place] = end.value
                del waiting[place]
    return [results[place] for place in sorted(results)]
