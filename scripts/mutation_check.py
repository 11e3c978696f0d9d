"""Do the tests notice? `python scripts/mutation_check.py` breaks important lines, one at a time, in a copy of the code.

For each break the tests beside it run; at least one has to fail. A break that all tests pass is told as MISSED, and the
exit code is 1. The list is checked against the code by every run of the tests, so that it cannot go out of date.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import UserError, exit_on_user_error

ROOT = Path(__file__).resolve().parent.parent
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv", "runs", "data", "outputs", "__pycache__", ".*_cache", "*.onnx")
EXAMPLES = "  python scripts/mutation_check.py\n  python scripts/mutation_check.py --only union,lock\n"


class Break(NamedTuple):
    """One line made wrong.

    Attributes:
        what: is wrong then.
        path: of the file in the repository.
        old: text that stands once in it.
        new: what takes its place.
        tests: one or more of which must fail, as pytest takes them.
    """

    what: str
    path: str
    old: str
    new: str
    tests: str


BREAKS = {
    "rotation": Break(
        "the fitted similarity turns the other way",
        "common/geometry.py",
        "rotation = left @ np.diag(signs) @ right\n",
        "rotation = (left @ np.diag(signs) @ right).T\n",
        "tests/common/test_geometry.py",
    ),
    "ffhq_rotation": Break(
        "FFHQ's rule turns the head the other way",
        "face_align/crop.py",
        "np.array([[right[0], right[1]], [-right[1], right[0]]])",
        "np.array([[right[0], -right[1]], [right[1], right[0]]])",
        "tests/face_align/test_crop.py",
    ),
    "toward_face": Break(
        "hands point away from the face",
        "occlusion_gen/generators/placement.py",
        "_rotation(theta_deg + 90)",
        "_rotation(theta_deg - 90)",
        "tests/occlusion_gen/generators/test_placement.py",
    ),
    "merge_order": Break(
        "earlier parts of CelebAMask-HQ overwrite later ones",
        "common/celebamask_hq.py",
        "for part_name in CELEBAMASK_PARTS:",
        "for part_name in reversed(CELEBAMASK_PARTS):",
        "tests/face_align/test_celebamask_hq.py",
    ),
    "split": Break(
        "the first test photo of CelebA counts as validation",
        "common/celebamask_hq.py",
        "original_index >= FIRST_TEST",
        "original_index > FIRST_TEST",
        "tests/face_align/test_celebamask_hq.py",
    ),
    "held_out": Break(
        "held-out occluders are trained on",
        "occlusion_gen/occluders/groups.py",
        '(group in held) == (split == "validation")',
        '(group in held) <= (split == "validation")',
        "tests/occlusion_gen/occluders/test_groups.py tests/occlusion_gen/occluders/test_library.py",
    ),
    "union": Break(
        "what was missed is left out of the union",
        "common/metrics.py",
        "_ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)",
        "_ratio(self.true_positive, self.true_positive + self.false_positive)",
        "tests/common/test_metrics.py",
    ),
    "score_threshold": Break(
        "a pixel at the threshold counts as face when it is scored",
        "evaluation/image_score.py",
        "probability > np.float32(threshold)",
        "probability >= np.float32(threshold)",
        "tests/evaluation/test_score_set.py tests/evaluation/test_scores.py tests/evaluation/test_protocols.py",
    ),
    "mask_threshold": Break(
        "a pixel at the threshold counts as face in the masks of infer.py",
        "inference/faces.py",
        "merged[0] > threshold",
        "merged[0] >= threshold",
        "tests/inference/test_predictor.py tests/inference/test_photo_masks.py",
    ),
    "inverse_warp": Break(
        "answers are brought back to the photo by the transform to the crop",
        "inference/photo_masks.py",
        "crop_to_photo = invert(photo_to_crop)",
        "crop_to_photo = photo_to_crop",
        "tests/inference/test_photo_masks.py",
    ),
    "restore_warp": Break(
        "masks of crops are restored by the transform to the crop",
        "face_align/restore.py",
        "apply_to_label(invert(photo_to_mask)",
        "apply_to_label((photo_to_mask)",
        "tests/face_align/test_restore.py",
    ),
    "seeding": Break(
        "the last number of a key is forgotten: all samples of an epoch draw the same",
        "common/seeding.py",
        "default_rng([seed, *key])",
        "default_rng([seed, *key[:-1]])",
        "tests/common/test_seeding.py",
    ),
    "sample_key": Break(
        "training and validation draw from the same stream",
        "datasets/faces.py",
        "rng = generator(self.seed, self.stream, epoch, index)",
        "rng = generator(self.seed, epoch, index)",
        "tests/datasets/test_faces.py",
    ),
    "alpha_order": Break(
        "face and occluder are mixed the wrong way round",
        "occlusion_gen/blending/compositing.py",
        "above *= share  # 255",
        "above, below = below, above; above *= share  # 255",
        "tests/occlusion_gen/blending/test_compositing.py",
    ),
    "in_step": Break(
        "a batch comes back in another order than it was asked for",
        "common/lockstep.py",
        "for place in sorted(results)",
        "for place in results",
        "tests/common/test_lockstep.py tests/datasets/test_faces.py",
    ),
    "margins": Break(
        "a warp does not see what lies to the left of an image",
        "common/padded_warp.py",
        "_even(-left)",
        "_even(left)",
        "tests/common/test_padded_warp.py",
    ),
    "label_checksum": Break(
        "a damaged label map is read",
        "common/image_decoding.py",
        "if len(content) < end + 4 or zlib.crc32(",
        "if len(content) < end + 4 or False and zlib.crc32(",
        "tests/common/test_image_decoding.py",
    ),
    "lock": Break(
        "two runs hold one folder",
        "common/folder_lock.py",
        "(fcntl.LOCK_SH if shared else fcntl.LOCK_EX)",
        "fcntl.LOCK_SH",
        "tests/common/test_folder_lock.py",
    ),
    "resume_hash": Break(
        "files of an earlier run are taken over without a look at their SHA-256",
        "common/manifest.py",
        ") == digest for name, digest in",
        ') != "" for name, digest in',
        "tests/common/test_manifest.py tests/common/test_jobs.py",
    ),
    "source_hash": Break(
        "a sample is taken over although its source has changed",
        "common/journal.py",
        'row.get("source_sha256") == source_digest(by_id[row["id"]])',
        'source_digest(by_id[row["id"]]) is not None',
        "tests/common/test_jobs.py",
    ),
    "hard_pixels": Break(
        "mining of hard pixels takes easy ones",
        "models/loss_terms.py",
        "losses.detach() > -math.log(threshold)",
        "losses.detach() < -math.log(threshold)",
        "tests/models/test_loss_terms.py",
    ),
    "unknown_full": Break(
        "where nobody knows the full face, the loss learns it all the same",
        "datasets/faces.py",
        "return np.zeros(before.shape, np.bool_)",
        "return np.ones(before.shape, np.bool_)",
        "tests/datasets/test_unknown_full.py tests/datasets/test_faces.py",
    ),
}


@exit_on_user_error
def main() -> None:
    """Print a line for each break, and exit with 1 where one was missed."""
    arguments = parser("Break important lines one at a time; the tests have to notice.", EXAMPLES)
    arguments.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(BREAKS)} (all)")
    arguments.add_argument("--dry-run", action="store_true", help="only look whether each line is where it should be")
    options = arguments.parse_args()
    names = options.only.split(",") if options.only else list(BREAKS)
    if unknown := sorted(set(names) - set(BREAKS)):
        raise UserError(f"unknown {unknown}; known: {', '.join(BREAKS)}")
    broken = {name: break_line(BREAKS[name]) for name in names}
    if options.dry_run:
        print(f"would break {len(broken)} lines: {', '.join(broken)}")
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
        missed = [name for name, text in broken.items() if not is_noticed(name, text, copy=copy)]
    print(f"{len(names)} breaks, {len(missed)} missed{': ' if missed else ''}{', '.join(missed)}")
    sys.exit(bool(missed))


def break_line(change: Break) -> str:
    """Return the text of the file with its line made wrong.

    Raises:
        UserError: the line does not stand there exactly once.
    """
    text = (ROOT / change.path).read_text(encoding="utf-8")
    if text.count(change.old) != 1:
        raise UserError(
            f"{change.path}: expected {change.old.strip()!r} once, found it {text.count(change.old)} times; "
            f"the code has changed: mend the list in {Path(__file__).name}"
        )
    return text.replace(change.old, change.new)


def is_noticed(name: str, text: str, *, copy: Path) -> bool:
    """Return whether a test in `copy` fails while one file of it is `text`."""
    change, start_s = BREAKS[name], time.monotonic()
    path = copy / change.path
    whole = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *change.tests.split()],
            cwd=copy, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    finally:
        path.write_text(whole, encoding="utf-8")
    if done.returncode not in (0, 1):  # 1: tests failed; anything else: they could not run
        raise UserError(f"{name}: pytest could not run {change.tests}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    failed = [line.split(" - ")[0].removeprefix("FAILED ") for line in done.stdout.splitlines() if "FAILED " in line]
    told = f"noticed by {failed[0]}" if done.returncode else f"MISSED by {change.tests}"
    print(f"{name}: {change.what} ({change.path}): {told}, {time.monotonic() - start_s:.1f} s", flush=True)
    return done.returncode == 1


if __name__ == "__main__":
    main()
