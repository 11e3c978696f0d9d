"""What the options of test time gain and cost: `python scripts/measure_test_time.py --data DIR`.

Each option is told against the plain prediction of the same crops: per-image face IoU and boundary IoU, their
differences with 95 % intervals (bootstrap over the pairs), and the time as a multiple of the plain one's. Crops come
from YuNet, or, without its file, from the segmenter itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import exit_on_user_error
from common.image_io import read_image
from common.labels import FacePolicy, visible_mask
from common.metrics import count
from datasets.test_sets import read_test_set, read_truth
from evaluation.boundary import boundary_iou
from face_align.celebamask_hq import read_celebamask_hq, read_parts, resize_label
from face_align.detect import YuNetDetector, find_yunet
from face_align.locate import CropRule, Location, by_detector
from inference.edge_refinement import refine_edges
from inference.faces import cut_crops
from inference.photo_masks import to_patch, to_photo
from inference.self_detector import by_segmenter
from inference.test_time import sliding_refiner, with_flip, with_scales
from models.predictor import CropModel
from models.runtimes import open_predictor
from scripts.measuring import add_model, interval_text, machine_line, names_of

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SETS = ("helen_afw", "rmfd", "celebamask_hq_mini")
POLICY = FacePolicy(eyeglasses="face")  # sets without sunglasses, or with masks that leave them out

EXAMPLES = """  python scripts/measure_test_time.py --data $OCCFACE_DATA
  python scripts/measure_test_time.py --data $OCCFACE_DATA --weights runs/my/best.safetensors --sets helen_afw -n 10"""


class Example(NamedTuple):
    """A photo, where its face is visible (H, W), and which pixels are scored (None: all)."""

    photo: Image8
    truth: Mask
    valid: Mask | None


class Option(NamedTuple):
    """One way to predict.

    Attributes:
        name: for the table.
        flip: ask for the mirror image, too.
        scales: ask at several scales.
        sliding: tiles along the edges of large faces.
        edges: follow the photo's edges.
    """

    name: str
    flip: bool = False
    scales: bool = False
    sliding: bool = False
    edges: bool = False


OPTIONS = (
    Option("plain"),
    Option("flip", flip=True),
    Option("scales", scales=True),
    Option("flip + scales", flip=True, scales=True),
    Option("sliding", sliding=True),
    Option("edges", edges=True),
    Option("flip + sliding + edges", flip=True, sliding=True, edges=True),
)


class Outcome(NamedTuple):
    """Scores and times of one option, one a photo."""

    face_iou: list[float]
    boundary_iou: list[float]
    seconds: list[float]


@exit_on_user_error
def main() -> None:
    """Print one table a set."""
    options = parse_arguments()
    if options.dry_run:
        print(f"would measure {', '.join(option.name for option in OPTIONS)} of {options.weights} on "
              f"{', '.join(options.sets)}")  # fmt: skip
        return
    predictor = open_predictor(options.weights, device=options.device)
    print(machine_line(getattr(predictor, "device", "cpu")))
    for name in options.sets:
        print_table(name, measure(predictor, examples(options.data, name, limit=options.n), what=name))


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    arguments = parser("Measure gain and cost of the options of test time.", EXAMPLES)
    arguments.add_argument("--data", type=Path, required=True, help="holds occluded_dev and celebamask_hq_mini")
    arguments.add_argument("--sets", type=names_of(SETS), default=SETS, help=f"of {','.join(SETS)} (all)")
    add_model(arguments, what="a model of visible faces", counted=" of each set")
    return arguments.parse_args()


def examples(data: Path, name: str, *, limit: int | None) -> list[Example]:
    """Return the photos of a set with their truth; of CelebAMask-HQ those of the validation split."""
    if name != "celebamask_hq_mini":
        records = read_test_set(data / "occluded_dev" / name, layout="folder", ignore="ignore", limit=limit)
        return [Example(read_image(record.image), *read_truth(record, POLICY)) for record in records]
    kept = [record for record in read_celebamask_hq(data / name, split="split.csv") if record.split == "val"][:limit]
    found = []
    for record in kept:
        photo = read_image(record.image)
        label = resize_label(read_parts(record), (photo.shape[0], photo.shape[1]))
        found.append(Example(photo, visible_mask(label, POLICY), None))
    return found


def measure(predictor: CropModel, photos: Sequence[Example], *, what: str) -> dict[str, Outcome]:
    """Return the outcome of each option; on each photo they take turns, so that a busy machine slows all alike."""
    rule = CropRule.of(predictor)
    path = find_yunet()
    locate = by_detector(YuNetDetector(path), rule, max_faces=1) if path else by_segmenter(predictor, rule, max_faces=1)
    models = {option.name: wrapped(predictor, option) for option in OPTIONS}
    outcomes = {option.name: Outcome([], [], []) for option in OPTIONS}
    for example in tqdm(photos, desc=what, unit="photo"):
        locations = locate(example.photo, what)
        for option in OPTIONS:
            start_s = time.perf_counter()
            mask = predict(models[option.name], option, example.photo, locations)
            outcome = outcomes[option.name]
            outcome.seconds.append(time.perf_counter() - start_s)
            outcome.face_iou.append(count(mask, example.truth, valid=example.valid).face_iou)
            outcome.boundary_iou.append(boundary_iou(mask, example.truth, valid=example.valid))
    return outcomes


def wrapped(predictor: CropModel, option: Option) -> CropModel:
    """Return the model of crops that an option asks."""
    model = with_scales(predictor) if option.scales else predictor
    return with_flip(model) if option.flip else model


def predict(model: CropModel, option: Option, photo: Image8, locations: Sequence[Location]) -> Mask:
    """Return the mask (H, W) of the visible face, empty where no face was found."""
    size = (photo.shape[0], photo.shape[1])
    answers = model.predict_crops(cut_crops(photo, locations, size=model.size))
    bring_back = sliding_refiner(model) if option.sliding else None
    patches = [
        bring_back(photo, location, answer) if bring_back else to_patch(answer, location.photo_to_crop, size)
        for location, answer in zip(locations, answers, strict=True)
    ]
    if option.edges:
        patches = [refine_edges(photo, patch) for patch in patches]
    return to_photo(patches, size, outputs=len(model.outputs))[0] > model.threshold


def print_table(name: str, outcomes: dict[str, Outcome]) -> None:
    """Print scores, gains against the first option in points with intervals, and the ratio of times (medians)."""
    plain = outcomes[OPTIONS[0].name]
    print(f"\n{name}: n {len(plain.face_iou)}; gains in points (1/100) with 95 % intervals of the paired differences")
    print("| option | face IoU | gain | boundary IoU | gain | time |\n|---|---:|---|---:|---|---:|")
    for label, outcome in outcomes.items():
        ratio = np.median(outcome.seconds) / np.median(plain.seconds)
        face, edge = gain(outcome.face_iou, plain.face_iou), gain(outcome.boundary_iou, plain.boundary_iou)
        print(f"| {label} | {np.mean(outcome.face_iou):.4f} | {face} | {np.mean(outcome.boundary_iou):.4f} | {edge} | "
              f"{ratio:.2f} |")  # fmt: skip


def gain(scores: Sequence[float], plain: Sequence[float]) -> str:
    """Return the mean difference of paired scores in points, with its interval."""
    differences = [100 * (score - base) for score, base in zip(scores, plain, strict=True)]
    if not any(differences):
        return "0"
    return f"{np.mean(differences):+.2f} ({interval_text(differences, digits=2)})"


if __name__ == "__main__":
    main()
