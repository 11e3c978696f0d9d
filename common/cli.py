"""What the command lines of all stages share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.config import Section, to_yaml
from common.engines import default_processes, prepare_process
from common.plugins import load_plugins


def parser(description: str, examples: str) -> argparse.ArgumentParser:
    """Return an argument parser whose help ends with examples that can be pasted.

    What has to come first in every command is done here: plugins are loaded before anything asks what is known.

    Raises:
        UserError: a plugin cannot be imported.
    """
    load_plugins()
    # OpenCV's own threads fight with worker processes and do not survive a fork.
    prepare_process()
    script = Path(sys.argv[0])
    program = f"-m {script.parent.name}" if script.name == "__main__.py" else script.name
    return argparse.ArgumentParser(
        prog=f"python {program}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_config(arguments: argparse.ArgumentParser) -> None:
    """Add CONFIG, `key=value` overrides and --dry-run."""
    arguments.add_argument("config", type=Path, metavar="CONFIG", help="YAML file; its keys are in configs/schema/")
    arguments.add_argument(
        "overrides", nargs="*", metavar="key=value", help="set single keys, e.g. data.root=/path or train.images=2000"
    )
    arguments.add_argument(
        "--dry-run", action="store_true", help="print the resolved configuration and what would be done, and stop"
    )


def parse(arguments: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the parsed command line; options such as --dry-run may stand before, between and after overrides."""
    return arguments.parse_intermixed_args()


def add_processes(arguments: argparse.ArgumentParser) -> None:
    """Add --processes, which changes the speed and never the result."""
    arguments.add_argument(
        "--processes",
        type=int,
        default=default_processes(),
        metavar="N",
        help="worker processes (all cores: %(default)s)",
    )


def print_dry_run(config: Section, plan: str) -> None:
    """Print the resolved configuration and the plan in one sentence or more."""
    print(to_yaml(config), end="")
    print(f"# dry run: {plan}")
