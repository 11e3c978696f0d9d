"""Score weights on test sets: `python eval.py CONFIG weights=FILE`.

Each set gets a folder with per_image.csv, summary.json and worst_cases.jpg; summary.json one level up holds all sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.cli import add_config, parse, parser, print_dry_run
from common.config import load_config
from common.errors import UserError, exit_on_user_error
from common.geometry import apply_to_image
from common.image_io import read_image, write_image
from common.jobs import claim_folder
from common.labels import FacePolicy
from common.manifest import sha256
from common.metrics import count
from common.visualize import blend, contact_sheet, show_errors
from configs.schema import EvalJob, EvalSet
from datasets.test_sets import TestImage, build_test_set, read_truth
from evaluation.scores import ImageScore, Summary, summarise, table, write_per_image, write_summary
from face_align.detect import YuNetDetector, require_yunet
from face_align.locate import CropRule, Locator, by_detector, by_landmarks, centred_square, whole_photo
from inference.photo_masks import to_patch, to_photo
from models.predictor import CropPredictor

EXAMPLES = """  python eval.py configs/sample/eval.yaml weights=runs/sample/train/checkpoints/best.safetensors
  python eval.py configs/mini/eval.yaml weights=FILE device=cuda batch_size=32
  python eval.py configs/mini/eval.yaml weights=FILE threshold=0.6 output=runs/threshold_06 --dry-run"""

CROP_PROTOCOL = {
    "detect": "largest face found by YuNet, aligned; where none is found, the whole photo in a centred square",
    "landmarks": "aligned by the landmark files",
    "resize": "the whole photo resized to the model's input, and the probability resized back",
}
TILE_PX = 200


class Prediction(NamedTuple):
    """What the model says about a photo.

    Attributes:
        probabilities: (K, H, W) float32 at the photo's own size.
        face_found: False where the detector found no face and the whole photo was taken.
    """

    record: TestImage
    probabilities: NDArray[np.float32]
    face_found: bool


@exit_on_user_error
def main() -> None:
    """Score every test set of a configuration."""
    arguments = parser("Score weights on test sets.", EXAMPLES)
    add_config(arguments)
    options = parse(arguments)
    job = load_config(options.config, EvalJob, options.overrides)
    if job.weights is None:
        raise UserError(
            f"{options.config}: which weights shall be scored? Add weights=FILE (train.py writes such a file)"
        )
    output = job.output or default_output(job.weights)
    test_sets = {name: build_test_set(section) for name, section in job.sets.items()}
    if options.dry_run:
        sizes = ", ".join(f"{name} (n = {len(records)})" for name, records in test_sets.items())
        print_dry_run(job, f"would score {job.weights} on {sizes} into {output}")
        return
    predictor = CropPredictor.from_file(job.weights, device=job.device)
    locators = {name: build_locator(section, predictor) for name, section in job.sets.items()}
    for name in job.sets:
        claim_folder(output / name, claim_of(job, name))
    summaries = [
        evaluate_set(name, test_sets[name], predictor=predictor, locate=locators[name], job=job, output=output / name)
        for name in job.sets
    ]
    write_summary(output / "summary.json", summaries)
    print(table(summaries))
    for name in job.sets:
        print(output / name / "worst_cases.jpg")
    print(output / "summary.json")


def default_output(weights: Path) -> Path:
    """Return the folder eval/ of the run that `weights` belong to, or one below runs/ for weights of no run."""
    if weights.parent.name == "checkpoints":
        return weights.parent.parent / "eval"
    return Path("runs") / weights.stem / "eval"


def claim_of(job: EvalJob, name: str) -> EvalJob:
    """Return what decides the scores of one set: the job without its other sets and without what changes speed only."""
    speed = {field: EvalJob.model_fields[field].default for field in ("batch_size", "device", "worst_cases", "output")}
    return job.model_copy(update={**speed, "sets": {name: job.sets[name]}})


def build_locator(section: EvalSet, predictor: CropPredictor) -> Locator:
    """Return what says where the crop of a photo lies.

    Raises:
        UserError: the face detector is needed and missing.
    """
    rule = CropRule(predictor.method, predictor.template, predictor.size)
    match section.crop:
        case "detect":
            return by_detector(YuNetDetector(require_yunet()), rule, max_faces=1)
        case "landmarks":
            assert section.landmarks is not None  # judged by the schema
            return by_landmarks(section.landmarks, rule)
        case "resize":
            return whole_photo(size=predictor.size)


def evaluate_set(
    name: str,
    records: Sequence[TestImage],
    *,
    predictor: CropPredictor,
    locate: Locator,
    job: EvalJob,
    output: Path,
) -> Summary:
    """Return the summary of one test set after writing its files into `output`.

    Raises:
        UserError: a photo or a mask cannot be read; nothing is scored without all of them.
    """
    threshold = job.threshold or predictor.threshold
    policy = job.face.policy()
    predictions = predict(records, predictor=predictor, locate=locate, batch_size=job.batch_size)
    scores = [
        score(prediction, policy=policy, threshold=threshold)
        for prediction in tqdm(predictions, desc=name, total=len(records), unit="image")
    ]
    summary = summarise(
        name,
        scores,
        threshold=threshold,
        crop=CROP_PROTOCOL[job.sets[name].crop],
        weights=str(job.weights),
        weights_sha256=sha256(job.weights) if job.weights else None,
    )
    write_per_image(output / "per_image.csv", scores)
    write_summary(output / "summary.json", summary)
    ranked = sorted(zip(scores, records, strict=True), key=lambda pair: (pair[0].counts.face_iou, pair[0].id))
    worst = [record for _, record in ranked[: job.worst_cases]]
    if worst:
        again = predict(worst, predictor=predictor, locate=locate, batch_size=job.batch_size)
        write_image(output / "worst_cases.jpg", worst_cases(again, policy=policy, threshold=threshold), quality=90)
    return summary


def predict(
    records: Sequence[TestImage], *, predictor: CropPredictor, locate: Locator, batch_size: int
) -> Iterator[Prediction]:
    """Yield the prediction of each record, in order; only the crops of a batch are held at once."""
    crop_size = (predictor.size, predictor.size)
    for start in range(0, len(records), batch_size):
        batch = records[start : start + batch_size]
        matrices, crops, sizes, found = [], [], [], []
        for record in batch:
            photo = read_image(record.image)
            locations = locate(photo, record.id)
            matrix = locations[0].photo_to_crop if locations else centred_square(photo.shape[:2], size=predictor.size)
            matrices.append(matrix)
            crops.append(apply_to_image(matrix, photo, size=crop_size))
            sizes.append(photo.shape[:2])
            found.append(bool(locations))
        answers = predictor.predict_crops(np.stack(crops))  # (N, K, S, S)
        for record, answer, matrix, size, face_found in zip(batch, answers, matrices, sizes, found, strict=True):
            yield Prediction(record, to_photo([to_patch(answer, matrix, size)], size, outputs=len(answer)), face_found)


def score(prediction: Prediction, *, policy: FacePolicy, threshold: float) -> ImageScore:
    """Return how well the prediction fits the truth of its photo."""
    truth, valid = read_truth(prediction.record, policy)
    masks = prediction.probabilities > threshold  # (K, H, W)
    return ImageScore(
        prediction.record.id,
        count(masks[0], truth, valid=valid),
        prediction.face_found,
        count(masks[1], truth, valid=valid) if len(masks) > 1 else None,
    )


def worst_cases(predictions: Iterator[Prediction], *, policy: FacePolicy, threshold: float) -> NDArray[np.uint8]:
    """Return a contact sheet, two cases a line, the worst first: photo, truth, prediction, errors.

    Errors: missed face red, invented face yellow, pixels that are not scored grey.
    """
    strips = []  # made one by one, since photos may be large
    for rank, prediction in enumerate(predictions, 1):
        photo = read_image(prediction.record.image)
        truth, valid = read_truth(prediction.record, policy)
        face = prediction.probabilities[0] > threshold
        iou = count(face, truth, valid=valid).face_iou
        lost = "" if prediction.face_found else ", no face found"
        caption = f"{rank}. {prediction.record.id}  IoU {iou:.3f}{lost}   (photo, truth, prediction, errors)"
        images = [photo, blend(photo, truth), blend(photo, face), show_errors(photo, face, truth, valid=valid)]
        strips.append(contact_sheet([images], tile_px=TILE_PX, captions=[caption]))
    if len(strips) % 2 and len(strips) > 1:
        strips.append(np.full_like(strips[0], 255))
    columns = [np.vstack(strips[0::2]), *([np.vstack(strips[1::2])] if len(strips) > 1 else [])]
    return np.hstack(columns)


if __name__ == "__main__":
    main()
