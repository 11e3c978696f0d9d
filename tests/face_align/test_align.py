from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

import face_align.__main__ as script
from common.geometry import apply_to_points
from common.image_io import image_size, read_image, read_label, write_image, write_mask
from common.labels import PART_ID, FacePolicy, visible_mask
from common.manifest import is_whole, read_manifest
from configs.schema import AlignJob, AlignSection, DataSection, SourceSection
from face_align.align import build_aligner
from face_align.celebamask_hq import PhotoRecord, read_celebamask_hq
from face_align.crop import TEMPLATES
from face_align.landmark_formats import LandmarkRecord, write_landmarks_jsonl
from face_align.landmarks import five_points
from tests.tiny_world import FIVE, World, face_in_photo, part_masks

REPOSITORY = Path(__file__).resolve().parents[2]
Main = Callable[..., int]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run the script in this process and return its exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["face_align", *map(str, arguments), "--processes", "1"])
        try:
            script.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return call


def write_config(folder: Path, root: Path, more: str = "") -> Path:
    path = folder / "align.yaml"
    path.write_text(
        f"data: {{root: {root}, prepared: {folder / 'out'}}}\nsource: {{split: split.csv}}\n"
        f"align: {{size: 64}}\noutput: {folder / 'out'}\n{more}"
    )
    return path


def iou(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / (one | two).sum())


def test_crops_labels_and_landmarks_lie_on_each_other(prepared: Path) -> None:
    rows = read_manifest(prepared)
    to_crop = np.array([[0.25, 0, 0], [0, 0.25, 0]])  # the faces were drawn in the frame of a crop of 256 px
    drawn = part_masks(to_crop, (64, 64))
    offsets = []
    for row in rows:
        assert_allclose(five_points(np.array(row["landmarks"])), FIVE / 4, atol=0.02)
        assert row["residual_px"] < 0.02
        label = read_label(prepared / row["files"]["label"])
        image = read_image(prepared / row["files"]["image"]).astype(float)
        assert image.shape == (64, 64, 3)
        for eye in ("l_eye", "r_eye"):
            offsets.append(np.argwhere(label == PART_ID[eye]).mean(axis=0) - np.argwhere(drawn[eye]).mean(axis=0))
            assert image[label == PART_ID[eye]].mean() < 0.75 * image[label == PART_ID["skin"]].mean()
        face = drawn["skin"] & ~drawn["hair"]
        assert iou(visible_mask(label, FacePolicy()), face) > 0.92
        assert iou(label == PART_ID["hair"], drawn["hair"]) > 0.9
    assert abs(np.array(offsets)).max() < 1  # a pixel of the smallest masks is 2 px of the crop
    assert abs(np.mean(offsets, axis=0)).max() < 0.2


def test_rows_tell_how_the_crop_was_made(world: World, prepared: Path) -> None:
    rows = read_manifest(prepared)
    assert [row["outcome"] for row in rows] == ["ok"] * 6
    for number, row in enumerate(rows):
        assert is_whole(prepared, row)
        matrix, size = face_in_photo(number)
        assert row["photo_size"] == list(size)
        assert row["source"] == f"CelebA-HQ-img/{number}.jpg"
        expected = apply_to_points(np.array(row["photo_to_crop"]), apply_to_points(matrix, FIVE))
        assert_allclose(expected, FIVE / 4, atol=0.02)
        visible = np.isin(read_label(prepared / row["files"]["label"]), [1, 2, 4, 5, 10, 11, 12])
        assert row["face_share"] == pytest.approx(visible.mean(), abs=1e-4)
        assert row["crop"] == {"method": "pos3d", "template": "faceocc256"}
    assert image_size(world.root / rows[0]["source"]) != image_size(
        world.root / "CelebAMask-HQ-mask-anno/0/00000_skin.png"
    )


def test_small_masks_lie_exactly_on_their_photo(tmp_path: Path) -> None:
    """A photo that is its own crop, with masks of a quarter of its size: a pixel of the mask is 4 x 4 of the crop."""
    skin = np.zeros((64, 64), bool)
    skin[16:48, 20:44] = True
    write_mask(tmp_path / "skin.png", skin)
    write_image(tmp_path / "0.png", np.zeros((256, 256, 3), np.uint8))
    np.save(tmp_path / "0.npy", TEMPLATES["faceocc256"][1])
    job = AlignJob(
        data=DataSection(root=tmp_path, prepared=tmp_path),
        align=AlignSection(method="similarity5", size=256),
        output=tmp_path / "out",
    )
    record = PhotoRecord("0", tmp_path / "0.png", {"skin": tmp_path / "skin.png"}, tmp_path / "0.npy", "train", "0")
    build_aligner(job)(record)
    label = read_label(tmp_path / "out" / "labels" / "0.png")
    np.testing.assert_array_equal(label == PART_ID["skin"], np.kron(skin, np.ones((4, 4), bool)))


@pytest.mark.parametrize("method", ["pos3d", "similarity5"])
def test_the_method_decides_about_roll(world: World, tmp_path: Path, method: str) -> None:
    root = shutil.copytree(world.root, tmp_path / "celeba")
    points = np.load(root / "landmarks" / "1.npy")
    centre, turn = points.mean(axis=0), np.array([[0.96, -0.28], [0.28, 0.96]])
    np.save(root / "landmarks" / "1.npy", ((points - centre) @ turn.T + centre).T)  # (2, 68)
    job = AlignJob(
        data=DataSection(root=root, prepared=tmp_path / "out"),
        source=SourceSection(split="split.csv"),
        align=AlignSection(method=method, size=64, fill="black"),
        output=tmp_path / "out",
    )
    row = build_aligner(job)(read_celebamask_hq(root, split="split.csv")[1])
    eyes = np.diff(five_points(np.array(row["landmarks"]))[:2], axis=0)[0]
    assert np.degrees(np.arctan2(eyes[1], eyes[0])) == pytest.approx(16.3 if method == "pos3d" else 0.06, abs=0.1)
    assert row["files"]["image"].endswith(".jpg")


def spoil(root: Path) -> dict[str, str]:
    """Damage photos 1 to 5 in different ways and return id -> expected outcome."""
    masks = root / "CelebAMask-HQ-mask-anno" / "0"
    (root / "landmarks" / "1.npy").unlink()
    np.save(root / "landmarks" / "2.npy", np.zeros((5, 3)))
    photo = root / "CelebA-HQ-img" / "3.jpg"
    photo.write_bytes(photo.read_bytes()[:900])
    write_mask(masks / "00004_skin.png", np.zeros((84, 96), bool))
    for path in masks.glob("00005_*.png"):
        write_mask(path, np.ones((40, 80), bool))
    return {"1": "no_landmarks", "2": "bad_landmarks", "3": "unreadable_image", "4": "bad_label", "5": "bad_label"}


def test_bad_photos_are_recorded_and_the_others_go_on(world: World, tmp_path: Path, main: Main) -> None:
    root = shutil.copytree(world.root, tmp_path / "celeba")
    expected = spoil(root)
    config = write_config(tmp_path, root, "max_failed_share: 0.9")
    assert main(config) == 0
    rows = read_manifest(tmp_path / "out")
    assert {row["id"]: row["outcome"] for row in rows} == {"0": "ok", **expected}
    assert all(row["reason"] and row["id"] in row["reason"] for row in rows[1:])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["outcomes"] == {"ok": 1, "bad_label": 2, "no_landmarks": 1, "bad_landmarks": 1, "unreadable_image": 1}
    assert len(report["failures"]) == 5
    assert (tmp_path / "out" / "contact_sheet.jpg").exists()
    shutil.copytree(world.root, root, dirs_exist_ok=True)  # the files are mended: a second run does what is missing
    assert main(config) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["reused"] == 1
    assert {row["outcome"] for row in read_manifest(tmp_path / "out")} == {"ok"}


def test_too_many_bad_photos_end_with_2(
    world: World, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(world.root, tmp_path / "celeba")
    spoil(root)
    assert main(write_config(tmp_path, root)) == 2
    assert "5 of 6 records failed" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["RGBA", "I;16", "L", "EXIF"])
def test_photos_of_every_kind_are_aligned_the_same(world: World, tmp_path: Path, main: Main, kind: str) -> None:
    root = shutil.copytree(world.root, tmp_path / "celeba")
    path = root / "CelebA-HQ-img" / "1.jpg"
    photo = read_image(path)
    image = Image.fromarray(photo)
    exif = Image.Exif()
    path.unlink()
    path = path.with_suffix(".png")
    match kind:
        case "RGBA":
            image.putalpha(Image.fromarray(photo[..., 0]))
        case "I;16":
            image = Image.fromarray(np.array(image.convert("L")).astype(np.uint16) * 257)
        case "L":
            image = image.convert("L")
        case "EXIF":
            image = Image.fromarray(np.ascontiguousarray(np.rot90(photo)))
            exif[0x0112] = 6
    image.save(path, exif=exif)
    assert main(write_config(tmp_path, root, "image_format: png"), "source.limit=2") == 0
    row = read_manifest(tmp_path / "out")[1]
    original = build_aligner(
        AlignJob(
            data=DataSection(root=world.root, prepared=tmp_path / "x"),
            align=AlignSection(size=64),
            output=tmp_path / "x",
            image_format="png",
        )
    )(read_celebamask_hq(world.root)[1])
    assert row["photo_to_crop"] == original["photo_to_crop"]
    found, expected = (
        read_image(folder / "images" / "1.png").mean(axis=2) for folder in (tmp_path / "out", tmp_path / "x")
    )
    assert abs(found - expected).mean() < (8 if kind in ("I;16", "L") else 1e-9)


def test_the_command_repeats_itself_and_guards_its_folder(world: World, tmp_path: Path) -> None:
    """The real command once, on two processes; then its mistakes."""
    config = write_config(tmp_path, world.root)
    command = [sys.executable, "-m", "face_align", str(config)]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
        )

    done = run("--processes", "2")
    assert done.returncode == 0, done.stderr
    assert "'ok': 6" in done.stdout
    out = tmp_path / "out"
    kept = {path.name for path in out.iterdir()}
    files = {"config.yaml", "contact_sheet.jpg", "histograms.png", "manifest.jsonl", "manifest.sha256", "report.json"}
    assert kept == {*files, "images", "labels"}
    other = run("align.size=32")
    assert other.returncode == 2
    assert "align.size: 64 -> 32" in other.stderr
    assert "Traceback" not in other.stderr


def test_one_process_writes_the_same_manifest_as_two(world: World, tmp_path: Path, main: Main) -> None:
    config = write_config(tmp_path, world.root)
    assert main(config) == 0
    one = (tmp_path / "out" / "manifest.jsonl").read_bytes()
    assert main(config) == 0
    assert (tmp_path / "out" / "manifest.jsonl").read_bytes() == one
    records = read_celebamask_hq(world.root, split="split.csv")
    job = AlignJob(
        data=DataSection(root=world.root, prepared=tmp_path),
        align=AlignSection(size=64),
        output=tmp_path / "again",
    )
    rows = [build_aligner(job)(record) for record in reversed(records)]
    assert list(reversed(rows)) == read_manifest(tmp_path / "out")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["algin.size=32"], "algin: unknown key; did you mean 'align'?"),
        (["align.siez=32"], "align.siez: unknown key; did you mean 'size'?"),
        (["align.method=eyes"], "align.method: "),
        (["align.size=8"], "align.size: "),
        (["data.root=/nowhere/at/all"], "/nowhere/at/all/CelebA-HQ-img"),
        (["source.landmarks=/nowhere"], "/nowhere"),
        (["source.split=none.csv"], "none.csv"),
        (["face.face=[skin, brows]"], "unknown parts ['brows']"),
    ],
)
def test_mistakes_in_the_configuration_end_with_2(
    world: World, tmp_path: Path, main: Main, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(write_config(tmp_path, world.root), *overrides) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_writes_nothing(world: World, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, world.root)
    assert main(config, "--dry-run") == 0
    text = capsys.readouterr().out
    assert "would align 6 photos {'train': 4, 'val': 2}" in text
    assert "method: pos3d" in text
    assert [path.name for path in tmp_path.iterdir()] == ["align.yaml"]


def test_a_folder_of_somebody_else_is_left_alone(
    world: World, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "out" / "holiday.png", np.zeros((2, 2, 3), np.uint8))
    assert main(write_config(tmp_path, world.root)) == 2
    assert "is not the output of this command" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["holiday.png"]


@pytest.mark.parametrize("method", ["bbox", "box", "none"])
def test_methods_without_a_template(world: World, tmp_path: Path, main: Main, method: str) -> None:
    assert main(write_config(tmp_path, world.root), f"align.method={method}") == 0
    rows = read_manifest(tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["ok"] * 6
    for row in rows:
        assert read_image(tmp_path / "out" / row["files"]["image"]).shape == (64, 64, 3)
        assert row["crop"]["method"] == method
        assert ("landmarks" in row) == (method != "none")
        label = read_label(tmp_path / "out" / row["files"]["label"])
        assert 0.05 < (label == PART_ID["skin"]).mean() < 0.9
        if method != "none":
            points = np.array(row["landmarks"])
            assert (points > -1).all()
            assert (points < 65).all()


def test_options_of_the_crop_reach_it(world: World, tmp_path: Path) -> None:
    def matrix(**keys: object) -> np.ndarray:
        job = AlignJob(
            data=DataSection(root=world.root, prepared=tmp_path),
            align=AlignSection(size=64, **keys),  # type: ignore[arg-type]
            output=tmp_path / "out",
        )
        return np.array(build_aligner(job)(read_celebamask_hq(world.root, split="split.csv")[1])["photo_to_crop"])

    assert matrix(method="box", box_scale=2.6)[0, 0] == pytest.approx(matrix(method="box")[0, 0] / 2)
    assert matrix(legacy_offsets=True)[1, 2] < matrix()[1, 2]
    assert not np.allclose(matrix(method="similarity5", template="ffhq"), matrix(method="similarity5"))


def test_known_faults_are_recorded_and_can_be_kept(world: World, tmp_path: Path, main: Main) -> None:
    root = shutil.copytree(world.root, tmp_path / "celeba")
    for path in [*root.glob("CelebA-HQ-img/1.jpg"), *root.glob("landmarks/1.npy")]:
        path.rename(path.with_stem("481"))
    for path in (root / "CelebAMask-HQ-mask-anno" / "0").glob("00001_*.png"):
        path.rename(path.with_name(path.name.replace("00001", "00481")))
    with (root / "CelebA-HQ-to-CelebA-mapping.txt").open("a") as stream:
        stream.write("481 481 000482.jpg\n")
    config = write_config(tmp_path, root, "max_failed_share: 0.5\n")
    assert main(config, "source.split=official") == 0
    (row,) = [row for row in read_manifest(tmp_path / "out") if row["id"] == "481"]
    assert row["outcome"] == "known_fault"
    shutil.rmtree(tmp_path / "out")
    assert main(config, "source.split=official", "faults=keep") == 0
    assert {row["outcome"] for row in read_manifest(tmp_path / "out")} == {"ok"}


def test_landmarks_of_celebamask_hq_from_one_file(world: World, tmp_path: Path, main: Main) -> None:
    records = read_celebamask_hq(world.root, split="split.csv")
    size = image_size(records[0].image)
    faces = [LandmarkRecord(record.id, np.load(record.landmarks), "ibug68", None) for record in records]
    faces[0] = faces[0]._replace(points=(faces[0].points + 0.5) * 2 - 0.5, image_size=(2 * size[0], 2 * size[1]))
    write_landmarks_jsonl(tmp_path / "points.jsonl", faces)
    assert main(write_config(tmp_path, world.root), f"source.landmarks={tmp_path / 'points.jsonl'}") == 0
    for row in read_manifest(tmp_path / "out"):
        assert_allclose(five_points(np.array(row["landmarks"])), FIVE / 4, atol=0.02)
