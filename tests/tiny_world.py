"""A few drawn faces and occluders in the published layouts: small enough for every test, exact in every point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_points, compose, invert, scaling
from common.image_io import write_image, write_mask, write_rgba
from occlusion_gen.occluders.library import held_out

HOLDOUT = 0.4
SIDE = 256  # of the frame that faces are drawn in, see `FIVE`
FIVE = np.array([[91.87, 94.32], [163.94, 94.39], [128.38, 133.36], [98.75, 172.24], [156.82, 172.23]])

# part -> centre x, y and radius x, y of an ellipse in the frame of `FIVE`.
PARTS = {
    "skin": (128, 134, 72, 92),
    "nose": (128, 126, 12, 24),
    "l_eye": (92, 94, 15, 8),
    "r_eye": (164, 94, 15, 8),
    "u_lip": (128, 169, 28, 5),
    "l_lip": (128, 178, 28, 6),
    "hair": (128, 48, 80, 40),
}
COLOURS = {"hair": 0.25, "skin": 0.75, "nose": 0.8, "l_eye": 0.15, "r_eye": 0.15, "u_lip": 0.5, "l_lip": 0.55}


class World(NamedTuple):
    """Folders of the drawn world: the data set, occluders as pairs and as RGBA, textures."""

    root: Path
    pairs: Path
    cutouts: Path
    textures: Path


def points68() -> NDArray[np.float64]:
    """Return a frontal face in the ibug order, (68, 2) in the frame of `FIVE`, whose five points are `FIVE`."""

    def arc(x: float, y: float, radius_x: float, radius_y: float, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        angle = np.deg2rad(degrees)
        return np.column_stack([x + radius_x * np.cos(angle), y - radius_y * np.sin(angle)])

    eye_turn = np.array([180.0, 120, 60, 0, 300, 240])
    mouth = (FIVE[3] + FIVE[4]) / 2
    mouth_turn = np.array([180.0, 150, 120, 90, 60, 30, 0, 330, 300, 270, 240, 210])
    points = [
        arc(128, 134, 72, 92, np.linspace(180, 360, 17)),
        *(arc(x, 84, 22, 12, np.linspace(160, 20, 5)) for x in FIVE[:2, 0]),
        np.column_stack([np.full(4, 128.0), np.linspace(96, 126, 4)]),
        np.column_stack([np.linspace(114, 142, 5), np.full(5, 140.0)]),
        *(arc(*FIVE[eye], 15, 7, eye_turn) for eye in (0, 1)),
        arc(*mouth, 28, 9, mouth_turn),
        arc(*mouth, 22, 4, np.array([180.0, 120, 90, 60, 0, 300, 270, 240])),
    ]
    joined = np.vstack(points)
    joined[[30, 48, 54]] = FIVE[2:]
    return joined


def part_masks(frame_to_photo: Affine, size: tuple[int, int]) -> dict[str, NDArray[np.bool_]]:
    """Return where each part of `PARTS` would be painted, by name, for a photo of `size` (height, width)."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    frame = apply_to_points(invert(frame_to_photo), np.column_stack([x.ravel(), y.ravel()])).reshape(*size, 2)
    return {
        name: ((frame - part[:2]) ** 2 / np.square(part[2:])).sum(axis=2) <= 1
        for name, part in ((name, np.array(values, float)) for name, values in PARTS.items())
    }


def draw_photo(masks: dict[str, NDArray[np.bool_]], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a photo (H, W, 3) of the parts on a noisy background, in one tint."""
    size = masks["skin"].shape
    photo = rng.integers(60, 120, (*size, 3)).astype(float)
    tint = rng.uniform(0.7, 1.0, 3)
    for name, mask in masks.items():
        photo[mask] = 255 * COLOURS[name] * tint + rng.normal(0, 4, (mask.sum(), 3))
    return np.clip(photo, 0, 255).astype(np.uint8)


def face_in_photo(number: int) -> tuple[Affine, tuple[int, int]]:
    """Return the transform from the frame of `FIVE` to photo `number`, and the photo's size (height, width)."""
    size = (80 + 4 * (number % 3), 96 - 4 * (number % 2))
    scale = 0.27 + 0.01 * number
    centre = np.array([size[1] / 2 + number - 3, size[0] / 2 + 2])
    return np.array([[scale, 0, centre[0] - 128 * scale], [0, scale, centre[1] - 128 * scale]]), size


def write_faces(root: Path, *, train: int, val: int) -> None:
    """Write CelebAMask-HQ with `train` + `val` photos; photo 0 has masks of half its size, as the original has."""
    (root / "landmarks").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(train + val):
        matrix, size = face_in_photo(number)
        masks = part_masks(matrix, size)
        write_image(root / "CelebA-HQ-img" / f"{number}.jpg", draw_photo(masks, rng), quality=95)
        np.save(root / "landmarks" / f"{number}.npy", apply_to_points(matrix, points68()))
        if number == 0:
            half = (size[0] // 2, size[1] // 2)
            masks = part_masks(compose(scaling(size, half), matrix), half)
        for name, mask in masks.items():
            write_mask(root / "CelebAMask-HQ-mask-anno" / "0" / f"{number:05d}_{name}.png", mask)
        rows.append(f"{number},{'train' if number < train else 'val'}\n")
    (root / "split.csv").write_text("id,split\n" + "".join(rows))
    originals = [100 + number if number < train else 162771 + number for number in range(train + val)]
    lines = [f"{number} {original} {original + 1:06d}.jpg\n" for number, original in enumerate(originals)]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("idx orig_idx orig_file\n" + "".join(lines))


def names_on_both_sides(suffix: str) -> list[str]:
    """Return five file names of which two are held out for validation and three are not."""
    names = [f"item{number}{suffix}" for number in range(40)]
    held = held_out(names, HOLDOUT)
    return [*[name for name in names if name in held][:2], *[name for name in names if name not in held][:3]]


def write_each(names: list[str], write: Callable[[str, np.random.Generator], None]) -> None:
    """Call `write` with every name and a generator of its own."""
    for index, name in enumerate(names):
        write(name, np.random.default_rng(index))


def draw_world(folder: Path, *, train: int = 4, val: int = 2) -> World:
    """Write the whole world and return its folders."""
    world = World(folder / "celeba", folder / "pairs", folder / "cutouts", folder / "textures")
    write_faces(world.root, train=train, val=val)

    def colours(rng: np.random.Generator) -> NDArray[np.uint8]:
        return np.clip(rng.integers(0, 256, 3) + rng.normal(0, 8, (40, 32, 3)), 0, 255).astype(np.uint8)

    y, x = np.mgrid[:40, :32]
    inside = ((x - 15.5) / 11) ** 2 + ((y - 19.5) / 16) ** 2 < 1

    def write_pair(name: str, rng: np.random.Generator) -> None:
        write_image(world.pairs / "images" / name, colours(rng))
        write_mask(world.pairs / "masks" / name.replace(".jpg", ".png"), inside)

    def write_cutout(name: str, rng: np.random.Generator) -> None:
        write_rgba(world.cutouts / name, np.dstack([colours(rng), inside * np.uint8(255)]))

    write_each(names_on_both_sides(".jpg"), write_pair)
    write_each(names_on_both_sides(".png"), write_cutout)
    for kind in ("dots", "stripes"):
        write_each(
            names_on_both_sides(f"_{kind}.jpg"),
            lambda name, rng, kind=kind: write_image(world.textures / kind / name, colours(rng)),  # type: ignore[misc]
        )
    return world
