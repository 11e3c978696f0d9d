"""`python -m datasets sample OUT`: draw a small data world to try everything on."""

from __future__ import annotations

from pathlib import Path

from common.cli import add_processes, parser
from common.errors import exit_on_user_error
from datasets.sample_world import write_sample_world

EXAMPLES = """  python -m datasets sample runs/sample/world
  python -m datasets sample /tmp/tiny --faces 24 --test-faces 8 --photo-size 128"""


@exit_on_user_error
def main() -> None:
    """Parse the command line, then do the one thing that was asked for."""
    arguments = parser("Work with data sets.", EXAMPLES)
    commands = arguments.add_subparsers(dest="command", required=True, metavar="COMMAND")
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
    options = arguments.parse_args()
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


if __name__ == "__main__":
    main()
