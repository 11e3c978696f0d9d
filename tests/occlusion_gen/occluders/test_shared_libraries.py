"""What libraries keep in memory, and share between processes."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from common.image_io import write_rgba
from occlusion_gen.occluders import shared_arrays
from occlusion_gen.occluders.library import OccluderLibrary, TextureLibrary, open_occluders, open_textures
from tests.occlusion_gen.occluders.cutouts import WINDOW
from tests.tiny_world import HOLDOUT, World


@pytest.mark.parametrize("shared", [False, True])
def test_memory_is_kept_to_a_budget(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    if shared:
        share_everything(tmp_path, monkeypatch)
    library, thrifty = (
        open_occluders(world.pairs, split="train", holdout_share=HOLDOUT, max_side_px=64, budget_bytes=budget)
        for budget in (2**20, 0)
    )
    for index in range(len(library)):
        assert_array_equal(library[index], thrifty[index])
        assert library[index] is library[index]
        assert thrifty[index] is not thrifty[index]
        assert not library[index].flags.writeable


def share_everything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have even small libraries share their arrays, in a folder of the test."""
    monkeypatch.setattr(shared_arrays, "SMALL_BYTES", 0)
    monkeypatch.setenv(shared_arrays.FOLDER_VARIABLE, str(folder / "cache"))
    return folder / "cache"


def sums(library: OccluderLibrary | TextureLibrary) -> list[int]:
    """Return a sum over each array, read in whichever process this runs in."""
    if isinstance(library, TextureLibrary):
        return [int(library.read(path).sum()) for name in library.classes for path in library.files[name]]
    return [
        int(array.sum()) for index in range(len(library)) for array in (library[index], library.level(index, 0.3)[0])
    ]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_others_have_read(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    cache = share_everything(tmp_path, monkeypatch)
    copy = tmp_path / "occluders"
    shutil.copytree(world.pairs, copy)
    library = open_occluders(copy, split="train", holdout_share=0, max_side_px=64)
    expected = sums(open_occluders(world.pairs, split="train", holdout_share=0, max_side_px=64))
    pickled = len(pickle.dumps(library))
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(sums, (library,)) == expected
    shutil.rmtree(copy)  # what the worker has read needs no file any more
    assert sums(library) == expected
    assert sums(pickle.loads(pickle.dumps(library))) == expected
    assert len(pickle.dumps(library)) == pickled < 4000
    assert len(list(cache.iterdir())) == 2  # one file a folder of occluders, however many processes


def test_textures_are_shared_as_well(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sums(open_textures(world.textures, split="train", holdout_share=0, side_px=32))
    cache = share_everything(tmp_path, monkeypatch)
    library = open_textures(world.textures, split="train", holdout_share=0, side_px=32)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(sums, (library,)) == plain == sums(library)
    assert len(list(cache.iterdir())) == 1


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_everything(tmp_path, monkeypatch)

    def opened() -> OccluderLibrary:
        return open_occluders(tmp_path / "rgba", split="train", holdout_share=0, max_side_px=64)

    write_rgba(tmp_path / "rgba" / "a.png", WINDOW)
    before = opened()
    assert before[0].max() == 255
    write_rgba(tmp_path / "rgba" / "a.png", WINDOW // 255 * np.array([40, 50, 60, 255], np.uint8))
    after = opened()
    assert after[0][..., :3].max() == 60
    assert before[0][..., :3].min() == 255  # a run keeps what it began with
    assert opened().digest == after.digest


def test_the_digest_tells_folders_apart_and_not_their_places(world: World, tmp_path: Path) -> None:
    for place in ("here", "there"):
        shutil.copytree(world.cutouts, tmp_path / place / "cutouts")
    here, there = (
        open_occluders(tmp_path / place / "cutouts", split="train", holdout_share=0, max_side_px=side)
        for place, side in (("here", 64), ("there", 32))
    )
    assert here.digest == there.digest
    assert len(here.digest) == 64
    (tmp_path / "there" / "cutouts" / here.name(0)).unlink()
    less = open_occluders(tmp_path / "there" / "cutouts", split="train", holdout_share=0, max_side_px=64)
    assert less.digest != here.digest
    textures = open_textures(world.textures, split="train", holdout_share=0, side_px=8)
    assert textures.digest == open_textures(world.textures, split="train", holdout_share=0, side_px=16).digest
