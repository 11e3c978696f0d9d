"""Names that file systems allow, a folder of ten thousand files, and a photo that does not fit into the memory."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

from common.geometry import apply_to_points
from common.image_io import read_mask, write_bytes, write_image, write_mask
from common.jobs import run_job
from common.journal import append_rows
from common.manifest import Row, read_manifest, sha256
from common.photo_list import find_photos
from inference.mask_folder import MaskFolder
from tests.faults.stages import STAGES, Done, Stage, World
from tests.tiny_world import draw_photo, face_in_photo, part_masks, points68

NAMES = (
    "plain", "with space", " leading", "two\nlines", "a.b.c", "-dash", "Ünï漢字🙂", "'quote\"", "%s {0} $HOME `id`",
    "<img src=x onerror=alert(1)>", "back\\slash", "tab\there", "\u2028line", os.fsdecode(b"caf\xe9"), "x" * 251,
    "漢" * 83 + "ab", "a#0", "[1]*?",
)  # fmt: skip
MANY = 10_000


@pytest.fixture(scope="module")
def named(fault_world: World) -> World:
    """Photos, masks and landmarks under odd names, of the same kinds as the drawn world's."""
    root = fault_world.root / "named"
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        matrix, size = face_in_photo(number % 9)
        masks = part_masks(matrix, size)
        write_image(root / "images" / f"{name}.png", draw_photo(masks, rng))
        write_mask(root / "masks" / f"{name}.png", masks["skin"])
        (root / "landmarks").mkdir(exist_ok=True)
        np.save(root / "landmarks" / f"{name}.npy", apply_to_points(matrix, points68()))
    return fault_world._replace(root=root, prepared=root / "prepared", photos=root / "images")


def config(world: World, name: str, content: dict[str, Any]) -> str:
    data = {"root": str(world.root), "prepared": str(world.prepared)}
    (world.root / f"{name}.yaml").write_text(yaml.safe_dump({"data": data, **content}))
    return str(world.root / f"{name}.yaml")


def run(stage: str, words: list[str], world: World) -> Done:
    return Stage(stage, STAGES[stage].module, lambda world, out: words).run(world, world.root)


def succeed(stage: str, words: list[str], world: World) -> None:
    done = run(stage, words, world)
    assert done.code == 0, done.output


def test_odd_names_pass_through_everything(named: World, fault_world: World) -> None:
    root, size = named.root, {"size": 64}
    splits = root / "split.csv"
    rows = [["id", "split"], *([name, "val" if number < 3 else "train"] for number, name in enumerate(NAMES))]
    write_bytes(splits, "".join(f"{quoted(name)},{split}\n" for name, split in rows).encode(errors="surrogateescape"))
    source = {"layout": "folder", "landmarks": str(root / "landmarks"), "labels": str(root / "masks")}
    align = {"source": source, "align": size, "output": str(named.prepared), "image_format": "png"}
    succeed("align", [config(named, "align", {**align, "data": data_of(named)}), "--processes", "2"], named)
    found = {row["id"]: row["outcome"] for row in read_manifest(named.prepared)}
    assert found == dict.fromkeys(NAMES, "ok")

    shapes = {"kind": "randocc", "textures": str(fault_world.root / "textures"), "holdout_share": 0.4}
    occluded = {"split": None, "output": str(root / "occluded"), "occlusion": {"generators": {"shapes": shapes}}}
    succeed("synthesise", [config(named, "synthesise", occluded)], named)
    assert {row["id"]: row["outcome"] for row in read_manifest(root / "occluded")} == found
    succeed("pack", ["pack", str(root / "occluded"), str(root / "packed")], named)

    one = {"root": str(root / "packed"), "layout": "prepared", "crop": "resize"}
    other = {"root": str(root), "layout": "folder", "crop": "resize"}
    sets = {"own": one, "folder": other}
    scores = {"weights": str(fault_world.weights), "output": str(root / "scores"), "sets": sets}
    succeed("evaluate", [config(named, "evaluate", scores)], named)
    page = (root / "scores" / "report.html").read_text(encoding="utf-8")
    assert "onerror=alert(1)" in page
    assert "<img src=x" not in page

    words = STAGES["infer"].words(named._replace(weights=fault_world.weights), root / "masked")
    succeed("infer", words, named)
    for name in NAMES:
        read_mask(root / "masked" / "visible" / f"{name}.png")


def data_of(world: World) -> dict[str, str]:
    return {"root": str(world.photos), "prepared": str(world.prepared)}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Numbered(NamedTuple):
    """One of many."""

    id: str
    folder: Path


def write_one(record: Numbered) -> Row:
    path = record.folder / "files" / f"{record.id}.png"
    write_bytes(path, record.id.encode())
    files = {"image": f"files/{record.id}.png"}
    return {"id": record.id, "outcome": "ok", "files": files, "sha256": {"image": sha256(path)}}


def test_ten_thousand_files_in_a_folder(tmp_path: Path) -> None:
    records = [Numbered(f"{number:05d}", tmp_path) for number in range(MANY)]
    done = append_rows(tmp_path / "journal.jsonl", map(write_one, records[: MANY // 2]))
    assert len(done) == MANY // 2
    report = run_job(write_one, records, folder=tmp_path, title="many", processes=2)
    assert report.reused == MANY // 2
    assert report.outcomes == {"ok": MANY}
    assert [row["id"] for row in read_manifest(tmp_path)] == [record.id for record in records]
    photos = find_photos(str(tmp_path / "files")).photos
    assert [photo.name for photo in photos] == [record.id for record in records]
    masks = MaskFolder(tmp_path / "masks", settings={}, kinds=())
    rows = ({"id": photo.id, "outcome": "no_face", "files": {}, "sha256": {}} for photo in photos)
    assert len(list(masks.record(rows))) == MANY
    assert len(MaskFolder(tmp_path / "masks", settings={}, kinds=()).rows) == MANY


def test_a_photo_that_does_not_fit_into_the_memory_costs_no_other(fault_world: World, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number in range(3):
        matrix, size = face_in_photo(number)
        write_image(photos / f"{number}.png", draw_photo(part_masks(matrix, size), np.random.default_rng(number)))
    write_image(photos / "large.png", np.zeros((9500, 9500, 3), np.uint8))  # 271 MB in memory
    landmarks = tmp_path / "landmarks"
    landmarks.mkdir()
    for name in ("0", "1", "2", "large"):
        np.save(landmarks / f"{name}.npy", apply_to_points(face_in_photo(0)[0], points68()))
    world = fault_world._replace(root=tmp_path, photos=photos, prepared=tmp_path / "prepared")
    source = {"layout": "folder", "landmarks": str(landmarks)}
    content = {"source": source, "align": {"size": 64}, "output": str(world.prepared), "max_failed_share": 0.5}
    words = [config(world, "align", {**content, "data": data_of(world)}), "--processes", "2"]
    stage = Stage("align", STAGES["align"].module, lambda world, out: words)
    done = stage.run(world, world.prepared, before=lambda: limit_memory(90_000_000))
    assert done.code == 0, done.output
    rows = {row["id"]: row for row in read_manifest(world.prepared)}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "0": "ok", "1": "ok", "2": "ok", "large": "out_of_memory",
    }  # fmt: skip
    assert "not enough memory" in rows["large"]["reason"]
    assert stage.run(world, world.prepared).code == 0  # with more memory
    assert json.loads((world.prepared / "report.json").read_text())["reused"] == 3


def limit_memory(more_bytes: int) -> None:
    """Let this process and its children grow by so much, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
