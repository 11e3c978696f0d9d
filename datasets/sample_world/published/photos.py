"""Sets of photos with a mask or a label map each: RealOcc, RealOcc-Wild, LFW-PL, LaPa, Helen, the development set."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from common.image_io import write_bytes, write_grey, write_image, write_label, write_mask, write_zero_one
from common.labels import PART_ID
from datasets.sample_world.published.draw import (
    JPEG_QUALITY,
    Drawn,
    Image8,
    Plan,
    draw,
    moved,
    soft_edge,
    write_landmarks,
)

Mask = NDArray[np.bool_]
LAPA_IDS = {
    "skin": 1, "l_brow": 2, "r_brow": 3, "l_eye": 4, "r_eye": 5, "nose": 6, "u_lip": 7, "mouth": 8, "l_lip": 9,
    "hair": 10,
}  # fmt: skip
WILD_SCALE = 1.75  # side of a photo of RealOcc-Wild / side of the portrait in it: the face is a third of it
IGNORED_SHARE = 0.02  # band at the face's outline in the development set, of the photo's side
OCCLUDER_IDS = {"hand": 1, "object": 2, "mask": 8}


def write_realocc(plan: Plan) -> None:
    """Write image/val_{n}.jpg, mask/val_{n}.png (0/1), split/val.txt."""
    for index in range(plan.faces):
        drawn = draw(plan, "RealOcc", index)
        write_image(plan.out / "image" / f"val_{index}.jpg", drawn.image, quality=JPEG_QUALITY)
        write_zero_one(plan.out / "mask" / f"val_{index}.png", drawn.visible)
        write_landmarks(plan.out, f"val_{index}", drawn)
    names = "".join(f"val_{index}\n" for index in range(plan.faces))
    write_bytes(plan.out / "split" / "val.txt", names.encode())


def write_realocc_wild(plan: Plan) -> None:
    """Write image/failed_aligned_{n}.jpg, mask/failed_aligned_{n}.png (0/255): faces that are a small part of it."""
    for index in range(plan.faces):
        small = draw(plan, "RealOcc-Wild", index)
        side = round(plan.photo_size * WILD_SCALE)
        shift = side - plan.photo_size - index % 5
        drawn = moved(small, np.array([[1.0, 0, shift // 2], [0, 1, shift]]), (side, side + 8))
        outside = _around(drawn, left=shift // 2, top=shift, side=plan.photo_size)
        drawn.image[outside] = _backdrop(small.image, drawn.label.shape)[outside]
        name = f"failed_aligned_{index}"
        write_image(plan.out / "image" / f"{name}.jpg", drawn.image, quality=JPEG_QUALITY)
        write_mask(plan.out / "mask" / f"{name}.png", drawn.visible)
        write_landmarks(plan.out, name, drawn)


def _around(drawn: Drawn, *, left: int, top: int, side: int) -> Mask:
    outside = np.ones(drawn.label.shape, np.bool_)
    outside[top : top + side, left : left + side] = False
    return outside


def _backdrop(image: Image8, size: tuple[int, ...]) -> Image8:
    """Return what may stand around a portrait, of `size` (height, width): its upper corners, stretched."""
    eighth = image.shape[0] // 8
    corners = np.hstack([image[:eighth, :eighth], image[:eighth, -eighth:]])
    return np.asarray(cv2.resize(corners, (size[1], size[0]), interpolation=cv2.INTER_CUBIC), np.uint8)


def write_lfw_pl(plan: Plan) -> None:
    """Write images/Name_0001.jpg and labels/Name_0001.png in the published colours: face green, hair red, else blue."""
    for index in range(plan.faces):
        drawn, name = draw(plan, "LFW-PL", index), f"Drawn_Person_{index:03d}_0001"
        face = drawn.visible | (drawn.label == PART_ID["neck"])
        hair = drawn.label == PART_ID["hair"]
        colours = np.dstack([hair, face, ~(hair | face)]).astype(np.uint8) * np.uint8(255)
        write_image(plan.out / "images" / f"{name}.jpg", drawn.image, quality=JPEG_QUALITY)
        write_image(plan.out / "labels" / f"{name}.png", colours)
        write_landmarks(plan.out, name, drawn)


def write_lapa(plan: Plan) -> None:
    """Write {train,val,test}/images/{n}.jpg and labels/{n}.png of LaPa's class ids."""
    splits = ("train", "val", "test")
    for index in range(max(plan.faces, len(splits))):
        _write_parts(plan, draw(plan, "LaPa", index), f"{index}", folder=splits[index % len(splits)])


def write_helen(plan: Plan) -> None:
    """Write images/{n}_1.jpg and labels/{n}_1.png of the same class ids."""
    for index in range(plan.faces):
        _write_parts(plan, draw(plan, "Helen", index), f"{1000 + index}_1", folder=".")


def _write_parts(plan: Plan, drawn: Drawn, name: str, *, folder: str) -> None:
    write_image(plan.out / folder / "images" / f"{name}.jpg", drawn.image, quality=JPEG_QUALITY)
    write_label(plan.out / folder / "labels" / f"{name}.png", renumbered(drawn.label, LAPA_IDS))
    write_landmarks(plan.out, name if folder == "." else f"{folder}/{name}", drawn)


def renumbered(label: Image8, ids: Mapping[str, int]) -> Image8:
    """Return our label map in the ids of another set; parts that it does not have become 0."""
    table = np.zeros(256, np.uint8)
    for name, number in ids.items():
        table[PART_ID[name]] = number
    return table[label]


def write_occluded_dev(plan: Plan) -> None:
    """Write images/, masks/, ignore/, occluders/ (class map) and index.csv."""
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["id", "source_file", "occluders"])
    for index in range(plan.faces):
        drawn, name = draw(plan, "occluded_dev", index), f"drawn_{index:03d}"
        classes = renumbered(drawn.label, OCCLUDER_IDS)
        if drawn.kind == "sunglasses":
            classes[drawn.label == PART_ID["eye_g"]] = 3
        band = soft_edge(drawn.visible, max(1, round(IGNORED_SHARE * plan.photo_size / 2)))
        write_image(plan.out / "images" / f"{name}.jpg", drawn.image, quality=JPEG_QUALITY)
        write_mask(plan.out / "masks" / f"{name}.png", drawn.visible)
        write_mask(plan.out / "ignore" / f"{name}.png", band)
        write_grey(plan.out / "occluders" / f"{name}.png", classes)
        write_landmarks(plan.out, name, drawn)
        rows.writerow([name, f"drawn/{name}.jpg", drawn.kind])
    write_bytes(plan.out / "index.csv", table.getvalue().encode())
