"""Prepared folders as test sets: what is seen, what the whole face would be, and the same from packed arrays."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import occlusion_gen.__main__ as generating
from common.image_io import read_label, write_grey
from common.labels import FacePolicy, full_mask, still_visible_mask
from datasets.pack import pack
from datasets.test_sets import read_full, read_parts, read_photo, read_test_set, read_truth
from tests.tiny_world import World

POLICY = FacePolicy()


@pytest.fixture(scope="module")
def occluded(world: World, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hands and soft shapes in front of the training faces."""
    folder = tmp_path_factory.mktemp("occluded")
    generators = {
        "hands": {"kind": "natocc", "part": "hand", "occluders": str(world.pairs)},
        "shapes": {
            "kind": "randocc", "textures": str(world.textures), "translucent_share": 1.0, "translucent_label": "soft",
        },
    }  # fmt: skip
    config = {"data": {"root": str(world.root), "prepared": str(prepared)}, "output": str(folder / "set"),
              "occlusion": {"generators": generators, "count": [2, 2]}}  # fmt: skip
    (folder / "job.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["occlusion_gen", str(folder / "job.yaml"), "--processes", "1"])
        generating.main()
    return folder / "set"


def test_visible_and_whole_face_are_those_of_training(occluded: Path) -> None:
    records = read_test_set(occluded, layout="prepared")
    assert len(records) == 4
    some_hidden = False
    for record in records:
        assert record.before is not None
        before = read_label(record.before)
        visible, valid = read_truth(record, POLICY)
        full = read_full(record, POLICY)
        np.testing.assert_array_equal(full, full_mask(before, POLICY))
        expected = still_visible_mask(read_parts(record), before, POLICY)
        if record.hidden is not None:
            expected &= read_label(record.hidden) < 128
            some_hidden = True
        np.testing.assert_array_equal(visible, expected)
        assert full is not None
        assert not (visible & ~full).any()
        assert visible.sum() < full.sum()
        assert valid is None
        assert set(record.occlusion_types) <= {"hands", "shapes"}
        assert record.subject == record.id
    assert some_hidden
    assert {kind for record in records for kind in record.occlusion_types} == {"hands", "shapes"}


def test_packed_arrays_read_the_same(occluded: Path, tmp_path: Path) -> None:
    pack(occluded, tmp_path / "packed", threads=1)
    plain = read_test_set(occluded, layout="prepared")
    for one, other in zip(plain, read_test_set(tmp_path / "packed", layout="prepared"), strict=True):
        assert other.packed is not None
        assert one.id == other.id
        np.testing.assert_array_equal(read_photo(one), read_photo(other))
        np.testing.assert_array_equal(read_truth(one, POLICY)[0], read_truth(other, POLICY)[0])
        np.testing.assert_array_equal(read_full(one, POLICY), read_full(other, POLICY))


def test_nobody_knows_the_whole_face_of_real_or_clean_photos(occluded: Path, prepared: Path) -> None:
    clean = read_test_set(prepared, layout="prepared")[0]
    assert read_full(clean, POLICY) is None
    known = read_test_set(occluded, layout="prepared")[0]
    assert read_full(known._replace(full_known=False), POLICY) is None


def test_glasses_can_be_left_out_of_the_score(prepared: Path, tmp_path: Path) -> None:
    record = read_test_set(prepared, layout="prepared")[0]
    label = read_parts(record)
    label[20:30, 20:40] = 3  # eye_g
    write_grey(tmp_path / "label.png", label)
    _, valid = read_truth(record._replace(truth=tmp_path / "label.png", sha256={}), FacePolicy(eyeglasses="ignore"))
    assert valid is not None
    assert not valid[20:30, 20:40].any()
    assert valid[:20].all()
