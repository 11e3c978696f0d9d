from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from common.config import load_config, save_config
from common.image_io import write_grey, write_image, write_mask
from configs.schema import AlignJob, DataSection, EvalJob, OcclusionJob
from datasets.checks.command import is_override, main
from datasets.checks.jobs import load_job, named_by
from tests.html_page import Page
from tests.in_process import exit_code
from tests.tiny_world import World

Check = Callable[..., int]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Write a configuration of sets, check it, and return the exit code."""

    def run(sets: dict[str, dict[str, Any]], *words: str) -> int:
        path = tmp_path / "sets.yaml"
        data = {"root": str(tmp_path), "prepared": str(tmp_path)}
        content = {"data": data, "sets": {name: {k: str(v) for k, v in s.items()} for name, s in sets.items()}}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return exit_code(main, [str(path), "--processes", "1", *words])

    return run


def copy(drawn: Path, name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn / name, tmp_path / name))


def test_whole_sets_pass(drawn: Path, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    sets = {
        "wild": {"layout": "realocc_wild", "root": drawn / "RealOcc-Wild", "crop": "detect"},
        "cofw": {"layout": "cofw", "root": drawn / "COFW"},
        "pairs": {"layout": "mfr2", "root": drawn / "MFR2"},
        "dev": {"layout": "occluded_dev", "root": drawn / "occluded_dev", "role": "validation"},
    }
    assert check(sets) == 0
    printed = capsys.readouterr().out
    assert "nothing is wrong" in printed
    assert "photos: 6, 6 with a mask" in printed
    assert "occlusions: hand" in printed
    assert "between the sets: no photo, subject or occluder file on two sides" in printed


def test_everything_wrong_is_told_on_one_page(
    drawn: Path, tmp_path: Path, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = copy(drawn, "RealOcc", tmp_path), copy(drawn, "occluded_dev", tmp_path)
    (first / "image" / "val_0.jpg").write_bytes((first / "image" / "val_0.jpg").read_bytes()[:700])
    write_grey(first / "mask" / "val_1.png", np.full((64, 64), 3, np.uint8))
    (first / "mask" / "val_2.png").unlink()
    write_mask(second / "masks" / "drawn_003.png", np.eye(32, dtype=bool))
    write_mask(second / "masks" / "drawn_004.png", np.zeros((64, 64), bool))
    shutil.copy(second / "images" / "drawn_001.jpg", second / "images" / "drawn_002.jpg")
    sets = {
        "first": {"layout": "realocc", "root": first},
        "<b>second</b>": {"layout": "occluded_dev", "root": second},
        "absent": {"root": tmp_path / "none"},
    }
    page, data = tmp_path / "check.html", tmp_path / "check.json"
    assert check(sets, "--html", str(page), "--json", str(data), "--quarantine", str(tmp_path / "damaged")) == 1
    printed = capsys.readouterr().out
    for expected in (
        "val_0.jpg: cannot be read",
        "val_1.png: expected a mask with values {0,1}, {0,15} or {0,255}, found [3]",
        "photos without a mask in", "val_2",
        "drawn_003.png is 32 x 32",
        "1 photos without any visible face in their mask: drawn_004",
        "drawn_001 = drawn_002",
        "expected the folder of a test set, found nothing",
        "5 faults",
    ):  # fmt: skip
        assert expected in printed
    assert (tmp_path / "damaged" / "first.txt").read_text() == "val_0\nval_1\n"
    found = json.loads(data.read_text())
    assert [entry["name"] for entry in found["sets"]] == list(sets)
    assert found["sets"][0]["damaged"] == ["val_0", "val_1"]
    text = page.read_text()
    Page(text)
    assert "<b>" not in text
    assert "&lt;b&gt;second&lt;/b&gt;" in text
    assert "val_1.png" in text


def test_damaged_files_are_borne_up_to_a_share(drawn: Path, tmp_path: Path, check: Check) -> None:
    root = copy(drawn, "RealOcc", tmp_path)
    (root / "image" / "val_0.jpg").write_bytes(b"")
    sets = {"set": {"layout": "realocc", "root": root}}
    assert check(sets) == 1
    assert check(sets, "--max-damaged-share", "0.1") == 1
    assert check(sets, "--max-damaged-share", "0.2") == 0
    assert check({"set": {**sets["set"], "leave_out": tmp_path / "list.txt"}}) == 1
    (tmp_path / "list.txt").write_text("val_0\n")
    assert check({"set": {**sets["set"], "leave_out": tmp_path / "list.txt"}}) == 0


def test_quick_reads_no_pixels(drawn: Path, tmp_path: Path, check: Check) -> None:
    root = copy(drawn, "RealOcc", tmp_path)
    write_grey(root / "mask" / "val_1.png", np.full((64, 64), 3, np.uint8))
    sets = {"set": {"layout": "realocc", "root": root}}
    assert check(sets, "--quick") == 0
    assert check(sets) == 1


def png_header(width: int, height: int) -> bytes:
    """Return the beginning of a grey PNG, which promises that many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_photos_of_many_kinds_are_read_or_named(
    tmp_path: Path, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = Image.fromarray((np.arange(64 * 48) % 251).astype(np.uint8).reshape(48, 64))
    exif = Image.Exif()
    exif[0x0112] = 6  # the photo lies on its side
    folder = tmp_path / "set" / "images"
    folder.mkdir(parents=True)
    good = {"grey.png": grey, "palette.png": grey.convert("P"), "deep.png": grey.convert("I;16"),
            "rgba.png": grey.convert("RGBA"), "cmyk.jpg": grey.convert("CMYK")}  # fmt: skip
    for name, image in good.items():
        image.save(folder / name)
        write_mask(tmp_path / "set" / "masks" / f"{Path(name).stem}.png", np.ones((48, 64), bool))
    grey.convert("RGB").rotate(90, expand=True).save(folder / "turned.jpg", exif=exif)
    write_mask(tmp_path / "set" / "masks" / "turned.png", np.ones((48, 64), bool))
    assert check({"set": {"root": tmp_path / "set"}}) == 0
    for place in (folder, tmp_path / "set" / "masks"):
        (place / "bomb.png").write_bytes(png_header(16000, 9000))
    (folder / "text.jpg").write_text("no photo")
    write_mask(tmp_path / "set" / "masks" / "text.png", np.ones((4, 4), bool))
    assert check({"set": {"root": tmp_path / "set"}}) == 1
    printed = capsys.readouterr().out
    assert "bomb.png: 9000 x 16000 pixels are above the limit of 128000000" in printed
    assert "text.jpg: cannot be read (not an image of a known format" in printed


def test_configurations_of_every_command_are_understood(
    world: World, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = DataSection(root=world.root, prepared=prepared)
    align = tmp_path / "align.yaml"
    save_config(align, AlignJob(data=data, output=prepared))
    hands = {"kind": "natocc", "part": "hand", "occluders": str(world.pairs)}
    shapes = {"kind": "randocc", "textures": str(world.textures)}
    occlusion = tmp_path / "natocc.yaml"
    content = {"hands": hands, "shapes": shapes}
    occlusion.write_text(
        yaml.safe_dump(
            {"data": {"root": str(world.root), "prepared": str(prepared)}, "occlusion": {"generators": content},
             "output": str(tmp_path / "out")}
        )
    )  # fmt: skip
    assert isinstance(load_job(align, []), AlignJob)
    assert load_job(occlusion, []) == load_config(occlusion, OcclusionJob)
    main([str(align), str(occlusion), "--processes", "1"])
    printed = capsys.readouterr().out
    for expected in (
        "align.source",
        "natocc.prepared",
        "natocc.hands.occluders",
        "natocc.shapes.textures",
        "images: 10",
    ):
        assert expected in printed
    write_image(world.pairs.parent / "elsewhere" / "a.jpg", np.zeros((4, 4, 3), np.uint8))
    assert main([str(occlusion), "--dry-run"]) is None
    assert str(world.textures) in capsys.readouterr().out


def test_a_missing_folder_of_occluders_is_a_fault(world: World, prepared: Path, tmp_path: Path) -> None:
    path = tmp_path / "natocc.yaml"
    generators = {"hands": {"kind": "natocc", "part": "hand", "occluders": str(tmp_path / "none")}}
    data = {"root": str(world.root), "prepared": str(prepared)}
    path.write_text(yaml.safe_dump({"data": data, "occlusion": {"generators": generators}, "output": "out"}))
    with pytest.raises(SystemExit) as stop:
        main([str(path), "--processes", "1"])
    assert stop.value.code == 1


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("name: x\n")
    for words, message in (([str(path)], "names no data"), (["a=b"], "at least one configuration")):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_overrides_reach_every_configuration(drawn: Path) -> None:
    config = Path(__file__).parents[3] / "configs" / "data_sets" / "realocc.yaml"
    named = named_by([config, config], [f"data.root={drawn / 'RealOcc'}"])
    assert [entry.section.root for entry in named.sets] == [drawn / "RealOcc"] * 2
    assert named.sets[0].name == "realocc.realocc"
    assert isinstance(load_job(config, []), EvalJob)
    assert is_override("a=b")
    assert not is_override(str(config))
