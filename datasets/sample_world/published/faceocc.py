"""FaceOcc's release: RGBA photos whose alpha is the occluder, label maps in pickles, and its test set.

CelebAHQ/{i}.png   ffhq/{id}.png   ffhqMask/{id}.pkl   internet/{kind}/*.png   texture/*.jpg   COFW_test/{img,mask}/*
"""

from __future__ import annotations

import pickle

import numpy as np

from common.image_io import write_bytes, write_image, write_mask, write_rgba
from common.seeding import generator
from datasets.sample_world.cutouts import FOLDERS, aligned_cutout
from datasets.sample_world.published.draw import JPEG_QUALITY, STREAMS, Drawn, Plan, aligned, draw
from datasets.sample_world.published.photos import renumbered
from datasets.sample_world.textures import CLASSES, texture

# FaceOcc's own ids, in its painting order.
FACEOCC_IDS = {
    name: number
    for number, name in enumerate(
        ("skin", "l_brow", "r_brow", "eye_g", "l_eye", "r_eye", "nose", "mouth", "u_lip", "l_lip", "hair", "hat"), 1
    )
}
OCCLUDERS = ("hand", "cup", "mask", "phone", "microphone", "sunglasses")


def write_faceocc(plan: Plan) -> None:
    """Write a third of the faces into each of CelebAHQ, ffhq and COFW_test, and a few occluders."""
    third = max(1, plan.faces // 3)
    for index in range(third):
        kinds = [OCCLUDERS[(index + shift) % len(OCCLUDERS)] for shift in range(3)]
        faces = [aligned(draw(plan, "FaceOcc", index + number * third, kind=kind)) for number, kind in enumerate(kinds)]
        write_rgba(plan.out / "CelebAHQ" / f"{index}.png", _rgba(faces[0]))
        name = f"{index:05d}"
        write_rgba(plan.out / "ffhq" / f"{name}.png", _rgba(faces[1]))
        label = renumbered(faces[1].before, FACEOCC_IDS)
        write_bytes(plan.out / "ffhqMask" / f"{name}.pkl", pickle.dumps(label, protocol=2))
        write_image(plan.out / "COFW_test" / "img" / f"{index + 1}.jpg", faces[2].image, quality=JPEG_QUALITY)
        write_mask(plan.out / "COFW_test" / "mask" / f"{index + 1}.png", faces[2].visible)
    _write_occluders(plan)


def _write_occluders(plan: Plan) -> None:
    for number, folder in enumerate(sorted(FOLDERS)):
        rgba = aligned_cutout(folder, rng=generator(plan.seed, STREAMS["FaceOcc"], 20_000 + number))
        write_rgba(plan.out / "internet" / folder / f"{folder}_{number}.png", rgba)
    for number, name in enumerate(sorted(CLASSES)[:2]):
        picture = texture(name, rng=generator(plan.seed, STREAMS["FaceOcc"], 30_000 + number))
        write_image(plan.out / "texture" / f"{number:03d}.jpg", picture, quality=JPEG_QUALITY)


def _rgba(drawn: Drawn) -> np.ndarray:
    return np.dstack([drawn.image, drawn.added.astype(np.uint8) * np.uint8(255)])
