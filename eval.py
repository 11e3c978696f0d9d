"""Score weights, or masks of other code, on test sets: `python eval.py CONFIG weights=FILE`.

Each set gets a folder with per_image.csv, summary.json, worst_cases.jpg and views/; one level up, summary.json holds
all sets and report.html shows them. A set that is scored already, by the same inputs, is not scored again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.cli import add_config, parse, parser, print_dry_run
from common.config import load_config
from common.errors import UserError, exit_on_user_error
from common.folder_lock import hold_folder
from common.jobs import claim_folder
from common.manifest import sha256
from configs.schema import EvalJob, EvalSet
from datasets.test_sets import TestImage, build_test_set, read_truth
from evaluation.calibration import FILE_NAME, Calibration, read_calibration, write_calibration
from evaluation.predictions import find_predictions
from evaluation.report import write_report
from evaluation.score_set import (
    Answer,
    Rule,
    calibrate_on,
    read_finished,
    score_set,
)
from evaluation.scores import Summary, table, write_summary
from face_align.detect import YuNetDetector, require_yunet
from face_align.locate import CropRule, Locator, by_detector, by_landmarks, whole_photo
from inference.answers import answers_of_files, answers_of_model, digest_of
from models.predictor import CropModel
from models.runtimes import open_predictor

EXAMPLES = """  python eval.py configs/sample/eval.yaml weights=runs/sample/train/checkpoints/best.safetensors
  python eval.py configs/mini/eval.yaml weights=FILE device=cuda batch_size=32
  python eval.py configs/mini/eval.yaml weights=FILE threshold=0.6 output=runs/threshold_06 --dry-run
  python eval.py CONFIG weights=FILE calibrate=SET         temperature and threshold chosen on a set of role validation
  python eval.py CONFIG predictions=DIR prediction_kind=probability        masks that other code wrote"""

CROP_PROTOCOL = {
    "detect": "largest face found by YuNet, aligned; where none is found, the whole photo in a centred square",
    "landmarks": "aligned by the landmark files",
    "resize": "the whole photo resized to the model's input, and the probability resized back",
}
OF_OTHER_CODE = "of other code, as it wrote them"
DEFAULT_THRESHOLD = 0.5  # of predictions that come without one


Answers = Callable[[Sequence[TestImage]], Iterator[Answer]]


@exit_on_user_error
def main() -> None:
    """Score every test set of a configuration."""
    arguments = parser("Score weights, or masks of other code, on test sets.", EXAMPLES)
    add_config(arguments)
    options = parse(arguments)
    job = load_config(options.config, EvalJob, options.overrides)
    check_job(job, options.config)
    output = job.output or default_output(job)
    test_sets = {name: build_test_set(section) for name, section in job.sets.items()}
    if options.dry_run:
        sizes = ", ".join(f"{name} (n = {len(records)})" for name, records in test_sets.items())
        print_dry_run(job, f"would score {job.weights or job.predictions} on {sizes} into {output}")
        return
    answers, own_threshold = open_model(job) if job.weights else open_predictions(job, test_sets)
    with hold_folder(output, None):
        score_sets(job, test_sets, answers, own_threshold=own_threshold, output=output)


def score_sets(
    job: EvalJob,
    test_sets: dict[str, list[TestImage]],
    answers: dict[str, Answers],
    *,
    own_threshold: float,
    output: Path,
) -> None:
    """Score each set that is not scored already, and write table, summary and page into `output`."""
    for name in job.sets:
        claim_folder(output / name, claim_of(job, name))
    calibration = find_calibration(job, test_sets, answers, output=output)
    rule = build_rule(job, calibration, own_threshold)
    summaries = [
        score_or_reuse(name, test_sets[name], answers[name], job=job, rule=rule, calibration=calibration, output=output)
        for name in job.sets
    ]
    write_summary(output / "summary.json", summaries)
    print(table(summaries))
    for path in (*(output / name / "worst_cases.jpg" for name in job.sets), output / "summary.json"):
        print(path)
    print(write_report(output))


def check_job(job: EvalJob, config: Path) -> None:
    """Raise `UserError` for what only the whole job can tell."""
    if job.weights is None and job.predictions is None:
        raise UserError(
            f"{config}: which weights shall be scored? Add weights=FILE (train.py writes such a file), or "
            "predictions=DIR for masks of other code"
        )
    if job.calibrate is None:
        return
    roles = ", ".join(f"{name} ({section.role})" for name, section in job.sets.items())
    if job.calibrate not in job.sets:
        raise UserError(f"{config}: calibrate={job.calibrate} names no set of it; the sets are {roles}")
    if job.sets[job.calibrate].role != "validation":
        raise UserError(
            f"{config}: the threshold must not be chosen on {job.calibrate}, which is a test set; name one of "
            f"role validation. The sets are {roles}"
        )


def default_output(job: EvalJob) -> Path:
    """Return the folder eval/ of the run that the weights belong to, or one below runs/ for those of no run."""
    source = job.weights or job.predictions
    assert source is not None
    if source.parent.name == "checkpoints":
        return source.parent.parent / "eval"
    return Path("runs") / (source.stem if job.weights else source.name) / "eval"


def claim_of(job: EvalJob, name: str) -> EvalJob:
    """Return what decides the scores of one set: the job without its other sets and without what changes none."""
    free = ("batch_size", "device", "worst_cases", "views", "output")
    reset = {field: EvalJob.model_fields[field].default for field in free}
    return job.model_copy(update={**reset, "sets": {name: job.sets[name]}})


def open_model(job: EvalJob) -> tuple[dict[str, Answers], float]:
    """Return what answers on each set by the weights, and the threshold that they bring."""
    assert job.weights is not None
    model = open_predictor(job.weights, device=job.device)
    ask = functools.partial(answers_of_model, model=model, policy=job.face.policy(), batch_size=job.batch_size)
    found: dict[str, Answers] = {
        name: functools.partial(ask, locate=build_locator(section, model)) for name, section in job.sets.items()
    }
    return found, model.threshold


def open_predictions(job: EvalJob, test_sets: dict[str, list[TestImage]]) -> tuple[dict[str, Answers], float]:
    """Return what answers on each set by the files of other code, after a look at all of them."""
    assert job.predictions is not None
    policy = job.face.policy()
    found: dict[str, Answers] = {}
    for name, records in test_sets.items():
        folder = find_predictions(job.predictions, name, only_set=len(test_sets) == 1, kind=job.prediction_kind)
        folder.check({record.id: read_truth(record, policy)[0].shape for record in records})
        found[name] = functools.partial(answers_of_files, folder=folder, policy=policy)
    return found, DEFAULT_THRESHOLD


def build_locator(section: EvalSet, model: CropModel) -> Locator:
    """Return what says where the crop of a photo lies.

    Raises:
        UserError: the face detector is needed and missing.
    """
    rule = CropRule.of(model)
    match section.crop:
        case "detect":
            return by_detector(YuNetDetector(require_yunet()), rule, max_faces=1)
        case "landmarks":
            assert section.landmarks is not None  # judged by the schema
            return by_landmarks(section.landmarks, rule)
        case "resize":
            return whole_photo(size=model.size)


def find_calibration(
    job: EvalJob, test_sets: dict[str, list[TestImage]], answers: dict[str, Answers], *, output: Path
) -> Calibration | None:
    """Return the calibration that was asked for: read, or chosen on a validation set and written; else None."""
    weights_sha256 = sha256(job.weights) if job.weights else None
    if job.calibration is not None:
        found = read_calibration(job.calibration)
        if found.weights_sha256 != weights_sha256:
            raise UserError(f"{job.calibration}: was chosen for other weights than {job.weights}; calibrate these")
        return found
    if job.calibrate is None:
        return None
    records = test_sets[job.calibrate]
    found = calibrate_on(job.calibrate, answers[job.calibrate](records), n=len(records), weights_sha256=weights_sha256)
    write_calibration(output / FILE_NAME, found)
    print(f"{output / FILE_NAME}: temperature {found.temperature:.4f}, threshold {found.threshold:.4f}")
    return found


def build_rule(job: EvalJob, calibration: Calibration | None, own_threshold: float) -> Rule:
    """Return how probabilities become masks: as asked, else as calibrated, else as the weights say."""
    if calibration:
        return Rule(calibration.threshold, calibration.temperature, job.views, job.worst_cases)
    return Rule(job.threshold or own_threshold, 1.0, job.views, job.worst_cases)


def score_or_reuse(
    name: str,
    records: Sequence[TestImage],
    answers: Answers,
    *,
    job: EvalJob,
    rule: Rule,
    calibration: Calibration | None,
    output: Path,
) -> Summary:
    """Return the summary of one set: that of an earlier run if all that decides it is the same, else a new one.

    Raises:
        UserError: a photo or a mask cannot be read; nothing is scored without all of them.
    """
    section = job.sets[name]
    inputs: dict[str, Any] = {
        "role": section.role,
        "face_policy": job.face.model_dump(mode="json"),
        "crop": CROP_PROTOCOL[section.crop] if job.weights else OF_OTHER_CODE,
        "weights": str(job.weights) if job.weights else None,
        "weights_sha256": sha256(job.weights) if job.weights else None,
        "predictions": str(job.predictions) if job.predictions else None,
        "calibrated_on": calibration and {"set": calibration.set_name, "n": calibration.n},
    }
    written = rule._asdict() | {"views": min(len(records), rule.views)}
    earlier = read_finished(output / name, expected=inputs | written) if job.weights else None
    if earlier and earlier["set_sha256"] == digest_of(records, job.face.policy()):
        print(f"{output / name}: scored already, by the same weights on the same images; reused")
        return earlier
    by_id = {record.id: record for record in records}
    return score_set(
        name,
        answers(records),
        n=len(records),
        rule=rule,
        output=output / name,
        again=lambda ids: answers([by_id[id] for id in ids]),
        calibration=calibration,
        **inputs,
    )


if __name__ == "__main__":
    main()
