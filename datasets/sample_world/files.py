"""One function for each kind of file of the sample world, in the layout that the data set was published in.

```
CelebAMask-HQ/CelebA-HQ-img/{i}.jpg                                    photos
CelebAMask-HQ/CelebAMask-HQ-mask-anno/{i//2000}/{i:05d}_{part}.png     3-channel 0/255, half the photo's size
CelebAMask-HQ/CelebA-HQ-to-CelebA-mapping.txt                          idx orig_idx orig_file
CelebAMask-HQ/landmarks/{i}.npy                                        (68, 2) float32, pixels of the photo
occluders/hands/images/hand_{n:04d}.jpg, masks/hand_{n:04d}.png        on white, fingers down
occluders/objects/{category}_{n:04d}.png                               RGBA
textures/{class}/{class}_{n:04d}.jpg                                   256 px
FaceOcc/internet/{kind}/*.png, CelebAHQ/{i}.png                        RGBA, 256 px; FaceOcc/texture/*.jpg
RealOcc/image/val_{n}.jpg, mask/val_{n}.png, split/val.txt             masks 0/1; landmarks/val_{n}.npy is our addition
```
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.image_io import write_bytes, write_grey, write_image, write_mask, write_rgba
from common.labels import CELEBAMASK_PARTS, PART_ID
from common.seeding import generator
from datasets.sample_world.cutout import trim
from datasets.sample_world.cutouts import FOLDERS, aligned_cutout
from datasets.sample_world.face import Portrait, develop, render_face
from datasets.sample_world.hand_pose import draw_hand
from datasets.sample_world.hands import hand_picture
from datasets.sample_world.lighting import draw_light
from datasets.sample_world.objects import TRAIN_CATEGORIES, object_picture
from datasets.sample_world.person import draw_person
from datasets.sample_world.scenes import ALIGNED_ROUND, TEST_ROUND, aligned_rgba, occlude, visible_face
from datasets.sample_world.textures import CLASSES, texture

# Streams of the generator; far from those of training, which share its seeds.
FACE, FACE_NOISE, TEST, ALIGNED, HAND, OBJECT, TEXTURE, CUTOUT, FACEOCC_TEXTURE = range(7001, 7010)
# "skin" runs under whatever lies on the face, as in the published masks.
ON_SKIN = ("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")
FIRST_VALIDATION, FIRST_TEST = 162771, 182638
STRIDE = 7919  # a prime, so that ids do not repeat
JPEG_QUALITY = 93


class World(NamedTuple):
    """What every job needs to know: the folder, the seed, and the photo's width and height in pixels."""

    out: Path
    seed: int
    photo_size: int


def split_of(index: int) -> str:
    """Return "train" or "val": every fifth face is for validation, however many are drawn."""
    return "val" if index % 5 == 4 else "train"


def original_index(index: int) -> int:
    """Return the CelebA index of a face, in the range that the official rule gives to its split."""
    if split_of(index) == "train":
        return (STRIDE * (index + 1)) % FIRST_VALIDATION
    return FIRST_VALIDATION + (STRIDE * (index + 1)) % (FIRST_TEST - FIRST_VALIDATION)


def mapping_text(faces: int) -> str:
    """Return the table from our numbers to CelebA's, with its header."""
    rows = [f"{index:<11} {original_index(index):<11} {original_index(index) + 1:06d}.jpg" for index in range(faces)]
    return "\n".join(["idx         orig_idx    orig_file", *rows, ""])


def draw_portrait(index: int, *, seed: int, photo_size: int) -> Portrait:
    """Return the portrait number `index` of the training and validation faces."""
    rng = generator(seed, FACE, index)
    return render_face(draw_person(rng), size_px=photo_size, rng=rng)


def part_masks(label: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    """Return the masks of the parts that exist, each (S/2, S/2) bool, from a label map (S, S)."""
    small = (label.shape[1] // 2, label.shape[0] // 2)
    masks = {}
    for name in CELEBAMASK_PARTS:
        ids = [PART_ID[other] for other in ON_SKIN] if name == "skin" else [PART_ID[name]]
        area = np.isin(label, ids).astype(np.uint8) * np.uint8(255)
        if area.any():
            mask = cv2.resize(area, small, interpolation=cv2.INTER_AREA) >= 127
            if mask.any():
                masks[name] = mask
    return masks


def write_face(world: World, index: int) -> None:
    """Write photo, part masks and landmarks of one face."""
    root = world.out / "CelebAMask-HQ"
    portrait = draw_portrait(index, seed=world.seed, photo_size=world.photo_size)
    person = portrait.person
    rng = generator(world.seed, FACE_NOISE, index)
    image = develop(portrait.image, grain=person.grain, soft_px=person.soft_px, rng=rng)
    write_image(root / "CelebA-HQ-img" / f"{index}.jpg", image, quality=JPEG_QUALITY)
    folder = root / "CelebAMask-HQ-mask-anno" / str(index // 2000)
    for name, mask in part_masks(portrait.label).items():
        grey = mask.astype(np.uint8) * np.uint8(255)
        write_image(folder / f"{index:05d}_{name}.png", np.dstack([grey] * 3))
    _write_array(root / "landmarks" / f"{index}.npy", portrait.head.rounded)


def write_test_face(world: World, index: int) -> None:
    """Write one photo of the test set with its mask of the visible face and its landmarks."""
    root, rng = world.out / "RealOcc", generator(world.seed, TEST, index)
    kind = TEST_ROUND[index % len(TEST_ROUND)]
    person = draw_person(rng, glasses=0.0 if kind in ("sunglasses", "camera") else 0.10)
    scene = occlude(render_face(person, size_px=world.photo_size, rng=rng), kind, rng=rng)
    write_image(root / "image" / f"val_{index}.jpg", scene.image, quality=JPEG_QUALITY)
    write_grey(root / "mask" / f"val_{index}.png", visible_face(scene))
    _write_array(root / "landmarks" / f"val_{index}.npy", scene.head.rounded)


def write_aligned(world: World, index: int) -> None:
    """Write the aligned photo of training face `index` with an occluder, marked in alpha."""
    rng = generator(world.seed, ALIGNED, index)
    portrait = draw_portrait(index, seed=world.seed, photo_size=world.photo_size)
    kind = ALIGNED_ROUND[int(rng.integers(len(ALIGNED_ROUND)))]
    if kind == "sunglasses" and portrait.person.attire.glasses != "none":
        kind = "hand"
    write_rgba(world.out / "FaceOcc" / "CelebAHQ" / f"{index}.png", aligned_rgba(occlude(portrait, kind, rng=rng)))


def write_hand(world: World, index: int) -> None:
    """Write a hand on white and its mask."""
    rng = generator(world.seed, HAND, index)
    unit_px = max(24.0, world.photo_size * 0.23)
    image, mask = hand_picture(draw_hand(rng), draw_light(rng), unit_px=unit_px, rng=rng)
    root = world.out / "occluders" / "hands"
    write_image(root / "images" / f"hand_{index:04d}.jpg", image, quality=JPEG_QUALITY)
    write_mask(root / "masks" / f"hand_{index:04d}.png", mask)


def write_object(world: World, index: int) -> None:
    """Write a cut-out of one of the training categories, in turn."""
    rng = generator(world.seed, OBJECT, index)
    category = TRAIN_CATEGORIES[index % len(TRAIN_CATEGORIES)]
    rgba = trim(object_picture(category, draw_light(rng), size_px=max(64, world.photo_size * 5 // 8), rng=rng))
    write_rgba(world.out / "occluders" / "objects" / f"{category}_{index:04d}.png", rgba)


def write_texture(world: World, index: int) -> None:
    """Write a texture of one of the classes, in turn."""
    name = sorted(CLASSES)[index % len(CLASSES)]
    image = texture(name, rng=generator(world.seed, TEXTURE, index))
    write_image(world.out / "textures" / name / f"{name}_{index:04d}.jpg", image, quality=JPEG_QUALITY)


def write_cutout(world: World, index: int) -> None:
    """Write a cut-out on the aligned canvas into one of the folders, in turn."""
    folder = sorted(FOLDERS)[index % len(FOLDERS)]
    rgba = aligned_cutout(folder, rng=generator(world.seed, CUTOUT, index))
    write_rgba(world.out / "FaceOcc" / "internet" / folder / f"{folder}_{index:04d}.png", rgba)


def write_faceocc_texture(world: World, index: int) -> None:
    """Write a texture for masks and glasses of the aligned face."""
    rng = generator(world.seed, FACEOCC_TEXTURE, index)
    name = sorted(CLASSES)[index % len(CLASSES)]
    write_image(world.out / "FaceOcc" / "texture" / f"{index:03d}.jpg", texture(name, rng=rng), quality=JPEG_QUALITY)


def _write_array(path: Path, array: NDArray[np.float32]) -> None:
    stream = io.BytesIO()
    np.save(stream, array)
    write_bytes(path, stream.getvalue())


JOBS: dict[str, Callable[[World, int], None]] = {
    "face": write_face, "test": write_test_face, "aligned": write_aligned, "hand": write_hand, "object": write_object,
    "texture": write_texture, "cutout": write_cutout, "faceocc_texture": write_faceocc_texture,
}  # fmt: skip
