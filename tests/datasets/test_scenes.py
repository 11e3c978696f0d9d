from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pydantic import ValidationError

from common.errors import UserError
from common.image_io import write_image, write_rgba
from configs.schema import ScenesSection
from datasets import scenes as scenes_module
from datasets.scenes import Scenes, build_scenes, is_held_out

SIDE = 64
KNOWN = slice(2, 4)


def face() -> tuple[np.ndarray, np.ndarray]:
    """Return a red face on green, its lower half hidden, with masks visible, full, known, known, ids."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 1] = 200
    masks = np.zeros((SIDE, SIDE, 5), np.uint8)
    masks[16:48, 16:48, 1] = 255
    masks[16:32, 16:48, 0] = 255
    masks[..., 2:4] = 255
    masks[16:48, 16:48, 4] = 7
    image[16:48, 16:48] = (250, 0, 0)
    return image, masks


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("scenes")
    for index in range(12):
        write_image(root / "textures" / f"{index}.png", np.full((40, 50, 3), (0, 0, 20 * index), np.uint8))
        cut_out = np.zeros((20, 30, 4), np.uint8)
        cut_out[5:15, 5:25] = (0, 255, 255, 255)
        write_rgba(root / "objects" / f"{index}.png", cut_out)
    return root / "textures", root / "objects"


def scenes(folders: tuple[Path, Path], **options: object) -> Scenes:
    textures, cut_outs = folders
    built = build_scenes(ScenesSection(**{"textures": textures, "cut_outs": cut_outs, **options}))
    assert built is not None
    return built


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_labels_move_with_the_face(folders: tuple[Path, Path], seed: int) -> None:
    image, masks = face()
    scene, moved = scenes(folders, share=1.0, empty_share=0.0)(
        np.random.default_rng(seed), image=image, masks=masks, known=KNOWN
    )
    assert scene.shape == image.shape
    assert moved.shape == masks.shape
    full, visible = moved[..., 1] > 0, moved[..., 0] > 0
    assert (full | ~visible).all()
    assert (moved[..., KNOWN] == 255).all()
    assert_array_equal(moved[..., 4] == 7, full)
    if full.sum() >= 200:  # the colours of smaller faces are mixed with what is around them
        assert np.mean(scene[full][:, 0] > 120) > 0.8


def test_an_empty_scene_has_no_face(folders: tuple[Path, Path]) -> None:
    image, masks = face()
    for seed in range(30):
        scene, moved = scenes(folders, share=0.0, empty_share=1.0)(
            np.random.default_rng(seed), image=image, masks=masks, known=KNOWN
        )
        assert not moved[..., [0, 1, 4]].any()
        assert (moved[..., KNOWN] == 255).all()
        assert not (scene == (250, 0, 0)).all(axis=2).any()


def test_other_samples_are_left_alone(folders: tuple[Path, Path]) -> None:
    image, masks = face()
    changed = [
        scenes(folders, share=0.3, empty_share=0.1)(np.random.default_rng(seed), image=image, masks=masks, known=KNOWN)
        for seed in range(400)
    ]
    same = [one is image and other is masks for one, other in changed]
    assert 0.52 < np.mean(same) < 0.68
    empty = [not other[..., 1].any() for _, other in changed]
    assert 0.05 < np.mean(empty) < 0.16


def test_equal_seeds_give_equal_scenes(folders: tuple[Path, Path]) -> None:
    image, masks = face()
    first, second = (
        scenes(folders, share=1.0, empty_share=0.0)(np.random.default_rng(5), image=image, masks=masks, known=KNOWN)
        for _ in range(2)
    )
    assert_array_equal(first[0], second[0])
    assert_array_equal(first[1], second[1])


def test_held_out_files_never_become_backgrounds(folders: tuple[Path, Path]) -> None:
    built = scenes(folders, holdout_share=0.5)
    used = {path.name for path in (*built.textures, *built.cut_outs)}
    assert used == {f"{index}.png" for index in range(12) if not is_held_out(f"{index}.png", 0.5)}
    assert 0 < len(used) < 12


def test_no_section_no_scenes() -> None:
    assert build_scenes(None) is None


def test_bad_options_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="add up to more than 1"):
        ScenesSection(share=0.9, empty_share=0.2)
    with pytest.raises(ValidationError, match="above 0 and at most 1"):
        ScenesSection(scale=(0.0, 1.0))
    with pytest.raises(UserError, match="expected a folder of pictures"):
        build_scenes(ScenesSection(textures=tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        build_scenes(ScenesSection(textures=tmp_path / "empty"))


def test_mixing_is_exact_to_a_grey_level() -> None:
    rng = np.random.default_rng(0)
    above, below = rng.integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    alpha = rng.integers(0, 256, (40, 40), dtype=np.uint8)
    share = alpha[..., None] / 255
    mixed = scenes_module._mixed(above, below, alpha)
    assert abs(mixed - (above * share + below * (1 - share))).max() <= 1


def test_large_backgrounds_are_kept_small_and_read_once(tmp_path: Path) -> None:
    write_image(tmp_path / "large.png", np.full((700, 1400, 3), 90, np.uint8))
    kept = scenes_module._texture(tmp_path / "large.png")
    assert kept.shape == (512, 1024, 3)
    assert not kept.flags.writeable
    (tmp_path / "large.png").unlink()
    assert scenes_module._texture(tmp_path / "large.png") is kept
