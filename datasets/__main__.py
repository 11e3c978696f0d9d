"""`python -m datasets`: check, look at, unpack, draw and pack data sets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.cli import add_processes, parser
from common.errors import exit_on_user_error
from common.image_io import image_size
from common.manifest import read_samples
from datasets import browse, extract
from datasets.checks import command as check
from datasets.pack import array_shapes, pack, packed_bytes
from datasets.packed import verify_packed
from datasets.sample_world import write_sample_world
from datasets.sample_world.published import PUBLISHED_SETS, write_published_set

# Commands with a command line of their own; the others follow below.
COMMANDS = {"check": check.main, "browse": browse.main, "extract": extract.main}

EXAMPLES = """  python -m datasets sample runs/sample/world
  python -m datasets sample /tmp/tiny --faces 24 --test-faces 8 --photo-size 128
  python -m datasets published /tmp/sets --faces 8 --photo-size 128
  python -m datasets pack runs/sample/aligned runs/sample/packed
  python -m datasets verify runs/sample/packed

other commands, each with --help:
  python -m datasets check CONFIG ...       everything that is wrong with the data that configurations name
  python -m datasets browse CONFIG OUT      a page of photos with their labels
  python -m datasets extract ARCHIVE OUT    unpack a zip or tar safely"""


@exit_on_user_error
def main() -> None:
    """Parse the command line, then do the one thing that was asked for."""
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        COMMANDS[sys.argv[1]](sys.argv[2:])
        return
    arguments = parser("Work with data sets.", EXAMPLES)
    commands = arguments.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_sample(commands)
    _add_published(commands)
    _add_pack(commands)
    options = arguments.parse_args()
    {"sample": _sample, "published": _published, "pack": _pack, "verify": _verify}[options.command](options)


def _add_sample(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sample = commands.add_parser(
        "sample", help="draw photos, labels, landmarks, occluders and a test set by code, in the published layouts"
    )
    sample.add_argument("out", type=Path, metavar="OUT", help="folder to write; reused when it holds the same world")
    sample.add_argument("--faces", type=int, default=360, help="training and validation faces (%(default)s)")
    sample.add_argument("--test-faces", type=int, default=40, help="faces of the test set (%(default)s)")
    sample.add_argument("--photo-size", type=int, default=512, help="side of the photos in pixels (%(default)s)")
    sample.add_argument("--seed", type=int, default=0, help="another seed draws another world (%(default)s)")
    sample.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")
    add_processes(sample)


def _add_published(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    published = commands.add_parser(
        "published", help="draw a small set in each published layout, to try out readers, checks and whole tables"
    )
    published.add_argument("out", type=Path, metavar="OUT", help="folder to write a folder a set into")
    published.add_argument(
        "--sets", nargs="+", metavar="NAME", choices=PUBLISHED_SETS, default=list(PUBLISHED_SETS),
        help=f"which (all: {', '.join(PUBLISHED_SETS)})",
    )  # fmt: skip
    published.add_argument("--faces", type=int, default=8, help="photos a set, about (%(default)s)")
    published.add_argument("--photo-size", type=int, default=128, help="side of the photos in pixels (%(default)s)")
    published.add_argument("--seed", type=int, default=0, help="another seed draws other people (%(default)s)")
    published.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")


def _add_pack(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pack_ = commands.add_parser(
        "pack", help="pack a folder of face_align or occlusion_gen into memory-mapped arrays; train.py reads both"
    )
    pack_.add_argument("prepared", type=Path, metavar="PREPARED", help="folder with a manifest.jsonl")
    pack_.add_argument("out", type=Path, metavar="OUT", help="folder to write; an interrupted one is finished")
    pack_.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")
    add_processes(pack_)
    verify = commands.add_parser("verify", help="read a packed folder whole and compare its checksums")
    verify.add_argument("packed", type=Path, metavar="PACKED", help="folder written by pack")
    verify.add_argument("--dry-run", action="store_true", help="say what would be read, and stop")


def _sample(options: argparse.Namespace) -> None:
    if options.dry_run:
        print(f"would draw {options.faces} + {options.test_faces} faces of {options.photo_size} px into {options.out}")
        return
    written = write_sample_world(
        options.out,
        faces=options.faces,
        test_faces=options.test_faces,
        photo_size=options.photo_size,
        seed=options.seed,
        processes=options.processes,
    )
    counts = ", ".join(f"{name} {count}" for name, count in written["counts"].items())
    print(f"{options.out}: {'already there' if written['reused'] else 'drawn'}; files: {counts}")


def _published(options: argparse.Namespace) -> None:
    if options.dry_run:
        print(f"would draw {', '.join(options.sets)} with {options.faces} photos each into {options.out}")
        return
    for name in options.sets:
        folder = write_published_set(
            name, options.out, faces=options.faces, photo_size=options.photo_size, seed=options.seed
        )
        print(folder)


def _pack(options: argparse.Namespace) -> None:
    if options.dry_run:
        rows = read_samples(options.prepared)
        shapes = array_shapes(rows, image_size(options.prepared / rows[0]["files"]["image"]))
        print(f"would pack {shapes} ({packed_bytes(shapes) / 1e6:.1f} MB) into {options.out}")
        return
    packed = pack(options.prepared, options.out, threads=options.processes)
    print(f"{options.out}: {'packed' if packed else 'already there'}; train on it with prepared: {options.out}")


def _verify(options: argparse.Namespace) -> None:
    if options.dry_run:
        print(f"would read all arrays in {options.packed}")
        return
    verify_packed(options.packed)


if __name__ == "__main__":
    main()
