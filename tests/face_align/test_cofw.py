from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import face_align.__main__ as script
import face_align.cofw as cofw
from common.errors import UserError
from common.geometry import apply_to_points
from common.image_io import UnreadableImageError, read_image, read_label, write_mask
from common.labels import PART_ID
from common.manifest import read_manifest, read_samples
from face_align.cofw import CofwFace, CofwLandmarks, read_cofw_photos
from face_align.landmarks import five_points
from tests.in_process import run_script
from tests.tiny_world import FIVE, draw_photo, face_in_photo, part_masks

h5py = pytest.importorskip("h5py", reason="COFW's files need h5py")
Main = Callable[..., int]


def photo_of(number: int) -> np.ndarray:
    matrix, size = face_in_photo(number)
    return draw_photo(part_masks(matrix, size), np.random.default_rng(number))


def points29(number: int) -> np.ndarray:
    """Return COFW's 29 points of a drawn face: the four corners of the eyes, nose and mouth; the rest on the chin."""
    points = np.tile([128.0, 210.0], (29, 1))
    points[[8, 10]], points[[9, 11]] = FIVE[0] + [[-8, 0], [8, 0]], FIVE[1] + [[8, 0], [-8, 0]]
    points[[20, 22, 23]] = FIVE[2:]
    return apply_to_points(face_in_photo(number)[0], points)


def write_cofw(path: Path, numbers: list[int], *, suffix: str, colour: bool) -> None:
    """Write drawn faces in the published layout: MATLAB's arrays, which HDF5 shows transposed, counted from 1."""
    photos = [photo_of(number) for number in numbers]
    points = np.stack([points29(number) + 1 for number in numbers])  # (N, 29, 2)
    phis = np.hstack([points[..., 0], points[..., 1], np.zeros((len(numbers), 29))])  # (N, 87)
    with h5py.File(path, "w", userblock_size=512) as content:
        content[f"phis{suffix}"] = phis.T
        content[f"bboxes{suffix}"] = np.tile([[11.0], [21], [30], [40]], len(numbers))
        for index, photo in enumerate(photos):
            content[f"#refs#/{index}"] = photo.T if colour else photo[..., 0].T
        references = [content[f"#refs#/{index}"].ref for index in range(len(numbers))]
        content.create_dataset(f"Is{suffix}", data=np.array([references], dtype=object), dtype=h5py.ref_dtype)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three train photos in colour and two grey test photos."""
    folder = tmp_path / "cofw"
    folder.mkdir()
    write_cofw(folder / "COFW_train_color.mat", [0, 1, 2], suffix="Tr", colour=True)
    write_cofw(folder / "COFW_test.mat", [3, 4], suffix="T", colour=False)
    return folder


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> Main:
    """Run `python -m face_align` on the files in this process and return its exit code."""

    def call(*words: str, processes: int = 1) -> int:
        config = tmp_path / "align.yaml"
        config.write_text(
            f"data: {{root: {root}, prepared: {tmp_path / 'out'}}}\nsource: {{layout: cofw}}\n"
            f"align: {{size: 64}}\noutput: {tmp_path / 'out'}\nmax_failed_share: 0.5\nimage_format: png\n"
        )
        return run_script(script.main, monkeypatch, "face_align", config, *words, "--processes", processes)

    return call


def records_of(root: Path) -> list[CofwFace]:
    records = read_cofw_photos(root)
    assert all(isinstance(record, CofwFace) for record in records)
    return [record for record in records if isinstance(record, CofwFace)]


def test_photos_come_out_as_they_went_in(root: Path) -> None:
    records = records_of(root)
    assert [record.id for record in records] == ["train_0001", "train_0002", "train_0003", "test_0001", "test_0002"]
    assert [record.split for record in records] == ["train"] * 3 + ["test"] * 2
    for number, record in enumerate(records):
        expected = photo_of(number)
        expected = expected if record.part == "train" else np.dstack([expected[..., 0]] * 3)
        np.testing.assert_array_equal(record.read_photo(), expected)


@pytest.mark.parametrize("processes", [1, 2])
def test_aligned_by_their_29_points(tmp_path: Path, main: Main, processes: int) -> None:
    assert main(processes=processes) == 0
    rows = read_samples(tmp_path / "out", labelled=False)
    assert len(rows) == 5
    for row in rows:
        assert row["scheme"] == "cofw29"
        assert row["source"] == ("COFW_train_color.mat" if row["split"] == "train" else "COFW_test.mat")
        np.testing.assert_allclose(five_points(np.array(row["landmarks"]), "cofw29"), FIVE / 4, atol=0.02)
        crop = read_image(tmp_path / "out" / row["files"]["image"]).astype(int)
        assert crop[44, 32].mean() < crop[38, 25].mean()  # the lips are darker than the cheek
    assert len({row["source_sha256"] for row in rows}) == 5


def test_a_second_run_redoes_only_the_photo_that_changed(tmp_path: Path, root: Path, main: Main) -> None:
    assert main() == 0
    images = sorted((tmp_path / "out" / "images").iterdir())
    before = [path.stat().st_mtime_ns for path in images]
    assert main() == 0
    assert [path.stat().st_mtime_ns for path in images] == before
    with h5py.File(root / "COFW_test.mat", "r+") as content:
        content["#refs#/1"][:] = 255 - content["#refs#/1"][:]
    assert main() == 0
    after = [path.stat().st_mtime_ns for path in images]
    changed = [path.stem for path, old, new in zip(images, before, after, strict=True) if old != new]
    assert changed == ["test_0002"]


def test_masks_belong_to_the_photos_after_those_of_lfpw(
    tmp_path: Path, root: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cofw, "PHOTOS_OF_LFPW", 1)
    for index in (1, 2):
        masks = part_masks(*face_in_photo(index))  # photo 1 + index, whose number from 0 is index
        write_mask(tmp_path / "masks" / f"mask_{index}.png", masks["skin"] & ~masks["hair"])
    assert main(f"source.labels={tmp_path / 'masks'}") == 0
    rows = read_samples(tmp_path / "out")
    assert [row["id"] for row in rows] == ["train_0002", "train_0003"]
    drawn = part_masks(np.array([[0.25, 0, 0], [0, 0.25, 0]]), (64, 64))
    face = drawn["skin"] & ~drawn["hair"]
    for row in rows:
        found = read_label(tmp_path / "out" / row["files"]["label"]) == PART_ID["skin"]
        assert (found & face).sum() / (found | face).sum() > 0.9
    write_mask(tmp_path / "masks" / "mask_3.png", np.ones((4, 4), bool))
    with pytest.raises(UserError, match=r"there is none for 1 masks.*mask_3\.png"):
        read_cofw_photos(root, labels=tmp_path / "masks")


def test_a_photo_that_is_damaged_is_recorded(tmp_path: Path, root: Path, main: Main) -> None:
    with h5py.File(root / "COFW_test.mat", "r+") as content:
        del content["#refs#/0"]
        content["#refs#/0"] = np.zeros((5, 5), np.float64)
        references = [content[f"#refs#/{index}"].ref for index in range(2)]
        content["IsT"][:] = np.array([references], dtype=object)
    with pytest.raises(UnreadableImageError, match="photo 1: expected H x W"):
        records_of(root)[3].read_photo()
    assert main() == 0
    outcomes = {row["id"]: row["outcome"] for row in read_manifest(tmp_path / "out")}
    assert outcomes.pop("test_0001") == "unreadable_image"
    assert set(outcomes.values()) == {"ok"}


def test_files_that_are_missing_or_others_are_told(tmp_path: Path, root: Path) -> None:
    with pytest.raises(UserError, match=r"COFW_train\.mat or COFW_train_color\.mat or .*found none; set data\.root"):
        read_cofw_photos(tmp_path)
    with pytest.raises(UserError, match=r"expected mask_1\.png"):
        read_cofw_photos(root, labels=tmp_path)
    (root / "COFW_test.mat").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"COFW_test\.mat: expected COFW's MATLAB 7\.3 file with IsT"):
        read_cofw_photos(root)


def test_split_limit_and_colour_before_grey(root: Path) -> None:
    write_cofw(root / "COFW_train.mat", [0], suffix="Tr", colour=False)
    assert len(read_cofw_photos(root)) == 5
    (root / "mine.csv").write_text("id,split\n" + "".join(f"{record.id},val\n" for record in read_cofw_photos(root)))
    records = read_cofw_photos(root, split="mine.csv", limit=4)
    assert [record.split for record in records] == ["val"] * 4


def test_landmarks_survive_a_pickle(root: Path) -> None:
    landmarks = pickle.loads(pickle.dumps(CofwLandmarks(root)))
    for part, number, drawn in (("train", 3, 2), ("test", 1, 3)):
        (found,) = landmarks.get(f"{part}_{number:04d}")
        np.testing.assert_allclose(found.points, points29(drawn), atol=1e-9)
        assert found.image_size == photo_of(drawn).shape[:2]
