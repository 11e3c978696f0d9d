"""The memory of `infer.py` over many photos, and on one very large one.

    python scripts/measure_infer_memory.py --data $OCCFACE_DATA

Photos of landmarks68 are varied (mirrored, shifted, brighter and darker), shrunk and written as new files; `infer.py`
does them all, with all its results, and its resident memory is sampled. Told is the highest memory within each tenth of
the run. Then one photo of `--megapixels`, a real one enlarged, is done or refused, and the peak of that run is told.
Linux only: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.image_io import list_images, read_image, write_image
from common.seeding import generator
from inference.mask_folder import FACES_NAME
from scripts.measuring import machine_line

Image8 = NDArray[np.uint8]

INFER = Path(__file__).resolve().parent.parent / "infer.py"
SAMPLE_EVERY_S = 0.25
PARTS = 10
LARGEST_SHIFT = 0.1  # of a varied photo / its side
BRIGHTNESS = (0.7, 1.2)

EXAMPLES = """  python scripts/measure_infer_memory.py --data $OCCFACE_DATA
  python scripts/measure_infer_memory.py --data $OCCFACE_DATA --photos 200 --megapixels 0 -- --detector self"""


class Sample(NamedTuple):
    """Photos done so far, and the resident memory then in MB."""

    photos: int
    memory_mb: float


class Run(NamedTuple):
    """What one run of `infer.py` took.

    Attributes:
        code: it exited with.
        first_line: that it printed; which detector finds the faces.
        last_line: that it printed.
        seconds: wall time, start-up included.
        peak_mb: the most resident memory, as the kernel counted it.
        samples: in the order of time.
    """

    code: int
    first_line: str
    last_line: str
    seconds: float
    peak_mb: float
    samples: list[Sample]


@exit_on_user_error
def main() -> None:
    """Print the memory of a long run by tenths, then that of one large photo."""
    options = parse_arguments()
    sources = list_images(options.data / "landmarks68" / "images")
    if not sources:
        raise UserError(f"{options.data}/landmarks68/images: expected photos, found none")
    if options.dry_run:
        print(f"would do {options.photos} photos of {options.side} px, and one of {options.megapixels} megapixels, "
              f"with infer.py {' '.join(options.infer)}")  # fmt: skip
        return
    print(machine_line("cpu"))
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder = Path(scratch) / "photos"
        for index in range(options.photos):
            photo = varied(read_image(sources[index % len(sources)]), index, side=options.side)
            write_image(folder / f"{index:05d}.jpg", photo)
        if options.photos:
            print_run(run_infer(folder, Path(scratch) / "masks", options.infer), options.photos)
        if options.megapixels:
            large = Path(scratch) / "large.jpg"
            write_image(large, enlarged(read_image(sources[0]), options.megapixels))
            found = run_infer(large, Path(scratch) / "large_masks", options.infer)
            outcome = "done" if found.code == 0 else f"exit code {found.code}, {found.last_line}"
            print(f"one photo of {options.megapixels:g} megapixels: {outcome}; {found.seconds:.0f} s, "
                  f"peak {found.peak_mb:.0f} MB")  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    arguments = parser(__doc__ or "", EXAMPLES)
    arguments.add_argument("--data", type=Path, required=True, help="holds landmarks68")
    arguments.add_argument("--photos", type=int, default=5000, metavar="N", help="of the long run (%(default)s)")
    arguments.add_argument("--side", type=int, default=256, metavar="PX", help="longer side of them (%(default)s)")
    arguments.add_argument("--megapixels", type=float, default=100, help="of the large photo; 0: none (%(default)s)")
    arguments.add_argument("--scratch", type=Path, help="folder for what is made in passing (the system's)")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be measured, and stop")
    arguments.add_argument("infer", nargs="*", metavar="-- OPTION", help="options of infer.py")
    return arguments.parse_args()


def varied(photo: Image8, index: int, *, side: int) -> Image8:
    """Return the photo shrunk to `side`, moved, brighter or darker, and mirrored every other time."""
    rng = generator(0, index)
    ratio = side / max(photo.shape[:2])
    size = (round(photo.shape[1] * ratio), round(photo.shape[0] * ratio))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    shift = rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2) * size
    matrix = np.hstack([np.eye(2), shift[:, None]])
    moved = cv2.warpAffine(small, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    lit = cv2.convertScaleAbs(moved, alpha=rng.uniform(*BRIGHTNESS))
    return lit if index % 2 else cv2.flip(lit, 1)


def enlarged(photo: Image8, megapixels: float) -> Image8:
    """Return the photo as a square of so many megapixels."""
    side = round((megapixels * 1e6) ** 0.5)
    return cv2.resize(photo, (side, side), interpolation=cv2.INTER_LINEAR)


def run_infer(source: Path, output: Path, options: Sequence[str]) -> Run:
    """Return what `python infer.py SOURCE OUTPUT` took."""
    command = [sys.executable, str(INFER), str(source), str(output), *options]
    start_s = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed)
        samples: list[Sample] = []
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            samples.append(Sample(_lines(output / FACES_NAME), _resident_mb(process.pid)))
            time.sleep(SAMPLE_EVERY_S)
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        lines = printed.read().decode(errors="replace").split("\n")
    told = [line for line in lines if line.strip()] or [""]
    return Run(process.returncode, told[0], told[-1], time.perf_counter() - start_s, usage.ru_maxrss / 1024, samples)


def print_run(run: Run, photos: int) -> None:
    """Print the most memory that was seen in each part of a run.

    Raises:
        UserError: the run failed.
    """
    if run.code != 0:
        raise UserError(f"infer.py exited with {run.code}: {run.last_line}")
    print(run.first_line)
    print(f"{photos} photos in {run.seconds:.0f} s, peak {run.peak_mb:.0f} MB")
    print(f"{'photos done':>12} {'memory':>9}")
    for part in range(1, PARTS + 1):
        low, high = (part - 1) * photos / PARTS, part * photos / PARTS
        seen = [sample.memory_mb for sample in run.samples if low < sample.photos <= high and sample.memory_mb]
        if seen:
            print(f"{high:12.0f} {max(seen):6.0f} MB")


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _resident_mb(pid: int) -> float:
    """Return the resident memory of a process, 0 of one that has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
