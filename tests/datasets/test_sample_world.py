"""The sample world: the published layouts, exact labels and landmarks, the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import UserError
from common.image_io import read_image, read_mask, read_rgba
from common.labels import CELEBAMASK_PARTS, PART_ID
from datasets.sample_world import write_sample_world
from datasets.sample_world.canvas import cover, ellipse
from datasets.sample_world.cutouts import ALIGNED_POSE
from datasets.sample_world.files import draw_portrait, original_index, part_masks, split_of
from datasets.sample_world.head import Head, Pose
from datasets.sample_world.objects import PAINTERS, TEST_ONLY_CATEGORIES, TRAIN_CATEGORIES
from datasets.sample_world.scenes import TEST_ROUND, photo_to_aligned

SMALL = {"faces": 6, "test_faces": 6, "hands": 2, "objects": 8, "textures": 3, "photo_size": 128}
ALIGNED_FRONTAL = np.array([(91.87, 94.32), (163.94, 94.39), (128.38, 133.36), (98.75, 172.24), (156.82, 172.23)])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "world"
    assert write_sample_world(out, **SMALL)["reused"] is False
    return out


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def five_points(landmarks: np.ndarray) -> np.ndarray:
    eyes = [landmarks[[36, 39]].mean(axis=0), landmarks[[42, 45]].mean(axis=0)]
    return np.array([*eyes, landmarks[30], landmarks[48], landmarks[54]])


def test_the_same_arguments_give_the_same_bytes_with_any_number_of_processes(world: Path, tmp_path: Path) -> None:
    write_sample_world(tmp_path / "again", **SMALL, processes=2)
    assert digests(tmp_path / "again") == digests(world)


def test_a_face_depends_neither_on_the_count_nor_on_the_other_kinds(world: Path, tmp_path: Path) -> None:
    fewer = {**SMALL, "faces": 2, "test_faces": 1, "hands": 1, "objects": 0, "textures": 0}
    write_sample_world(tmp_path / "fewer", **fewer)
    all_files, few_files = digests(world), digests(tmp_path / "fewer")
    same = [name for name in few_files if name.startswith(("CelebAMask-HQ/CelebA", "RealOcc/image", "occluders"))]
    same = [name for name in same if not name.endswith(".txt")]
    assert len(same) > 20
    assert {name: few_files[name] for name in same} == {name: all_files[name] for name in same}


def test_another_seed_draws_other_people() -> None:
    first, second = (draw_portrait(0, seed=seed, photo_size=64) for seed in (0, 1))
    assert first.person != second.person


def test_celebamask_layout(world: Path) -> None:
    root = world / "CelebAMask-HQ"
    assert sorted(path.name for path in (root / "CelebA-HQ-img").iterdir()) == [f"{index}.jpg" for index in range(6)]
    assert read_image(root / "CelebA-HQ-img" / "0.jpg").shape == (128, 128, 3)
    masks = sorted((root / "CelebAMask-HQ-mask-anno" / "0").iterdir())
    assert {path.stem[6:] for path in masks} <= set(CELEBAMASK_PARTS)
    for path in masks:
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert stored.shape == (64, 64, 3)
        assert set(np.unique(stored)) == {0, 255}, f"{path.name} is empty or grey"
        assert path.name[5] == "_"
        assert int(path.name[:5]) < 6


def test_the_mapping_puts_one_face_in_five_into_validation(world: Path) -> None:
    lines = (world / "CelebAMask-HQ" / "CelebA-HQ-to-CelebA-mapping.txt").read_text().splitlines()
    assert lines[0].split() == ["idx", "orig_idx", "orig_file"]
    rows = [line.split() for line in lines[1:]]
    assert [int(row[0]) for row in rows] == list(range(6))
    assert all(row[2] == f"{int(row[1]) + 1:06d}.jpg" for row in rows)
    assert [162771 <= int(row[1]) < 182638 for row in rows] == [False, False, False, False, True, False]


def test_original_numbers_are_unique_and_agree_with_the_split() -> None:
    numbers = [original_index(index) for index in range(3000)]
    assert len(set(numbers)) == 3000
    assert all((number >= 162771) == (split_of(index) == "val") for index, number in enumerate(numbers))
    assert max(numbers) < 182638


@pytest.mark.parametrize("index", range(4))
def test_landmarks_lie_on_their_parts(index: int) -> None:
    portrait = draw_portrait(index, seed=5, photo_size=256)
    landmarks, head = portrait.head.landmarks, portrait.head
    assert portrait.head.rounded.shape == (68, 2)
    assert portrait.head.rounded.dtype == np.float32
    clear = portrait.person.attire.glasses == "none" and portrait.person.hair.hairline < -0.8
    if clear:
        for part, outer, inner in (("l_eye", 36, 39), ("r_eye", 45, 42)):
            columns = np.flatnonzero((portrait.label == PART_ID[part]).any(axis=0))
            corners = sorted((landmarks[outer, 0], landmarks[inner, 0]))
            # The corners taper off below one pixel of height.
            assert columns[0] == pytest.approx(corners[0], abs=0.05 * head.unit_px)
            assert columns[-1] == pytest.approx(corners[1], abs=0.05 * head.unit_px)
    x, y = np.rint(landmarks[30]).astype(int)
    assert portrait.label[y, x] in (PART_ID["nose"], PART_ID["eye_g"])
    lips = np.isin(portrait.label, [PART_ID["u_lip"], PART_ID["l_lip"], PART_ID["mouth"]])
    rows, columns = np.flatnonzero(lips.any(axis=1)), np.flatnonzero(lips.any(axis=0))
    assert columns[0] == pytest.approx(landmarks[48:60, 0].min(), abs=0.05 * head.unit_px)
    assert columns[-1] == pytest.approx(landmarks[48:60, 0].max(), abs=0.05 * head.unit_px)
    assert rows[-1] == pytest.approx(landmarks[48:60, 1].max(), abs=2.5)
    chin = head.outline[head.outline[:, 1].argmax()]
    assert landmarks[:17, 1].max() <= chin[1] + 1e-6


def test_left_is_image_left() -> None:
    label = draw_portrait(1, seed=5, photo_size=128).label
    middle = {part: np.flatnonzero((label == PART_ID[part]).any(axis=0)).mean() for part in ("l_eye", "r_eye")}
    assert middle["l_eye"] < middle["r_eye"]


def test_part_masks_rebuild_the_label_map_in_painting_order() -> None:
    label = draw_portrait(3, seed=2, photo_size=256).label
    rebuilt = np.zeros((128, 128), np.uint8)
    for name, mask in part_masks(label).items():
        rebuilt[mask] = PART_ID[name]
    uniform = (label[::2, ::2] == label[1::2, 1::2]) & (label[::2, 1::2] == label[1::2, ::2])
    uniform &= label[::2, ::2] == label[::2, 1::2]
    assert uniform.mean() > 0.9
    np.testing.assert_array_equal(rebuilt[uniform], label[::2, ::2][uniform])


def test_every_mask_and_photo_of_the_test_set_belong_together(world: Path) -> None:
    root = world / "RealOcc"
    names = (root / "split" / "val.txt").read_text().split()
    assert names == [f"val_{index}" for index in range(6)]
    for name, kind in zip(names, TEST_ROUND, strict=False):
        mask = cv2.imread(str(root / "mask" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == read_image(root / "image" / f"{name}.jpg").shape[:2] == (128, 128)
        assert set(np.unique(mask)) == {0, 1}
        landmarks = np.load(root / "landmarks" / f"{name}.npy")
        x, y = np.rint(landmarks[66] if kind == "mask" else landmarks[39]).astype(int)
        if kind in ("mask", "sunglasses"):
            assert mask[y, x] == 0


def test_occluders_hide_the_face_and_the_free_photo_shows_it(world: Path) -> None:
    shares = {}
    for index, kind in enumerate(TEST_ROUND[:6]):
        landmarks = np.load(world / "RealOcc" / "landmarks" / f"val_{index}.npy").astype(np.float32)
        hull = cv2.fillConvexPoly(
            np.zeros((128, 128), np.uint8), np.rint(cv2.convexHull(landmarks)).astype(np.int32), 1
        )
        visible = read_mask(world / "RealOcc" / "mask" / f"val_{index}.png")
        shares[kind] = float(visible[hull > 0].mean())
    assert shares["none"] > 0.85
    assert shares["mask"] < 0.6
    assert all(share < 0.97 for kind, share in shares.items() if kind != "none"), shares


def test_test_occluders_include_categories_that_training_lacks(world: Path) -> None:
    trained = {path.name.rsplit("_", 1)[0] for path in (world / "occluders" / "objects").iterdir()}
    assert trained == set(TRAIN_CATEGORIES)
    assert len(TEST_ONLY_CATEGORIES) >= 2
    assert not trained & set(TEST_ONLY_CATEGORIES)
    assert set(TEST_ONLY_CATEGORIES) <= set(TEST_ROUND) <= {*PAINTERS, "hand", "none"}


def test_hands_point_down_and_leave_by_the_upper_edge(world: Path) -> None:
    for path in sorted((world / "occluders" / "hands" / "masks").iterdir()):
        mask = read_mask(path)
        photo = read_image(world / "occluders" / "hands" / "images" / f"{path.stem}.jpg")
        assert photo.shape[:2] == mask.shape
        assert mask[0].any()
        assert not mask[-1].any()
        assert photo[~cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))).astype(bool)].min() > 225


def test_cutouts_are_straight_alpha_with_soft_edges(world: Path) -> None:
    for path in [*(world / "occluders" / "objects").iterdir(), *(world / "FaceOcc" / "internet").rglob("*.png")]:
        rgba = read_rgba(path)
        assert rgba[..., 3].max() == 255, path
        assert ((rgba[..., 3] > 20) & (rgba[..., 3] < 235)).any(), f"{path}: hard edges"
    assert all(read_rgba(path).shape == (256, 256, 4) for path in (world / "FaceOcc" / "internet").rglob("*.png"))


def test_aligned_photos_mark_their_occluder_and_come_from_training_faces(world: Path) -> None:
    files = sorted((world / "FaceOcc" / "CelebAHQ").iterdir())
    assert files
    for path in files:
        assert split_of(int(path.stem)) == "train"
        alpha = read_rgba(path)[..., 3]
        assert alpha.shape == (256, 256)
        assert set(np.unique(alpha)) == {0, 255}


def test_a_frontal_face_is_aligned_to_the_published_points() -> None:
    for pose in (ALIGNED_POSE, Pose(scale=0.26, centre=(0.46, 0.58))):
        landmarks = Head(512, pose=pose).landmarks
        matrix = photo_to_aligned(landmarks)
        aligned = five_points(landmarks) @ matrix[:, :2].T + matrix[:, 2]
        # Our head is not the template's mean head: the fit is close, not exact.
        assert np.abs(aligned - ALIGNED_FRONTAL).max() < 6.0


def test_alignment_neither_turns_nor_shears() -> None:
    matrix = photo_to_aligned(Head(512, pose=Pose(roll=0.3, yaw=0.2)).landmarks)
    np.testing.assert_allclose(matrix[:, :2], matrix[0, 0] * np.eye(2), atol=1e-12)


def test_coverage_is_the_area_of_the_shape() -> None:
    patch = cover(ellipse(np.array([31.3, 30.8]), (14.2, 9.6), samples=200), 64)
    assert patch.alpha.sum() == pytest.approx(np.pi * 14.2 * 9.6, rel=0.02)
    assert cover(ellipse(np.array([500.0, -300.0]), (5.0, 5.0)), 64).alpha.max() == 0.0


def test_a_finished_world_is_left_alone(world: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.rglob("*")}
    answer = write_sample_world(world, **SMALL)
    assert answer["reused"] is True
    assert {path: path.stat().st_mtime_ns for path in world.rglob("*")} == before


def test_a_lost_file_is_drawn_again(world: Path) -> None:
    victim = world / "RealOcc" / "mask" / "val_2.png"
    content = victim.read_bytes()
    victim.unlink()
    assert write_sample_world(world, **SMALL)["reused"] is False
    assert victim.read_bytes() == content


def test_other_arguments_are_refused_by_name(world: Path) -> None:
    with pytest.raises(UserError, match=r"hands 2 -> 3, seed 0 -> 9"):
        write_sample_world(world, **{**SMALL, "hands": 3}, seed=9)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "CelebAMask-HQ").mkdir()
    with pytest.raises(UserError, match="no sample world"):
        write_sample_world(tmp_path, **SMALL)


def test_a_half_written_world_is_completed(tmp_path: Path) -> None:
    small = {"faces": 1, "test_faces": 1, "hands": 0, "objects": 0, "textures": 0, "photo_size": 64}
    write_sample_world(tmp_path, **small)
    whole = digests(tmp_path)
    (tmp_path / "world.json").rename(tmp_path / "world.unfinished.json")
    (tmp_path / "CelebAMask-HQ" / "landmarks" / "0.npy").unlink()
    write_sample_world(tmp_path, **small)
    assert digests(tmp_path) == whole


def test_arguments_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="photo_size is 129"):
        write_sample_world(tmp_path / "odd", photo_size=129)
    with pytest.raises(UserError, match="hands is -1"):
        write_sample_world(tmp_path / "negative", hands=-1)
    assert not any(tmp_path.iterdir())


def test_the_record_names_no_time_and_no_place(world: Path) -> None:
    record = json.loads((world / "world.json").read_text())
    assert set(record) == {"format", "arguments", "counts"}
    assert str(world) not in (world / "world.json").read_text()
    assert record["arguments"] == {**SMALL, "seed": 0}
