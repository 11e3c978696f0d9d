from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import RecordError, UserError
from common.image_io import read_image, write_image, write_label
from common.labels import FacePolicy
from common.manifest import read_manifest, sha256, write_manifest
from configs.schema import AugmentSection, OcclusionSection, PreparedSet, RandOccSection
from datasets import pack as packing
from datasets.__main__ import main
from datasets.augment import build_augmenter
from datasets.faces import FaceOcclusionDataset
from datasets.pack import pack
from datasets.packed import is_packed, open_packed, verify_packed
from datasets.prepared import build_face_set
from occlusion_gen.synthesiser import build_synthesiser
from tests.tiny_world import HOLDOUT, World

FILES = ("checksums.npy", "images.npy", "index.json", "labels.npy", "manifest.jsonl", "manifest.sha256")


@pytest.fixture(scope="module")
def packed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack") / "packed"
    assert pack(prepared, folder, threads=2)
    return folder


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(packed, tmp_path / "copy")


def samples(folder: Path, world: World) -> list[tuple[object, ...]]:
    """Return the bytes of twelve samples with occluders and augmentation."""
    policy = FacePolicy()
    section = OcclusionSection(
        generators={"shapes": RandOccSection(textures=world.textures, holdout_share=HOLDOUT)}, clean_share=0.2
    )
    dataset = FaceOcclusionDataset(
        build_face_set({"faces": PreparedSet(prepared=folder)}).records,
        size=48,
        policy=policy,
        seed=1,
        stream=0,
        synthesise=build_synthesiser(section, policy=policy, split="train", max_side_px=64),
        augment=build_augmenter(AugmentSection()),
    )
    found = [dataset[epoch, index] for epoch in range(2) for index in range(len(dataset))]
    return [tuple(part.numpy().tobytes() if isinstance(part, torch.Tensor) else part for part in one) for one in found]


def test_packed_and_unpacked_sets_give_the_same_bytes(prepared: Path, packed: Path, world: World) -> None:
    assert sorted(path.name for path in packed.iterdir()) == sorted(FILES)
    assert samples(packed, world) == samples(prepared, world)


def test_records_keep_what_the_manifest_says(prepared: Path, packed: Path) -> None:
    sets = [build_face_set({"a": PreparedSet(prepared=folder, split="val")}) for folder in (prepared, packed)]
    for one, two in zip(*(found.records for found in sets), strict=True):
        assert (one.id, one.subject, one.landmarks) == (two.id, two.subject, two.landmarks)
        assert (one.read().label == two.read().label).all()
    assert sets[0].crop == sets[1].crop
    assert sets[1].side_px == 64
    assert list(sets[1].manifests) == [str(packed / "manifest.jsonl")]


def test_the_arrays_are_plain_files_of_numpy(prepared: Path, packed: Path) -> None:
    images = np.load(packed / "images.npy", mmap_mode="r")
    assert images.shape == (6, 64, 64, 3)
    row = read_manifest(prepared)[3]
    assert (images[3] == read_image(prepared / row["files"]["image"])).all()
    verify_packed(packed)


def test_packing_twice_does_nothing_and_another_set_is_refused(prepared: Path, copy: Path, tmp_path: Path) -> None:
    before = (copy / "images.npy").stat().st_mtime_ns
    assert not pack(prepared, copy)
    assert (copy / "images.npy").stat().st_mtime_ns == before
    other = shutil.copytree(prepared, tmp_path / "other")
    write_manifest(other, read_manifest(other)[:4])
    with pytest.raises(UserError, match="holds another set"):
        pack(other, copy)


def killed_after(prepared: Path, out: Path, flushes: int) -> None:
    """Pack in a process of its own that is killed behind its flush number `flushes`, in the midst of the next block."""
    done, flush, read = [], packing._flush, packing._read

    def counted(*arguments: object) -> None:
        flush(*arguments)  # type: ignore[arg-type]
        done.append(True)

    def read_or_die(*arguments: object) -> object:
        if len(done) == flushes:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(*arguments)  # type: ignore[arg-type]

    packing._flush, packing._read = counted, read_or_die  # type: ignore[assignment]
    packing.BLOCK_BYTES = 2 * 64 * 64 * 4  # two faces
    pack(prepared, out)


@pytest.mark.parametrize("flushes", [0, 1, 2])
def test_a_killed_pack_goes_on_and_gives_the_same_bytes(
    prepared: Path, packed: Path, tmp_path: Path, flushes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    process = multiprocessing.get_context("fork").Process(target=killed_after, args=(prepared, out, flushes))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert not is_packed(out)
    with pytest.raises(UserError, match="run that first"):
        build_face_set({"a": PreparedSet(prepared=out)})
    read, rows = packing._read, []
    monkeypatch.setattr(packing, "_read", lambda *arguments: rows.append(arguments[1]["id"]) or read(*arguments))
    assert pack(prepared, out)
    assert len(rows) == 6 - 2 * flushes
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert all((out / name).read_bytes() == (packed / name).read_bytes() for name in FILES)


def damage(folder: Path, kind: str) -> None:
    images = folder / "images.npy"
    match kind:
        case "truncated":
            images.write_bytes(images.read_bytes()[:-100])
        case "missing":
            images.unlink()
        case "header":
            np.save(images, np.load(images).transpose(1, 0, 2, 3))
        case "manifest":
            (folder / "manifest.jsonl").write_text("")
        case "index":
            (folder / "index.json").write_text("{")
        case "version":
            content = json.loads((folder / "index.json").read_text())
            (folder / "index.json").write_text(json.dumps({**content, "format": 99}))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", r"images\.npy: is no whole array \(it has \d+ bytes, \d+ are expected\).*pack PREPARED"),
        ("missing", r"images\.npy: is no whole array \(No such file"),
        ("header", r"images\.npy: is no whole array \(it holds uint8 \(64, 6, 64, 3\)"),
        ("manifest", r"manifest\.jsonl: is not the manifest that was packed"),
        ("index", r"index\.json: cannot be read"),
        ("version", r"index\.json: is of format 99"),
    ],
)
def test_damage_is_told_when_a_set_is_opened(copy: Path, kind: str, message: str) -> None:
    damage(copy, kind)
    with pytest.raises(UserError, match=message):
        open_packed(copy)


def test_a_changed_pixel_is_found_on_demand_and_when_its_row_is_read(copy: Path) -> None:
    images = np.load(copy / "images.npy", mmap_mode="r+")
    images[2, 5, 5, 0] ^= 1
    images.flush()
    found = open_packed(copy)
    found.read("images", 1), found.read("labels", 2)
    with pytest.raises(RecordError, match=r"images\.npy: row 2 is not what was packed.*pack PREPARED"):
        found.read("images", 2)
    with pytest.raises(UserError, match=r"images\.npy: not what was packed"):
        verify_packed(copy)


def test_images_of_several_sizes_are_refused(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = shutil.copytree(prepared, tmp_path / "other")
    write_image(other / "images" / "2.png", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(UserError, match=r"files of 2 are not those of the manifest"):
        pack(other, tmp_path / "out")
    rows = read_manifest(other)
    rows[2]["sha256"]["image"] = sha256(other / "images" / "2.png")
    write_manifest(other, rows)
    shutil.copy(prepared / "labels" / "2.png", other / "labels" / "2.png")
    with pytest.raises(UserError, match=r"2\.png: label is \(64, 64\) but its image is \(32, 32\)"):
        pack(other, tmp_path / "out")


def test_a_small_disk_is_told_before_writing(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 50_000))
    with pytest.raises(UserError, match=r"0\.10 MB are needed and 0\.05 MB are free; make room"):
        pack(prepared, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_set_can_be_sent_to_another_process(packed: Path) -> None:
    records = build_face_set({"a": PreparedSet(prepared=packed)}).records
    content = records[0].read()  # maps the arrays
    text = pickle.dumps(records)
    assert len(text) < 20_000  # no pixels
    assert (pickle.loads(text)[0].read().image == content.image).all()


def test_arrays_that_only_some_samples_have(prepared: Path, tmp_path: Path) -> None:
    other = shutil.copytree(prepared, tmp_path / "other")
    rows = read_manifest(other)
    rng = np.random.default_rng(0)
    for row, kinds in ((rows[1], ("parts",)), (rows[4], ("parts", "hidden"))):
        for kind in kinds:
            name = f"{kind}/{row['id']}.png"
            write_label(other / name, rng.integers(0, 20, (64, 64), dtype=np.uint8))
            row["files"][kind], row["sha256"][kind] = name, sha256(other / name)
    write_manifest(other, rows)
    assert pack(other, tmp_path / "out")
    records = [build_face_set({"a": PreparedSet(prepared=folder)}).records for folder in (other, tmp_path / "out")]
    for one, two in zip(*records, strict=True):
        for stored, again in zip(one.read(), two.read(), strict=True):
            assert (stored is None) == (again is None)
            assert stored is None or (stored == again).all()
    assert [record.read().hidden is None for record in records[1]] == [True, True, True, True, False, True]


def test_the_commands_pack_and_verify(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["datasets/__main__.py", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    out = tmp_path / "out"
    assert "'images': (6, 64, 64, 3)" in call("pack", prepared, out, "--dry-run")
    assert not out.exists()
    assert f"{out}: packed" in call("pack", prepared, out, "--processes", 1)
    assert f"{out}: already there" in call("pack", prepared, out)
    assert "2 arrays are whole" in call("verify", out)
    (out / "labels.npy").unlink()
    with pytest.raises(SystemExit) as stop:
        call("verify", out)
    assert stop.value.code == 2
