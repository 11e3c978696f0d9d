"""`python -m benchmarks NAME`: time one room of the project against its floor."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import align, generate, infer, metrics, runtimes, train
from benchmarks.timing import print_measurements
from benchmarks.world import open_world
from common.cli import parser
from common.errors import exit_on_user_error

BENCHES = {
    "align": align.run,
    "generate": generate.run,
    "infer": infer.run,
    "metrics": metrics.run,
    "runtimes": runtimes.run,
    "train": train.run,
}
EXAMPLES = """  python -m benchmarks generate
  python -m benchmarks align --data /data/occface -n 100
  python -m benchmarks infer
  python -m benchmarks runtimes -n 10
  python -m benchmarks metrics --data /data/occface -n 100"""


@exit_on_user_error
def main() -> None:
    """Print a table, and then one JSON object a line."""
    arguments = parser("Time a job on one process against the bare reading, writing or network time.", EXAMPLES)
    arguments.add_argument("name", choices=sorted(BENCHES), metavar="NAME", help=", ".join(sorted(BENCHES)))
    arguments.add_argument(
        "--data", type=Path, metavar="DIR", help="celebamask_hq_mini/, occluders/, textures/; default: a drawn world"
    )
    arguments.add_argument("-n", type=int, default=30, metavar="N", help="images a round (%(default)s)")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be timed, and stop")
    options = arguments.parse_args()
    if options.dry_run:
        print(f"would time {options.name} on {options.n} images of {options.data or 'a drawn world'}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        world = open_world(options.data, scratch=Path(scratch))
        print_measurements(BENCHES[options.name](world, Path(scratch), n=options.n))


if __name__ == "__main__":
    main()
