"""`python -m models`: the published weights, models for other runtimes, and what a network costs."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Any

import yaml

from common.cli import parser
from common.config import validate
from common.errors import UserError, exit_on_user_error
from configs.schema.network import ModelSection
from models.cost import estimate_cost
from models.export import SUFFIXES, check_target, export_file
from models.export_int8 import CALIBRATION_IMAGES, calibration_paths, export_int8
from models.network import build_spec
from models.registry import MIRROR_VARIABLE, Entry, fetch, problem_of, read_registry, require, weights_folder
from models.weights import load_weights, save_weights

EXAMPLES = """  python -m models list
  python -m models fetch faceocc_retrained_2026 --to weights
  python -m models verify
  python -m models convert weights/epoch_16_best.ckpt weights/faceocc.safetensors
  python -m models export weights/occface_mobile.safetensors occface.onnx
  python -m models export weights/occface_mobile.safetensors occface_int8.onnx --int8 runs/mini/aligned/images
  python -m models export weights/occface_mobile.safetensors occface.pt2 --format exported
  python -m models cost architecture=segformer encoder=mit_b0 --size 256"""


@exit_on_user_error
def main() -> None:
    """Parse the command line, then do the one thing that was asked for."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    arguments = parser("Published weights, and what a network costs.", EXAMPLES)
    commands = arguments.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="name every published file that is known")
    fetching = commands.add_parser("fetch", help="get files, verified, into a weights folder")
    fetching.add_argument("names", nargs="+", metavar="NAME")
    fetching.add_argument("--mirror", default=os.environ.get(MIRROR_VARIABLE), help="folder or address that has them")
    fetching.add_argument("--dry-run", action="store_true", help="say what would be fetched, and stop")
    checking = commands.add_parser("verify", help="check the files of a weights folder")
    for command in (fetching, checking):
        command.add_argument("--to", type=Path, default=weights_folder(), metavar="DIR", help="folder (%(default)s)")
    converting = commands.add_parser("convert", help="write a published file as one of ours, with its card inside")
    converting.add_argument("source", type=Path, metavar="FILE")
    converting.add_argument("target", type=Path, metavar="OUT", help="a .safetensors file to write")
    converting.add_argument("--dry-run", action="store_true", help="read and check the file, and stop")
    _add_export(commands)
    costing = commands.add_parser("cost", help="count parameters, operations and memory of a network")
    costing.add_argument("settings", nargs="*", metavar="key=value", help="keys of `model` in train.py's configuration")
    costing.add_argument("--size", type=int, default=256, help="side of the input in pixels (%(default)s)")
    costing.add_argument("--batch-size", type=int, default=16, help="for the memory (%(default)s)")
    options = arguments.parse_args()
    COMMANDS[options.command](options)


def _add_export(commands: Any) -> None:
    exporting = commands.add_parser("export", help="write a model for ONNX Runtime and others, preprocessing inside")
    exporting.add_argument("weights", type=Path, metavar="WEIGHTS", help="a file of train.py or a published one")
    exporting.add_argument("target", type=Path, metavar="OUT", help="file to write: .onnx, .pt2 or .pt")
    exporting.add_argument("--format", choices=SUFFIXES, default="onnx", help="(%(default)s)")
    exporting.add_argument("--int8", type=Path, metavar="CROPS", help="ONNX in 8 bits, fitted to a folder of crops")
    exporting.add_argument(
        "--int8-images", type=int, default=CALIBRATION_IMAGES, metavar="N", help="of that folder (%(default)s)"
    )
    exporting.add_argument("--dry-run", action="store_true", help="read and check the weights, and stop")


def show_list(options: argparse.Namespace) -> None:
    """Print what is known about each file."""
    for name, entry in read_registry().items():
        digest = entry.sha256 or "not published: the size alone is checked"
        print(f"{name}\n  {entry.about}\n  file     {entry.file}, {entry.bytes / 1e6:.1f} MB\n  SHA-256  {digest}")
        print(f"  source   {entry.source}\n  licence  {entry.licence}\n  input    {_input(entry)}")


def run_fetch(options: argparse.Namespace) -> None:
    """Fetch each file that was named."""
    registry = read_registry()
    for entry in [require(name, registry) for name in options.names]:
        if options.dry_run:
            source = options.mirror or entry.url or f"nowhere: get it by hand from {entry.source}"
            print(f"would fetch {entry.file}, {entry.bytes} bytes, from {source} into {options.to}")
        else:
            print(fetch(entry, options.to, mirror=options.mirror))


def verify(options: argparse.Namespace) -> None:
    """Check the files that are there.

    Raises:
        UserError: one of them is not what it should be.
    """
    wrong = []
    for name, entry in read_registry().items():
        path = options.to / entry.file
        problem = problem_of(path, entry) if path.is_file() else None
        state = "not there" if not path.is_file() else problem or "whole"
        print(f"{path}: {name}, {state}")
        wrong += [f"{path}: {problem}"] if problem else []
    if wrong:
        raise UserError("; ".join(wrong) + "; fetch or copy again")


def convert(options: argparse.Namespace) -> None:
    """Write a published file as one of ours.

    Raises:
        UserError: the target has another ending, or the source cannot be read.
    """
    if options.target.suffix != ".safetensors":
        raise UserError(f"{options.target}: expected a name that ends in .safetensors")
    network, card = load_weights(options.source)
    if options.dry_run:
        print(f"would write {options.target}: {card.network.architecture}, input {card.preprocessing}")
        return
    save_weights(options.target, network.state_dict(), card)
    print(options.target)


def export(options: argparse.Namespace) -> None:
    """Write a model for another runtime.

    Raises:
        UserError: the options do not go together, a file or package cannot be used, or the answers differ.
    """
    check_target(options.target, options.format)
    if options.int8 is not None and options.format != "onnx":
        raise UserError(f"--int8 is for ONNX only, not for --format {options.format}; leave one of them out")
    if options.int8_images < 1:
        raise UserError(f"--int8-images {options.int8_images}: expected at least 1")
    if options.dry_run:
        _, card = load_weights(options.weights)
        found = "" if options.int8 is None else f" in 8 bits, from {len(_calibration(options))} crops"
        print(f"would write {options.target}: {card.network.architecture}{found}, input {card.preprocessing}")
        return
    if options.int8 is not None:
        made = export_int8(options.weights, options.target, crops=options.int8, images=options.int8_images)
        print(f"{options.target}: 8 bits, masks agree with 32 bits by an IoU of {made.agreement:.4f} (n={made.images})")
        return
    difference = export_file(options.weights, options.target, file_format=options.format)
    print(f"{options.target}: probabilities differ by at most {difference:.1e}")


def _calibration(options: argparse.Namespace) -> list[Path]:
    return calibration_paths(options.int8, options.int8_images)


def cost(options: argparse.Namespace) -> None:
    """Print the cost of a network."""
    section = _model_section(options.settings)
    print(estimate_cost(build_spec(section), options.size).describe(options.batch_size))


def _model_section(settings: list[str]) -> ModelSection:
    pairs = [text.partition("=") for text in settings]
    wrong = [text for text, (_, separator, _) in zip(settings, pairs, strict=True) if not separator]
    if wrong:
        raise UserError(f"{wrong[0]!r}: expected key=value, e.g. encoder=resnet18")
    return validate({key: yaml.safe_load(value) for key, _, value in pairs}, ModelSection, source="command line")


def _input(entry: Entry) -> str:
    made = entry.preprocessing
    return f"{made.size} px, alignment {made.method}, normalisation {made.normalisation}"


COMMANDS = {
    "list": show_list,
    "fetch": run_fetch,
    "verify": verify,
    "convert": convert,
    "export": export,
    "cost": cost,
}

if __name__ == "__main__":
    main()
