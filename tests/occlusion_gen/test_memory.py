"""What was measured on a face is kept for when it comes again, and changes no byte."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.seeding import TRAIN_STREAM, generator
from configs.schema import HarmonySection, PreparedSet
from datasets import faces as faces_module
from datasets.faces import FaceOcclusionDataset
from datasets.prepared import build_face_set
from occlusion_gen.face import Face, measure_once, recall, remember
from tests.occlusion_gen.test_synthesiser import FACE, POLICY, as_bytes, build
from tests.tiny_world import World


def test_a_face_that_is_remembered_gives_the_same_bytes(world: World) -> None:
    synthesiser = build(world, harmony=HarmonySection(), count=(1, 3))
    memory: dict[str, object] = {}
    for key in range(20):
        arrays = {"image": FACE.image.copy(), "label": FACE.label.copy()}
        known = synthesiser(generator(1, key), **arrays, memory=memory)
        assert as_bytes(known) == as_bytes(synthesiser(generator(1, key), **arrays))
    assert {"light", "blur", "noise"} <= set(memory)
    assert len(pickle.dumps(memory)) < 4000  # numbers, no pixels


def test_only_what_was_measured_on_the_bare_face_is_kept() -> None:
    face = FACE._replace(measured={})
    memory: dict[str, float] = {}
    painted = face._replace(image=np.zeros_like(face.image))
    mean = lambda it: float(it.image.mean())  # noqa: E731
    measure_once("mean", mean, painted)
    remember(face, memory)
    assert memory == {}
    measure_once("mean", mean, face)
    remember(face, memory)
    assert memory == {"mean": face.image.mean()}


def test_what_is_recalled_is_not_measured_again() -> None:
    def never(_: Face) -> float:
        raise AssertionError

    face = FACE._replace(measured={})
    recall(face, {"mean": 7.0})
    assert measure_once("mean", never, face) == 7.0
    with pytest.raises(AssertionError):  # another picture
        measure_once("mean", never, face._replace(image=face.image.copy()))


def test_the_training_set_remembers_so_many_faces(
    world: World, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces_module, "MOST_REMEMBERED", 1)
    memories: list[object] = []
    synthesiser = build(world)

    class Watched:
        def steps(self, rng: np.random.Generator, *, memory: dict[str, object] | None, **face: object) -> object:
            memories.append(memory)
            return synthesiser.steps(rng, memory=memory, **face)  # type: ignore[arg-type]

    found = build_face_set({"faces": PreparedSet(prepared=prepared)}).records
    records = [replace(record, occlude=True) for record in found[:2]]
    dataset = FaceOcclusionDataset(
        records,
        size=48,
        policy=POLICY,
        seed=3,
        stream=TRAIN_STREAM,
        synthesise=Watched(),  # type: ignore[arg-type]
    )
    for epoch in range(2):
        for index in range(2):
            dataset[epoch, index]
    assert memories[0] is memories[2] is not None
    assert memories[1] is memories[3] is None
