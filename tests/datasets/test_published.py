from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from common.errors import UserError
from common.image_io import read_mask
from datasets.sample_world.published import PUBLISHED_SETS, write_published_set
from datasets.sample_world.published.draw import Plan, draw
from tests.datasets.conftest import CELEBA_FACES, FACES, PHOTO_PX


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_seeds_give_equal_files_and_others_do_not(drawn: Path, tmp_path: Path) -> None:
    again = write_published_set("MLFW", tmp_path / "a", faces=FACES, photo_size=PHOTO_PX)
    assert contents(again) == contents(drawn / "MLFW")
    other = write_published_set("MLFW", tmp_path / "b", faces=FACES, photo_size=PHOTO_PX, seed=1)
    assert contents(other) != contents(again)


def test_a_whole_set_is_left_alone_and_a_half_one_is_finished(tmp_path: Path) -> None:
    folder = write_published_set("EgoHands", tmp_path, faces=2, photo_size=64)
    frame = next(folder.rglob("*.jpg"))
    frame.unlink()
    write_published_set("EgoHands", tmp_path, faces=2, photo_size=64)
    assert not frame.exists()  # whole as far as the record says; nothing was drawn
    record = folder / "sample_data.json"
    record.write_text(record.read_text().replace("true", "false"))
    write_published_set("EgoHands", tmp_path, faces=2, photo_size=64)
    assert frame.exists()


def test_other_content_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "RealOcc" / "image").mkdir(parents=True)
    with pytest.raises(UserError, match="holds something else"):
        write_published_set("RealOcc", tmp_path)
    write_published_set("EgoHands", tmp_path, faces=1, photo_size=64)
    with pytest.raises(UserError, match="holds something else"):
        write_published_set("EgoHands", tmp_path, faces=2, photo_size=64)


@pytest.mark.parametrize("wrong", [{"name": "COCO"}, {"faces": 0}, {"photo_size": 63}, {"photo_size": 65}])
def test_arguments_out_of_range_are_told(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"known: |drawn sets need"):
        write_published_set(**{"name": "LFW", "out": tmp_path, **wrong})  # type: ignore[arg-type]


def test_cofw_is_hdf5_with_references_to_transposed_arrays(drawn: Path) -> None:
    with h5py.File(drawn / "COFW" / "COFW_test_color.mat") as content:
        references = np.asarray(content["IsT"])
        assert references.shape == (1, FACES // 2)
        first = draw(Plan(Path(), FACES, PHOTO_PX, 0), "COFW", FACES // 2)
        np.testing.assert_array_equal(np.asarray(content[references[0, 0]]).transpose(2, 1, 0), first.image)
        assert content["phisT"].shape == (87, FACES // 2)
        nose = np.asarray(content["phisT"])[[20, 49], 0] - 1
        np.testing.assert_allclose(nose, first.landmarks[30], atol=1e-4)
        assert set(np.unique(np.asarray(content["phisT"])[58:])) <= {0, 1}
        assert content["bboxesT"].shape == (4, FACES // 2)
    with h5py.File(drawn / "COFW" / "COFW_train_color.mat") as content:
        assert content["phisTr"].shape == (87, 845 + FACES // 2)


def test_the_sets_made_of_celebamask_hq_share_its_ids(drawn: Path) -> None:
    root = drawn / "CelebAMask-HQ"
    stems = {folder.name: {path.stem for path in folder.iterdir()} for folder in root.iterdir() if folder.is_dir()}
    without, occluded = stems["CelebAMask-HQ-WO-Train_img"], stems["CelebAMask-HQ-O_img"]
    assert stems["CelebAMask-HQ-WO-Train_mask"] == without
    assert stems["CelebAMask-HQ-masks_corrected"] == without | occluded
    assert not without & occluded
    assert len(stems["CelebA-HQ-img"]) == CELEBA_FACES > len(without | occluded)
    for name in without:
        pair = (
            root / "CelebAMask-HQ-WO-Train_mask" / f"{name}.png",
            root / "CelebAMask-HQ-masks_corrected" / f"{name}.png",
        )
        np.testing.assert_array_equal(*map(read_mask, pair))


@pytest.mark.parametrize("name", PUBLISHED_SETS)
def test_landmarks_lie_beside_the_photos(drawn: Path, name: str) -> None:
    files = sorted((drawn / name / "landmarks").rglob("*.npy"))
    assert bool(files) != (name in ("FaceOcc", "EgoHands"))
    assert all(np.load(path).shape == (68, 2) for path in files)
