"""Let a coverage-guided fuzzer attack the parsers of files that others may have written.

    pip install -r requirements-fuzz.txt
    python scripts/fuzz.py --list
    python scripts/fuzz.py npy pickle --seconds 60
    python scripts/fuzz.py --seconds 60 --corpus runs/fuzz            # all of them, a minute each

Each parser runs in a process of its own and may return or raise `UserError`; anything else, more than 2 GB of memory,
and more than 10 seconds for one input are findings. They are kept under CORPUS/PARSER/findings; the exit code is 1 if
there is one. The suite runs a short round of seeded mutations instead, which needs no fuzzer: tests/faults.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
MEMORY_MB, SLOWEST_S = 2048, 10
INSTRUMENTED = ["common", "face_align", "datasets", "models", "evaluation", "inference", "configs", "yaml", "omegaconf"]


def attack(name: str, arguments: list[str]) -> None:
    """Fuzz one parser in this process; does not return."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.faults.parsers import PARSERS
    parser = PARSERS[name]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        atheris.Setup(["fuzz", *arguments], lambda content: parser.attack(Path(folder), content))
        atheris.Fuzz()


def campaign(name: str, *, seconds: int, corpus: Path) -> tuple[int, list[Path]]:
    """Fuzz one parser in another process and return how many inputs it tried, and what it found."""
    from tests.faults.parsers import PARSERS, TOKENS

    place = corpus / name
    (place / "inputs").mkdir(parents=True, exist_ok=True)
    (place / "findings").mkdir(exist_ok=True)
    before = set((place / "findings").iterdir())
    for number, seed in enumerate(PARSERS[name].seeds()):
        (place / "inputs" / f"seed{number}").write_bytes(seed)
    escaped = ("".join(f"\\x{byte:02x}" for byte in token[:60]) for token in TOKENS)
    (place / "tokens.txt").write_text("".join(f'"{token}"\n' for token in escaped))
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MB}", f"-timeout={SLOWEST_S}", "-max_len=20000"]
    places = [f"-artifact_prefix={place / 'findings'}/", f"-dict={place / 'tokens.txt'}", str(place / "inputs")]
    command = [sys.executable, __file__, "--one", name, *limits, *places]
    with (place / "log.txt").open("w", encoding="utf-8", errors="replace") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=REPOSITORY, check=False).returncode
    text = (place / "log.txt").read_text(encoding="utf-8", errors="replace")
    tried = max((int(number) for number in re.findall(r"^#(\d+)", text, re.MULTILINE)), default=0)
    found = sorted(set((place / "findings").iterdir()) - before)
    return tried, found or ([place / "log.txt"] if code else [])


def main() -> None:
    """Fuzz the parsers that the command line names, one after the other."""
    if sys.argv[1:2] == ["--one"]:
        attack(sys.argv[2], sys.argv[3:])
        return
    from tests.faults.parsers import CRASHING_LIBRARIES, PARSERS

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parsers", nargs="*", metavar="PARSER", help="default: all, see --list")
    arguments.add_argument("--seconds", type=int, default=60, help="a parser (%(default)s)")
    arguments.add_argument("--corpus", type=Path, default=Path("runs/fuzz"), help="inputs and findings (%(default)s)")
    arguments.add_argument("--list", action="store_true", help="name the parsers, and stop")
    options = arguments.parse_args()
    unknown = sorted(set(options.parsers) - PARSERS.keys())
    if options.list or unknown:
        print(*(f"unknown parser {name}; known:" for name in unknown), *PARSERS, sep="\n")
        sys.exit(2 if unknown else 0)
    total, findings = 0, []
    for name in options.parsers or [name for name in PARSERS if name not in CRASHING_LIBRARIES]:
        tried, found = campaign(name, seconds=options.seconds, corpus=options.corpus.resolve())
        total, findings = total + tried, findings + found
        print(f"{name:16s} {tried:9d} inputs, {len(found)} findings", flush=True)
    print(f"{total} inputs, {len(findings)} findings", *findings, sep="\n")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
