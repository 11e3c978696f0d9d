"""Measure that the memory of scoring does not grow with the set: peak of a process that scores N drawn images.

python scripts/measure_scoring_memory.py --images 100 5000
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evaluation.image_score import About, Truth
from evaluation.score_set import Answer, Rule, score_set

SIDE_PX = 256


def main() -> None:
    """Print one line for each number of images."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--images", type=int, nargs="+", default=[100, 5000], metavar="N", help="%(default)s")
    arguments.add_argument("--side", type=int, default=SIDE_PX, metavar="PX", help="of each image (%(default)s)")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be measured, and stop")
    options = arguments.parse_args()
    if options.dry_run:
        print(f"would score {options.images} drawn images of {options.side} px, each number in a process of its own")
        return
    fresh = multiprocessing.get_context("spawn")  # the peak of a process never falls: each number needs its own
    for images in options.images:
        with fresh.Pool(1) as pool:
            before, after = pool.apply(peak_mb, (images, options.side))
        print(f"{images:6d} images of {options.side} px: peak {after:.1f} MB, {after - before:.1f} MB above the start")


def peak_mb(images: int, side: int) -> tuple[float, float]:
    """Return the highest memory of this process before and after scoring."""
    list(drawn(2, side))
    before = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        score_set(
            "drawn",
            drawn(images, side),
            n=images,
            rule=Rule(0.5),
            output=Path(folder),
            again=lambda ids: iter(()),
            role="test",
        )
    return before, _peak_mb()


def drawn(images: int, side: int) -> Iterator[Answer]:
    """Yield ellipses and what a model might say about them, each made when it is asked for."""
    photo = np.full((side, side, 3), 128, np.uint8)
    for index in range(images):
        rng = np.random.default_rng(index)
        truth = np.zeros((side, side), np.uint8)
        centre = tuple(int(value) for value in rng.uniform(0.4, 0.6, 2) * side)
        cv2.ellipse(truth, centre, (side // 4, side // 3), 0, 0, 360, 1, -1)
        soft = cv2.GaussianBlur(np.roll(truth, 3, axis=1).astype(np.float32), (0, 0), 2.0)
        full = truth.astype(bool)
        visible = full.copy()
        visible[side // 2 :] &= index % 2 == 0
        about = About(f"drawn_{index:05d}", f"subject_{index}", ("hand", "mask"))
        yield Answer(about, photo, Truth(visible, None, full), np.stack([soft, soft]))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
