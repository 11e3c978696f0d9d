"""How well the segmenter finds faces without a detector: `python scripts/measure_self_detector.py --data DIR`.

Told for the self detector and, where its file is there, for YuNet:
    pasted    photos of landmarks68 pasted into larger backgrounds: share of faces found, more than one box a photo
    occluded  occluded_dev: IoU of the visible face, when the largest face found is segmented
    empty     textures and objects: how many faces were found where there is none
A face is found if the IoU of a box with that of its points is at least 0.5. Backgrounds, textures and objects are the
files that training keeps out of its scenes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.image_io import list_images, read_image, read_rgba
from common.labels import FacePolicy
from common.metrics import count
from common.seeding import generator
from datasets.scenes import is_held_out
from datasets.test_sets import read_test_set, read_truth
from face_align.detect import Face, YuNetDetector, find_yunet
from face_align.landmarks import read_landmarks
from face_align.locate import CropRule, Detector
from face_align.squares import Box, extent
from inference.photo_masks import predict_photo
from inference.self_detector import SelfDetector
from models.predictor import CropModel
from models.runtimes import open_predictor
from scripts.measuring import add_model, interval_text, machine_line, names_of

Image8 = NDArray[np.uint8]

PARTS = ("pasted", "occluded", "empty")
HELD_OUT = 0.5  # of textures and objects, as configs/default/train.yaml keeps them out
SCALE = (0.15, 0.8)  # longer side of a pasted photo / shorter side of its background
BACKGROUND_PX = (640, 960)  # shorter and, at most, longer side
MOST_OBJECTS = 3  # scattered over a background
FOUND_FROM = 0.5  # IoU of boxes
EMPTY_PICTURES = 100
SEED = 0

EXAMPLES = """  python scripts/measure_self_detector.py --data $OCCFACE_DATA
  python scripts/measure_self_detector.py --data $OCCFACE_DATA --weights best.safetensors --parts pasted -n 50"""


class Scene(NamedTuple):
    """A photo with one face, and the box of its points in photo pixels."""

    photo: Image8
    box: Box


class Pool(NamedTuple):
    """Pictures without faces that no training has seen."""

    textures: list[Path]
    objects: list[Path]


@exit_on_user_error
def main() -> None:
    """Print one table a part."""
    options = parse_arguments()
    photos = list_images(options.data / "landmarks68" / "images")[: options.n]
    pool = Pool(*(held_out(options.data / name) for name in ("textures/dtd_subset", "occluders/objects")))
    if options.dry_run:
        print(f"would measure {', '.join(options.parts)} of {options.weights}: {len(photos)} photos to paste, "
              f"{len(pool.textures)} textures, {len(pool.objects)} objects")  # fmt: skip
        return
    predictor = open_predictor(options.weights, device=options.device)
    detectors: dict[str, Detector] = {"self": SelfDetector(predictor)}
    if path := find_yunet():
        detectors["yunet"] = YuNetDetector(path)
    print(machine_line(getattr(predictor, "device", "cpu")))
    if "pasted" in options.parts:
        print_pasted(detectors, photos, pool)
    if "occluded" in options.parts:
        print_occluded(detectors, predictor, options.data / "occluded_dev")
    if "empty" in options.parts:
        print_empty(detectors, pool)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    arguments = parser(__doc__ or "", EXAMPLES)
    arguments.add_argument("--data", type=Path, required=True, help="holds landmarks68, occluded_dev, textures, ...")
    arguments.add_argument("--parts", type=names_of(PARTS), default=PARTS, help=f"of {','.join(PARTS)} (all)")
    add_model(arguments, what="a model with two outputs, visible and full", counted=" of landmarks68")
    return arguments.parse_args()


def held_out(folder: Path) -> list[Path]:
    """Return the pictures of a folder that training does not use as backgrounds.

    Raises:
        UserError: there is none.
    """
    paths = [path for path in list_images(folder, recursive=True) if is_held_out(path.name, HELD_OUT)]
    if not paths:
        raise UserError(f"{folder}: expected pictures that training keeps out of its scenes, found none")
    return paths


def print_pasted(detectors: dict[str, Detector], photos: Sequence[Path], pool: Pool) -> None:
    """Print, for each detector, the share of pasted faces found; they take turns on each photo."""
    found: dict[str, list[float]] = {name: [] for name in detectors}
    extra, seconds = dict.fromkeys(detectors, 0), dict.fromkeys(detectors, 0.0)
    for scene in tqdm(pasted_photos(photos, pool), desc="pasted", total=len(photos), unit="photo"):
        for name, detector in detectors.items():
            start_s = time.perf_counter()
            faces = detector.detect(scene.photo)
            seconds[name] += time.perf_counter() - start_s
            best = max((box_iou(face.box, scene.box) for face in faces), default=0.0)
            found[name].append(best)
            extra[name] += len(faces) - (best >= FOUND_FROM)
    print(f"\npasted: {len(photos)} photos at {SCALE[0]} to {SCALE[1]} of the background's shorter side")
    print(f"{'':8} {'found':>7}  {'95 %':16} {'box IoU':>8} {'other boxes':>12} {'s/photo':>8}")
    for name, scores in found.items():
        hits = [float(score >= FOUND_FROM) for score in scores]
        print(f"{name:8} {np.mean(hits):7.1%}  {interval_text(hits, digits=3):16} {np.mean(scores):8.3f} "
              f"{extra[name]:12d} {seconds[name] / len(scores):8.3f}")  # fmt: skip


def pasted_photos(photos: Sequence[Path], pool: Pool) -> Iterator[Scene]:
    """Yield each photo of landmarks68 at a random scale and place of a random background."""
    for index, path in enumerate(photos):
        rng = generator(SEED, index)
        photo = read_image(path)
        points = read_landmarks(path.parent.parent / "pts68" / f"{path.stem}.txt")
        background = draw_background(rng, pool)
        ratio = draw_scale(rng) * min(background.shape[:2]) / max(photo.shape[:2])
        small = cv2.resize(photo, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        top, left = (
            int(rng.integers(0, whole - part + 1))
            for whole, part in zip(background.shape[:2], small.shape[:2], strict=True)
        )
        background[top : top + small.shape[0], left : left + small.shape[1]] = small
        yield Scene(background, extent((points + 0.5) * ratio - 0.5 + (left, top)))


def draw_scale(rng: np.random.Generator) -> float:
    """Return a scale, each octave as likely as the next."""
    return math.exp(rng.uniform(*np.log(SCALE)))


def draw_background(rng: np.random.Generator, pool: Pool) -> Image8:
    """Return a texture with objects on it."""
    short, long = BACKGROUND_PX
    size = (short, int(rng.integers(short, long + 1)))
    size = size if rng.random() < 0.5 else size[::-1]
    texture = read_image(pool.textures[rng.integers(len(pool.textures))])
    ratio = max(whole / part for whole, part in zip(size, texture.shape[:2], strict=True))
    scene = cv2.resize(texture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_CUBIC)[: size[0], : size[1]].copy()
    for _ in range(int(rng.integers(0, MOST_OBJECTS + 1))):
        lay_object(rng, scene, read_rgba(pool.objects[rng.integers(len(pool.objects))]))
    return scene


def lay_object(rng: np.random.Generator, scene: Image8, rgba: Image8) -> None:
    """Paint a cut-out (h, w, 4) into `scene`, at 0.2 to 0.8 of its shorter side, wholly inside."""
    ratio = rng.uniform(0.2, 0.8) * min(scene.shape[:2]) / max(rgba.shape[:2])
    rgba = cv2.resize(rgba, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    height, width = rgba.shape[:2]
    top, left = int(rng.integers(0, scene.shape[0] - height + 1)), int(rng.integers(0, scene.shape[1] - width + 1))
    alpha = rgba[..., 3:] / 255.0
    place = scene[top : top + height, left : left + width]
    place[:] = np.rint(alpha * rgba[..., :3] + (1 - alpha) * place)


def print_occluded(detectors: dict[str, Detector], predictor: CropModel, root: Path) -> None:
    """Print, for each detector, the IoU of the visible face when the largest face found is segmented."""
    rule = CropRule.of(predictor)
    for name in ("helen_afw", "rmfd"):
        records = read_test_set(root / name, layout="folder", ignore="ignore")
        scores: dict[str, list[float]] = {detector: [] for detector in detectors}
        missed = dict.fromkeys(detectors, 0)
        for record in tqdm(records, desc=name, unit="photo"):
            photo = read_image(record.image)
            truth, valid = read_truth(record, FacePolicy())
            for label, detector in detectors.items():
                faces = detector.detect(photo)
                missed[label] += not faces
                mask = visible_face(predictor, rule, photo, faces)
                scores[label].append(count(mask, truth, valid=valid).face_iou)
        print(f"\n{name}: {len(records)} photos with occluded faces, largest face found")
        print(f"{'':8} {'face IoU':>9}  {'95 %':16} {'no face':>8}")
        for label, values in scores.items():
            print(f"{label:8} {np.mean(values):9.4f}  {interval_text(values):16} {missed[label]:8d}")


def visible_face(predictor: CropModel, rule: CropRule, photo: Image8, faces: Sequence[Face]) -> NDArray[np.bool_]:
    """Return the mask (H, W) of the first of `faces`, empty where there is none."""
    size = (photo.shape[0], photo.shape[1])
    if not faces:
        return np.zeros(size, np.bool_)
    matrix = rule.photo_to_crop(faces[0].points, size, box=faces[0].box)
    return predict_photo(predictor, photo, matrix)[0] > predictor.threshold


def print_empty(detectors: dict[str, Detector], pool: Pool) -> None:
    """Print how many faces each detector finds in pictures without any."""
    half = EMPTY_PICTURES // 2
    rng = generator(SEED, EMPTY_PICTURES)
    pictures: list[Callable[[], Image8]] = []
    pictures += [lambda path=path: read_image(path) for path in spread(pool.textures, half)]  # type: ignore[misc]
    pictures += [lambda path=path: object_picture(rng, path) for path in spread(pool.objects, half)]  # type: ignore[misc]
    faces, photos = dict.fromkeys(detectors, 0), dict.fromkeys(detectors, 0)
    for read in tqdm(pictures, desc="empty", unit="picture"):
        picture = read()
        for name, detector in detectors.items():
            number = len(detector.detect(picture))
            faces[name] += number
            photos[name] += number > 0
    print(f"\nempty: {len(pictures)} textures and objects without a face")
    print(f"{'':8} {'false faces':>12} {'in pictures':>12}")
    for name in detectors:
        print(f"{name:8} {faces[name]:12d} {photos[name]:12d}")


def object_picture(rng: np.random.Generator, path: Path) -> Image8:
    """Return an object on a plain ground of a random colour."""
    rgba = read_rgba(path)
    side = 2 * max(rgba.shape[:2])
    scene = np.empty((side, side, 3), np.uint8)
    scene[:] = rng.integers(0, 256, 3)
    lay_object(rng, scene, rgba)
    return scene


def spread(paths: Sequence[Path], number: int) -> list[Path]:
    """Return `number` of the paths, evenly spread; all where there are fewer."""
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(number, len(paths))).astype(int))
    return [paths[index] for index in chosen]


def box_iou(first: Box, second: Box) -> float:
    """Return the IoU of two boxes (x, y, width, height)."""
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = (min(first[axis] + first[axis + 2], second[axis] + second[axis + 2]) for axis in (0, 1))
    common = max(0.0, right - left) * max(0.0, bottom - top)
    return common / (first[2] * first[3] + second[2] * second[3] - common)


if __name__ == "__main__":
    main()
