"""Settings of an alignment beside method and template travel from the crops to the weights and on to prediction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.cut_options import USUAL, CutOptions
from common.errors import UserError
from common.manifest import Row, write_manifest
from configs.schema import AlignJob, AlignSection, DataSection, PreparedSet
from datasets.prepared import build_face_set
from face_align.align import build_aligner
from face_align.celebamask_hq import read_celebamask_hq
from face_align.landmarks import five_points, read_landmarks
from face_align.locate import CropRule
from models.card import Card, decode_card, encode_card, make_preprocessing
from models.spec import NetworkSpec
from tests.stand_ins import ColourPredictor
from tests.tiny_world import World


def aligned(world: World, folder: Path, **section: object) -> Row:
    """Align one photo into `folder`, and return its row."""
    job = AlignJob(
        data=DataSection(root=world.root, prepared=folder),
        align=AlignSection(size=64, **section),  # type: ignore[arg-type]
        output=folder,
    )
    row = build_aligner(job)(read_celebamask_hq(world.root, split="split.csv")[1])
    write_manifest(folder, [row])
    return row


@pytest.mark.parametrize(
    "section",
    [{"method": "box", "box_scale": 2.0}, {"method": "pos3d", "legacy_offsets": True},
     {"method": "bbox", "legacy_clip": True}, {"method": "pos3d"}],
)  # fmt: skip
def test_prediction_cuts_as_the_training_set_was_cut(world: World, tmp_path: Path, section: dict[str, object]) -> None:
    row = aligned(world, tmp_path, **section)
    crop = build_face_set({"a": PreparedSet(prepared=tmp_path)}).crop
    made = make_preprocessing("none", size=64, method=crop.method, template=crop.template, options=crop.options)
    spec = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 8, 4), ("visible",))
    card = decode_card(Path("a.safetensors"), encode_card(Card(spec, made)))
    model = ColourPredictor()
    model.size, model.method, model.template = 64, card.preprocessing.method, card.preprocessing.template
    model.cut_options = card.preprocessing.options
    assert model.cut_options.changed() == {key: value for key, value in section.items() if key != "method"}
    points = read_landmarks(world.root / "landmarks" / "1.npy")
    height, width = row["photo_size"]
    matrix = CropRule.of(model).photo_to_crop(five_points(points), (height, width), landmarks=points)
    np.testing.assert_allclose(matrix, row["photo_to_crop"], atol=1e-8)


def test_settings_of_other_methods_do_not_matter(world: World, tmp_path: Path) -> None:
    row = aligned(world, tmp_path, method="similarity5", box_scale=2.0, legacy_clip=True)
    assert row["crop"] == {"method": "similarity5", "template": "faceocc256"}


def test_sets_of_another_scale_are_not_mixed(world: World, tmp_path: Path) -> None:
    for name, scale in (("a", 1.3), ("b", 1.5)):
        aligned(world, tmp_path / name, method="box", box_scale=scale)
    with pytest.raises(UserError, match=r"cut in different ways.*box_scale=1\.5"):
        build_face_set({name: PreparedSet(prepared=tmp_path / name) for name in "ab"})


def test_usual_weights_stay_readable_for_older_versions() -> None:
    spec = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 8, 4), ("visible",))
    usual, changed = (
        json.loads(
            encode_card(Card(spec, make_preprocessing("none", size=64, method="box", template="x", options=options)))
        )
        for options in (USUAL, CutOptions(box_scale=2))
    )
    assert (usual["format"], changed["format"]) == (1, 3)
    assert "options" not in usual["preprocessing"]
