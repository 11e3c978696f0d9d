from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from common.errors import RecordError
from common.image_io import read_image, read_label, write_grey, write_label
from common.labels import PART_ID, FacePolicy, visible_mask
from common.seeding import TRAIN_STREAM, VALIDATION_STREAM
from configs.schema import AugmentSection, NatOccSection, OcclusionSection, PreparedSet, RandOccSection
from datasets.augment import build_augmenter
from datasets.batches import ImageStream, collate, fixed_keys, start_worker
from datasets.faces import PARSED, FaceOcclusionDataset
from datasets.prepared import FaceRecord, build_face_set
from occlusion_gen.synthesiser import Synthesiser, build_synthesiser
from tests.tiny_world import HOLDOUT, World

POLICY = FacePolicy()
SIZE = 48


@pytest.fixture(scope="module")
def records(prepared: Path) -> list[FaceRecord]:
    return build_face_set({"faces": PreparedSet(prepared=prepared)}).records


@pytest.fixture(scope="module")
def synthesiser(world: World) -> Synthesiser:
    section = OcclusionSection(
        clean_share=0.2,
        generators={
            "hands": NatOccSection(occluders=world.pairs, part="hand", holdout_share=HOLDOUT),
            "shapes": RandOccSection(textures=world.textures, holdout_share=HOLDOUT),
        },
    )
    return build_synthesiser(section, policy=POLICY, split="train", max_side_px=64)


@pytest.fixture(scope="module")
def dataset(records: list[FaceRecord], synthesiser: Synthesiser) -> FaceOcclusionDataset:
    return FaceOcclusionDataset(
        records,
        size=SIZE,
        policy=POLICY,
        seed=3,
        stream=TRAIN_STREAM,
        synthesise=synthesiser,
        augment=build_augmenter(AugmentSection()),
    )


def as_bytes(sample: object) -> tuple[object, ...]:
    return tuple(part.numpy().tobytes() if isinstance(part, torch.Tensor) else part for part in sample)  # type: ignore[attr-defined]


def test_a_sample_has_the_shapes_of_the_contract(dataset: FaceOcclusionDataset) -> None:
    for epoch in range(3):
        for index in range(6):
            sample = dataset[epoch, index]
            shapes = [(tuple(part.shape), part.dtype) for part in sample[:4]]
            uint8 = torch.uint8
            assert shapes[0] == ((3, SIZE, SIZE), uint8)
            assert shapes[1] == shapes[2] == ((1, SIZE, SIZE), uint8)
            assert shapes[3] == ((2, SIZE, SIZE), torch.bool)
            assert not (sample.visible > sample.full).any()
            assert int(sample.full.max()) == 255
            assert sample.id == f"faces/{index}"


def test_workers_change_no_byte(dataset: FaceOcclusionDataset) -> None:
    def batches(workers: int) -> list[tuple[object, ...]]:
        stream = ImageStream(len(dataset), seed=3, start=0, stop=16)
        loader = DataLoader(
            dataset, sampler=stream, batch_size=4, num_workers=workers, collate_fn=collate, worker_init_fn=start_worker
        )
        return [as_bytes(batch) for batch in loader]

    expected = batches(0)
    assert len(expected) == 4
    assert len({batch[0] for batch in expected}) == 4
    assert batches(1) == expected
    assert batches(2) == expected


@pytest.mark.parametrize("in_step_px", [1, 3 * 64**2, 100 * 64**2])
def test_a_batch_at_once_changes_no_byte(
    dataset: FaceOcclusionDataset, monkeypatch: pytest.MonkeyPatch, in_step_px: int
) -> None:
    monkeypatch.setattr("datasets.faces.IN_STEP_PX", in_step_px)
    fresh = FaceOcclusionDataset(
        dataset.records,
        size=SIZE,
        policy=POLICY,
        seed=3,
        stream=TRAIN_STREAM,
        synthesise=dataset.synthesise,
        augment=dataset.augment,
    )
    keys = [(epoch, index) for epoch in range(2) for index in (4, 0, 5, 1, 0)]
    assert list(map(as_bytes, fresh.__getitems__(keys))) == [as_bytes(dataset[key]) for key in keys]
    assert fresh.__getitems__([]) == []


def test_a_sample_depends_on_seed_stream_epoch_and_index_alone(dataset: FaceOcclusionDataset) -> None:
    first = as_bytes(dataset[0, 2])
    dataset[5, 1]
    assert as_bytes(dataset[0, 2]) == first
    assert as_bytes(dataset[1, 2]) != first
    for change in ({"seed": 4}, {"stream": VALIDATION_STREAM}):
        other = FaceOcclusionDataset(
            dataset.records,
            size=SIZE,
            policy=POLICY,
            synthesise=dataset.synthesise,
            augment=dataset.augment,
            **{"seed": 3, "stream": TRAIN_STREAM, **change},
        )
        assert as_bytes(other[0, 2]) != first


def test_global_generators_are_left_alone(dataset: FaceOcclusionDataset) -> None:
    np.random.seed(1)
    torch.manual_seed(1)
    state = np.random.get_state()[1].tolist(), torch.get_rng_state()
    for index in range(6):
        dataset[0, index]
    assert np.random.get_state()[1].tolist() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])


def test_without_synthesis_and_augmentation_the_files_come_through(records: list[FaceRecord]) -> None:
    dataset = FaceOcclusionDataset(records, size=64, policy=POLICY, seed=0, stream=VALIDATION_STREAM)
    sample, record = dataset[0, 1], records[1]
    label = read_label(record.label)
    assert (sample.image.permute(1, 2, 0).numpy() == read_image(record.image)).all()
    assert (sample.visible[0].numpy() == 255 * visible_mask(label, POLICY)).all()
    assert (sample.full[0].numpy() == sample.visible[0].numpy()).all()
    assert sample.valid.all()


def test_resizing_keeps_image_and_masks_together(records: list[FaceRecord]) -> None:
    small, large = (
        FaceOcclusionDataset(records, size=size, policy=POLICY, seed=0, stream=0)[0, 1] for size in (32, 96)
    )
    assert float(small.visible.float().mean()) == pytest.approx(float(large.visible.float().mean()), abs=2.5)
    centres = [
        (np.argwhere(sample.visible[0].numpy()).mean(axis=0) + 0.5) / sample.image.shape[-1]
        for sample in (small, large)
    ]
    np.testing.assert_allclose(centres[0], centres[1], atol=0.012)


def test_records_that_want_no_occluder_get_none(
    records: list[FaceRecord], synthesiser: Synthesiser, tmp_path: Path
) -> None:
    label = np.full((64, 64), PART_ID["object"], np.uint8)
    parts = np.zeros((64, 64), np.uint8)
    parts[10:50, 12:52] = PART_ID["skin"]
    label[:30] = parts[:30]
    hidden = np.zeros((64, 64), np.uint8)
    hidden[:20, :30] = 100
    paths = {name: tmp_path / f"{name}.png" for name in ("label", "parts", "hidden")}
    write_label(paths["label"], label), write_label(paths["parts"], parts), write_grey(paths["hidden"], hidden)
    kept = [replace(records[0], occlude=False), replace(records[1], occlude=False, sha256={}, **paths)]
    options = {"size": 64, "policy": POLICY, "seed": 0, "stream": 0}
    dataset = FaceOcclusionDataset(kept, synthesise=synthesiser, **options)
    plain = FaceOcclusionDataset(kept, **options)
    assert as_bytes(dataset[0, 0]) == as_bytes(plain[0, 0])
    full = parts > 0
    assert (dataset[0, 1].full[0].numpy() == 255 * full).all()  # the labels before occlusion tell the full face
    expected = np.where(full & (label == parts), 255 - hidden.astype(int), 0)
    assert (dataset[0, 1].visible[0].numpy() == expected).all()


def test_glasses_can_be_left_out(records: list[FaceRecord], tmp_path: Path) -> None:
    label = np.full((64, 64), PART_ID["skin"], np.uint8)
    label[20:30] = PART_ID["eye_g"]
    label[25:40, 30:] = PART_ID["hand"]
    write_label(tmp_path / "label.png", label)
    parts = np.where(label == PART_ID["hand"], PART_ID["skin"], label)
    parts[25:30, 30:] = PART_ID["eye_g"]
    write_label(tmp_path / "parts.png", parts.astype(np.uint8))
    paths = {name: tmp_path / f"{name}.png" for name in ("label", "parts")}
    record = replace(records[0], occlude=False, sha256={}, **paths)
    options = {"size": 64, "seed": 0, "stream": 0}
    sample = FaceOcclusionDataset([record], policy=FacePolicy(eyeglasses="ignore"), **options)[0, 0]
    assert (sample.valid[0].numpy() == (label != PART_ID["eye_g"])).all()  # under the hand it is known again
    assert not sample.visible[0].numpy()[label == PART_ID["hand"]].any()
    assert sample.full[0].numpy().all()


def test_a_label_of_another_size_stops_the_training(records: list[FaceRecord], tmp_path: Path) -> None:
    write_label(tmp_path / "label.png", np.zeros((32, 32), np.uint8))
    dataset = FaceOcclusionDataset(
        [replace(records[0], label=tmp_path / "label.png", sha256={})], size=64, policy=POLICY, seed=0, stream=0
    )
    with pytest.raises(RecordError, match=r"label\.png: label is \(32, 32\) but its image is \(64, 64\)"):
        dataset[0, 0]


def test_a_batch_stacks_its_samples(dataset: FaceOcclusionDataset) -> None:
    batch = collate([dataset[key] for key in fixed_keys(3)])
    assert batch.image.shape == (3, 3, SIZE, SIZE)
    assert batch.valid.shape == (3, 2, SIZE, SIZE)
    assert batch.id == "faces/0\nfaces/1\nfaces/2"
    assert torch.equal(batch.visible[1], dataset[0, 1].visible)


def test_parts_are_the_classes_after_occlusion(dataset: FaceOcclusionDataset, synthesiser: Synthesiser) -> None:
    plain = FaceOcclusionDataset(dataset.records, size=64, policy=POLICY, seed=0, stream=VALIDATION_STREAM, parts=True)
    sample, label = plain[0, 1], read_label(dataset.records[1].label)
    assert sample.parts is not None
    assert (sample.parts.shape, sample.parts.dtype) == ((1, 64, 64), torch.uint8)
    assert (sample.parts[0].numpy() == label).all()
    options = {"size": 64, "policy": POLICY, "seed": 3, "stream": TRAIN_STREAM, "synthesise": synthesiser}
    occluded = FaceOcclusionDataset(dataset.records, parts=True, **options)
    without = FaceOcclusionDataset(dataset.records, **options)
    hidden = 0
    for index in range(6):
        sample, label = occluded[0, index], read_label(dataset.records[index].label)
        assert sample.parts is not None
        behind = (sample.full > sample.visible)[0].numpy()
        assert (sample.parts[0].numpy()[behind] == 0).all()  # hands and shapes are background to a parser
        changed = sample.parts[0].numpy() != label
        assert (sample.parts[0].numpy()[changed] == 0).all()
        hidden += int(behind.sum())
        assert as_bytes(without[0, index])[:4] == as_bytes(sample)[:4]
        assert without[0, index].parts is None
    assert hidden > 100


def test_a_worn_mask_stays_a_class_of_a_parser() -> None:
    ids = np.array([PART_ID[name] for name in ("skin", "mask", "hand", "object", "shape")])
    assert PARSED[ids].tolist() == [1, 19, 0, 0, 0]
    assert (PARSED[:20] == np.arange(20)).all()


def test_parts_are_augmented_with_the_rest(records: list[FaceRecord]) -> None:
    options = {"size": 64, "policy": POLICY, "seed": 3, "stream": TRAIN_STREAM}
    dataset = FaceOcclusionDataset(records, parts=True, augment=build_augmenter(AugmentSection()), **options)
    for index in range(6):
        sample = dataset[0, index]
        assert sample.parts is not None
        assert (visible_mask(sample.parts[0].numpy(), POLICY) == sample.visible[0].bool().numpy()).all()
    batch = collate([dataset[0, 0], dataset[0, 1]])
    assert batch.parts is not None
    assert batch.parts.shape == (2, 1, 64, 64)


def test_what_is_behind_a_real_occluder_is_unknown(tmp_path: Path) -> None:
    """A mask that was in the photo from the start hides a part of the full face that nobody knows."""
    label = np.full((SIZE, SIZE), PART_ID["skin"], np.uint8)
    label[30:] = PART_ID["mask"]
    write_label(tmp_path / "label.png", label)
    write_grey(tmp_path / "image.png", label)
    record = FaceRecord("a", tmp_path / "image.png", tmp_path / "label.png", None, None, False, "a")
    sample = FaceOcclusionDataset([record], size=SIZE, policy=POLICY, seed=0, stream=TRAIN_STREAM)[0, 0]
    assert sample.valid[0].all()
    assert sample.valid[1, :30].all()
    assert not sample.valid[1, 30:].any()
    assert (sample.visible[0] == sample.full[0]).all()
