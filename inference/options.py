"""The command line of `infer.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.cli import parser
from common.engines import default_processes
from common.errors import UserError
from inference.locators import DETECTORS
from inference.open_model import DEFAULT_WEIGHTS, PRECISIONS, REFINEMENTS, RUNTIMES
from inference.outputs import KINDS, possible_kinds

EXAMPLES = """  python infer.py photos runs/masks
  python infer.py portrait.jpg runs/masks --largest --save visible,cutout
  python infer.py 'photos/*.png' runs/masks --aligned --threads 4
  python infer.py list.txt runs/masks --detector self --flip --refine sliding,edges
  python infer.py clip.mp4 runs/clip --save overlay
  python infer.py 0 runs/webcam --max-frames 300"""


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    arguments = parser("Write masks of the visible face for photos, a video or a webcam.", EXAMPLES)
    arguments.add_argument(
        "input",
        metavar="INPUT",
        help="a photo, a folder (with sub-folders), a pattern in quotes, a .txt list, a video or a webcam's number",
    )
    arguments.add_argument("output", metavar="OUTPUT", type=Path, help="folder to write into")
    arguments.add_argument(
        "--weights", type=Path, help=f"a .safetensors file of train.py, or an .onnx file (default: {DEFAULT_WEIGHTS})"
    )
    _add_faces(arguments.add_argument_group("which faces"))
    _add_results(arguments.add_argument_group("what is written"))
    _add_care(arguments.add_argument_group("a closer look, for more time"))
    _add_machine(arguments.add_argument_group("the machine"))
    arguments.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    options = arguments.parse_args(words)
    if options.min_size and (options.aligned or options.landmarks):
        arguments.error("--min-size needs a detector's boxes; leave out --aligned and --landmarks")
    return options


def _add_faces(group: argparse._ArgumentGroup) -> None:
    source = group.add_mutually_exclusive_group()
    source.add_argument(
        "--detector",
        choices=DETECTORS,
        default="auto",
        help="how faces are found; auto: yunet where its file is, else self, which is the model itself (%(default)s)",
    )
    source.add_argument("--aligned", action="store_true", help="each image is a face crop already; nothing is searched")
    source.add_argument(
        "--landmarks",
        type=Path,
        metavar="PATH",
        help="folder with a file of landmarks for each photo ({name}.npy and others), or one file for all",
    )
    number = group.add_mutually_exclusive_group()
    number.add_argument("--largest", dest="max_faces", action="store_const", const=1, help="only the largest face")
    number.add_argument("--max-faces", type=_positive, metavar="N", help="only the N largest faces (default: all)")
    group.add_argument(
        "--min-size", type=_positive, default=0, metavar="PX", help="leave out faces whose box is narrower or lower"
    )


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--save", type=_kinds, metavar="KIND,...", help=f"of {', '.join(KINDS)} (default: all)")
    group.add_argument(
        "--per-face", action="store_true", help="masks and cut-out of each face, too, as {name}#0.png, {name}#1.png"
    )
    group.add_argument("--max-frames", type=_positive, metavar="N", help="of a video or webcam: stop after N frames")
    group.add_argument("--no-smoothing", action="store_true", help="of a video: each frame by itself")


def _add_care(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--flip", action="store_true", help="mean with the mirrored face")
    group.add_argument("--multi-scale", action="store_true", help="mean over three scales")
    group.add_argument(
        "--refine",
        type=_refinements,
        default=(),
        metavar="STEP,...",
        help="sliding: large faces in pieces at their own resolution; edges: outlines follow the photo's edges",
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--runtime", choices=RUNTIMES, default="auto", help="auto: told by the weights' suffix")
    group.add_argument(
        "--precision", choices=PRECISIONS, default="32", help="of PyTorch; bf16 moves masks a little (%(default)s)"
    )
    group.add_argument("--compile", action="store_true", help="let PyTorch compile the network: pays on a GPU")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (%(default)s)")
    group.add_argument(
        "--threads", type=_positive, default=default_processes(), metavar="N", help="all cores: %(default)s"
    )
    group.add_argument(
        "--batch-size", type=_positive, metavar="N", help="faces at once (default: 1 on a CPU, 32 on a GPU)"
    )


def chosen_kinds(asked: tuple[str, ...] | None, outputs: Sequence[str]) -> tuple[str, ...]:
    """Return what is written for each photo.

    Args:
        asked: by --save; None: everything.
        outputs: of the model.

    Raises:
        UserError: a kind was asked for that the model does not predict.
    """
    possible = possible_kinds(outputs)
    if asked and (missing := sorted(set(asked) - set(possible))):
        raise UserError(f"--save {','.join(missing)}: these weights predict {', '.join(outputs)} only")
    return asked or possible


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def _kinds(text: str) -> tuple[str, ...]:
    return _names(text, KINDS)


def _refinements(text: str) -> tuple[str, ...]:
    return _names(text, REFINEMENTS)


def _names(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the names in "visible,overlay", in the order of `known`."""
    names = {name.strip() for name in text.split(",")}
    if unknown := sorted(names - set(known)):
        raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; known: {', '.join(known)}")
    return tuple(name for name in known if name in names)
