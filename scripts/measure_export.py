"""What exported models lose and gain: `python scripts/measure_export.py --data DIR WEIGHTS FILE...`.

Each file answers on the same aligned crops of the validation split of `celebamask_hq_mini`, one at a time and in turns,
so that a busy machine slows all alike. Told are the IoU of the visible face in the crop, its change against the first
file in points (1/100), and how many times as fast a file is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import exit_on_user_error
from common.geometry import apply_to_image, apply_to_label
from common.image_io import read_image
from common.labels import FacePolicy, visible_mask
from common.metrics import count
from face_align.celebamask_hq import PhotoRecord, read_celebamask_hq, read_parts, resize_label
from face_align.landmarks import five_points, read_landmarks
from face_align.locate import CropRule
from models.predictor import CropModel
from models.runtimes import open_predictor
from scripts.measuring import interval_text, machine_line

POLICY = FacePolicy(eyeglasses="face")
EXAMPLES = """  python scripts/measure_export.py --data $OCCFACE_DATA weights/occface_mobile.safetensors occface.onnx
  python scripts/measure_export.py --data $OCCFACE_DATA occface.onnx occface_int8.onnx --threads 2"""


@exit_on_user_error
def main() -> None:
    """Print one row a file."""
    arguments = parser("Measure what exported models lose and gain.", EXAMPLES)
    arguments.add_argument("files", type=Path, nargs="+", metavar="FILE", help=".safetensors or .onnx; the first leads")
    arguments.add_argument("--data", type=Path, required=True, help="holds celebamask_hq_mini")
    arguments.add_argument("--threads", type=int, default=1, metavar="N", help="of each call (%(default)s)")
    arguments.add_argument("-n", type=int, metavar="N", help="only the first N faces (all)")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be measured, and stop")
    options = arguments.parse_args()
    if options.dry_run:
        print(f"would measure {', '.join(map(str, options.files))} on {options.data / 'celebamask_hq_mini'}")
        return
    models = [open_predictor(path, device="cpu", threads=options.threads) for path in options.files]
    records = read_celebamask_hq(options.data / "celebamask_hq_mini", split="split.csv")
    records = [record for record in records if record.split == "val"][: options.n]
    ious, seconds = (np.zeros((len(records), len(models))) for _ in range(2))
    for row, record in enumerate(tqdm(records, unit="face")):
        crop, truth = aligned(record, models[0])
        for column, model in enumerate(models):
            start_s = time.perf_counter()
            answer = model.predict_crops(crop[None])[0, 0]
            seconds[row, column] = time.perf_counter() - start_s
            ious[row, column] = count(answer > model.threshold, truth).face_iou
    print_table(options.files, ious, seconds)


def aligned(record: PhotoRecord, model: CropModel) -> tuple[np.ndarray, np.ndarray]:
    """Return the crop (S, S, 3) uint8 that the model wants, and where its face is visible, (S, S) bool."""
    photo, landmarks = read_image(record.image), read_landmarks(record.landmarks)
    size = (photo.shape[0], photo.shape[1])
    rule = CropRule.of(model)
    matrix = rule.photo_to_crop(five_points(landmarks), size, landmarks=landmarks)
    label = visible_mask(resize_label(read_parts(record), size), POLICY)
    side = (model.size, model.size)
    crop = apply_to_image(matrix, photo, size=side)
    return crop, apply_to_label(matrix, label.astype(np.uint8), size=side) > 0


def print_table(files: list[Path], ious: np.ndarray, seconds: np.ndarray) -> None:
    """Print scores, changes with intervals over faces, and ratios of median times.

    Args:
        files: M of them.
        ious: (N, M), 0..1.
        seconds: (N, M).
    """
    print(f"{machine_line('cpu')}; n {len(ious)}")
    print("| file | face IoU | change, points | worst | times as fast |\n|---|---:|---|---:|---:|")
    for column, path in enumerate(files):
        change = 100 * (ious[:, column] - ious[:, 0])
        told = f"{change.mean():+.2f} ({interval_text(change.tolist(), digits=2)})"
        speed = np.median(seconds[:, 0]) / np.median(seconds[:, column])
        print(f"| {path.name} | {ious[:, column].mean():.4f} | {told} | {change.min():+.2f} | {speed:.2f} |")


if __name__ == "__main__":
    main()
