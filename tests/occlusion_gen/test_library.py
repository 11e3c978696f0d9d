from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.errors import UserError
from common.image_io import write_image, write_mask, write_rgba
from occlusion_gen.library import TextureLibrary, held_out, open_occluders, open_textures
from tests.tiny_world import HOLDOUT, World

WHITE = np.full((30, 20, 4), 255, np.uint8)


def names(library: object) -> list[str]:
    if isinstance(library, TextureLibrary):
        return sorted(path.name for files in library.files.values() for path in files)
    return [library.name(index) for index in range(len(library))]  # type: ignore[attr-defined, arg-type]


@pytest.mark.parametrize("kind", ["pairs", "cutouts", "textures"])
def test_no_file_is_on_both_sides_and_none_is_lost(world: World, kind: str) -> None:
    folder = getattr(world, kind)

    def side(split: str, share: float = HOLDOUT) -> list[str]:
        if kind == "textures":
            return names(open_textures(folder, split=split, holdout_share=share, side_px=64))
        return names(open_occluders(folder, split=split, holdout_share=share, max_side_px=64))

    train, validation = side("train"), side("validation")
    assert len(train) >= 3
    assert len(validation) >= 2
    assert not set(train) & set(validation)
    assert sorted(train + validation) == sorted(side("train", 0.0))
    assert train == sorted(train)


@given(st.sets(st.text(min_size=1), min_size=1), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_what_is_held_out_stays_so_when_more_is(some: set[str], one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert held_out(sorted(some), low) <= held_out(sorted(some), high) <= some
    assert held_out(sorted(some), low)  # at least one
    assert held_out(sorted(some), 0) == set()


@given(st.sets(st.text(min_size=1), min_size=1), st.sets(st.text(min_size=1)))
def test_new_files_do_not_move_old_ones(old: set[str], new: set[str]) -> None:
    before, after = held_out(sorted(old), 0.5), held_out(sorted(old | new), 0.5)
    if len(before) > 1:
        assert after & old == before


def test_the_share_is_kept() -> None:
    assert len(held_out([f"{number}.png" for number in range(4000)], 0.1)) / 4000 == pytest.approx(0.1, abs=0.015)


def test_cut_outs_fill_their_box(tmp_path: Path) -> None:
    rgba = np.zeros((40, 50, 4), np.uint8)
    rgba[5:25, 10:40] = (200, 100, 50, 255)
    rgba[30, 45, 3] = 100  # too faint to count
    write_rgba(tmp_path / "a.png", rgba)
    cut = open_occluders(tmp_path, split="train", holdout_share=0, max_side_px=100)[0]
    assert_array_equal(cut, np.broadcast_to(np.array([200, 100, 50, 255], np.uint8), (20, 30, 4)))


def test_pairs_equal_the_same_cut_out_as_rgba(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), np.zeros((30, 40), bool)
    mask[3:20, 4:30] = True
    write_image(tmp_path / "pair" / "images" / "a.png", image)
    write_mask(tmp_path / "pair" / "masks" / "a.png", mask)
    write_rgba(tmp_path / "rgba" / "a.png", np.dstack([image, mask * np.uint8(255)]))
    pair, rgba = (
        open_occluders(tmp_path / kind, split="train", holdout_share=0, max_side_px=64)[0] for kind in ("pair", "rgba")
    )
    assert_array_equal(pair, rgba)


@pytest.mark.parametrize(("side", "size"), [(10, (10, 7)), (30, (30, 20)), (31, (30, 20))])
def test_cut_outs_are_kept_no_larger_than_needed(tmp_path: Path, side: int, size: tuple[int, int]) -> None:
    write_rgba(tmp_path / "a.png", WHITE)
    cut = open_occluders(tmp_path, split="train", holdout_share=0, max_side_px=side)[0]
    assert cut.shape == (*size, 4)
    assert (cut == 255).all()


def test_transparent_pixels_take_the_colour_of_their_neighbours(tmp_path: Path) -> None:
    rgba = np.zeros((80, 80, 4), np.uint8)  # black where transparent
    y, x = np.mgrid[:80, :80]
    rgba[np.hypot(x - 40, y - 40) < 35] = (250, 240, 230, 255)
    write_rgba(tmp_path / "a.png", rgba)
    for side in (100, 33):
        cut = open_occluders(tmp_path, split="train", holdout_share=0, max_side_px=side)[0]
        assert (cut[..., 3] < 100).any()
        assert abs(cut[..., :3].astype(int) - (250, 240, 230)).max() <= 2


def test_memory_is_kept_to_a_budget(world: World) -> None:
    library, thrifty = (open_occluders(world.pairs, split="train", holdout_share=HOLDOUT, max_side_px=64) for _ in "ab")
    thrifty.budget_bytes = 0
    for index in range(len(library)):
        assert_array_equal(library[index], thrifty[index])
        assert library[index] is library[index]
        assert thrifty[index] is not thrifty[index]


def test_textures_have_classes_by_folder_or_by_name(tmp_path: Path, world: World) -> None:
    for name in ("dots_0001.png", "dots_0002.png", "fine_net_0001.png", "plain.png"):
        write_image(tmp_path / name, WHITE[..., :3])
    library = open_textures(tmp_path, split="train", holdout_share=0, side_px=48)
    assert library.classes == ["dots", "fine_net", "plain"]
    assert library.read(library.files["dots"][0]).shape == (48, 48, 3)
    assert open_textures(world.textures, split="train", holdout_share=HOLDOUT, side_px=8).classes == ["dots", "stripes"]


def test_mistakes_in_folders_are_told(tmp_path: Path) -> None:
    def opened(folder: Path, split: str = "train", share: float = 0.0) -> object:
        return open_occluders(folder, split=split, holdout_share=share, max_side_px=64)

    with pytest.raises(UserError, match="expected a folder"):
        opened(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        opened(tmp_path / "empty")
    write_rgba(tmp_path / "one" / "a.png", WHITE)
    with pytest.raises(UserError, match="none of its 1 files belongs to the validation side at holdout_share 0;"):
        opened(tmp_path / "one", "validation")
    with pytest.raises(UserError, match=r"none of its 1 files belongs to the train side at holdout_share 0\.1;"):
        opened(tmp_path / "one", "train", 0.1)
    write_image(tmp_path / "pairs" / "images" / "a.jpg", WHITE[..., :3])
    (tmp_path / "pairs" / "masks").mkdir()
    with pytest.raises(UserError, match=r"1 images have no mask.*a\.jpg"):
        opened(tmp_path / "pairs")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((30, 20), bool), r"a\.png: nothing in it is opaque"),
        (np.ones((20, 30), bool), r"masks/a\.png: mask is \(20, 30\) but its image is \(30, 20\)"),
    ],
)
def test_a_mask_that_does_not_fit_is_told(tmp_path: Path, mask: np.ndarray, message: str) -> None:
    write_image(tmp_path / "images" / "a.png", WHITE[..., :3])
    write_mask(tmp_path / "masks" / "a.png", mask)
    library = open_occluders(tmp_path, split="train", holdout_share=0, max_side_px=64)
    with pytest.raises(UserError, match=message):
        library[0]
