"""Look the dependencies over: known holes, licences, a bill of materials; or lock them by hash.

    python -m venv .venv-audit && .venv-audit/bin/pip install -r requirements-audit.txt
    .venv-audit/bin/python scripts/audit_dependencies.py --python .venv/bin/python --out runs/audit
    .venv-audit/bin/python scripts/audit_dependencies.py --python .venv/bin/python --lock
    python scripts/audit_dependencies.py --licences                                    # needs no tool and no network

Writes vulnerabilities.json (pip-audit), licences.json and bill_of_materials.cdx.json (CycloneDX 1.6, by cyclonedx-py).
Exit codes: 0 nothing was found, 1 a known hole or a licence that is not allowed, 3 what could not be audited: the
database of known holes has to be reached over the network, and answers for packages that it knows.

--lock writes requirements-locked.txt: the versions that are installed beside PYTHON with the hashes of the public
registry. Install from it with `pip install --require-hashes -r requirements-locked.txt`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parent.parent
LOCKED, TESTED, NEEDED = (REPOSITORY / f"requirements{kind}.txt" for kind in ("-locked", "-dev", ""))
NOT_AUDITED = 3
ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC",
    "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip
# Runtime libraries that PyTorch's builds for GPUs pull in. They are proprietary, free to use, and not shipped by us.
NVIDIA = re.compile(r"(nvidia-.*|cuda-toolkit)")
SPELLINGS = {
    "apache software license": "Apache-2.0", "apache 2.0": "Apache-2.0", "mit license": "MIT",
    "the mit license (mit)": "MIT", "bsd": "BSD-3-Clause", "bsd license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "python software foundation license": "PSF-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
}  # fmt: skip
LONGEST_NAME = 200  # what is longer is the text of a licence, not its name


class Licence(NamedTuple):
    """The licence of an installed package, as its metadata tells it; "" where they tell none."""

    package: str
    version: str
    licence: str
    allowed: bool


def licences(requirements: Iterable[str]) -> list[Licence]:
    """Return the licences of these requirements and of all that they need here, by name."""
    found: dict[str, Licence] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in found:
            continue
        try:
            package = metadata.distribution(wanted.name)
        except metadata.PackageNotFoundError:
            continue  # not needed on this system
        told = licence_of(package)
        found[name] = Licence(name, package.version, told, is_allowed(told) or bool(NVIDIA.fullmatch(name)))
        needs = map(Requirement, package.requires or ())
        waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return [found[name] for name in sorted(found)]


def licence_of(package: metadata.Distribution) -> str:
    """Return the licence as an SPDX expression, as far as the metadata can be read as one."""
    told = package.metadata
    classifiers = told.get_all("Classifier") or ()
    kinds = [line.rsplit("::", 1)[-1].strip() for line in classifiers if line.startswith("License")]
    short = (told.get("License") or "").strip()
    texts = [told.get("License-Expression") or "", short if len(short) <= LONGEST_NAME else "", " AND ".join(kinds)]
    first = next((text for text in texts if text), "")
    return SPELLINGS.get(first.lower(), first)


def is_allowed(expression: str) -> bool:
    """Return whether an SPDX expression without brackets holds nothing but allowed licences, or offers one."""
    offers = re.split(r"\s+OR\s+", expression.replace("(", "").replace(")", ""))
    return any(
        all(SPELLINGS.get(part.lower(), part) in ALLOWED for part in re.split(r"\s+AND\s+", offer)) for offer in offers
    )


def read_requirements(path: Path) -> list[str]:
    """Return the lines of a requirements file and of those that it names, without comments and hashes."""
    lines = [line.partition(" #")[0].rstrip(" \\").strip() for line in path.read_text(encoding="utf-8").splitlines()]
    found: list[str] = []
    for line in lines:
        if line.startswith("-r "):
            found += read_requirements(path.parent / line[3:])
        elif line and not line.startswith(("#", "--")):
            found.append(line)
    return found


def audit_licences(out: Path) -> int:
    """Write licences.json and return the exit code."""
    found = licences(read_requirements(NEEDED))
    _write(out / "licences.json", [licence._asdict() for licence in found])
    wrong = [licence for licence in found if not licence.allowed]
    for licence in wrong:
        print(f"{licence.package} {licence.version}: licence {licence.licence or 'unknown'!r} is not among the allowed")
    print(f"licences: {len(found)} packages at run time, {len(wrong)} not allowed")
    return int(bool(wrong))


def audit_holes(out: Path) -> int:
    """Write vulnerabilities.json and return the exit code."""
    path = out / "vulnerabilities.json"
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCKED), "--require-hashes", "--disable-pip",
               "--progress-spinner", "off", "--format", "json", "--output", str(path)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["dependencies"]
    except (OSError, ValueError, KeyError):
        reason = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        print(f"known holes: NOT AUDITED, pip-audit could not work or reach its data ({reason[0]})")
        return NOT_AUDITED
    skipped = [package for package in packages if "skip_reason" in package]
    holes = [(package, hole["id"]) for package in packages for hole in package.get("vulns", ())]
    for package, hole in holes:
        print(f"{package['name']} {package['version']}: {hole}")
    print(f"known holes: {len(packages) - len(skipped)} of {len(packages)} packages audited, {len(holes)} found")
    if skipped:
        print(f"known holes: {len(skipped)} packages NOT AUDITED, e.g. {skipped[0]['skip_reason']}")
    return 1 if holes else NOT_AUDITED if skipped else 0


def list_materials(out: Path, python: Path) -> int:
    """Write the bill of materials of the environment of `python`."""
    path = out / "bill_of_materials.cdx.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", str(python), "--output-format", "JSON",
               "--spec-version", "1.6", "--output-reproducible", "--output-file", str(path)]  # fmt: skip
    subprocess.run(command, check=True)
    parts = json.loads(path.read_text(encoding="utf-8"))["components"]
    print(f"bill of materials: {len(parts)} components, {path}")
    return 0


def lock(python: Path) -> int:
    """Write requirements-locked.txt from the versions beside `python`."""
    listed = subprocess.run([str(python), "-m", "pip", "list", "--format", "freeze"], capture_output=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        versions, locked = Path(folder) / "versions.txt", Path(folder) / "locked.txt"
        versions.write_bytes(listed.stdout)
        command = [sys.executable, "-m", "uv", "pip", "compile", str(TESTED), "--constraint", str(versions),
                   "--generate-hashes", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28",
                   "--no-config", "--no-header", "--no-annotate", "--output-file", str(locked), "--quiet"]  # fmt: skip
        subprocess.run(command, check=True)
        head = [line for line in LOCKED.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        LOCKED.write_text("\n".join(head) + "\n" + locked.read_text(encoding="utf-8"), encoding="utf-8")
    print(f"{LOCKED}: {len(read_requirements(LOCKED))} packages")
    return 0


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Audit, or lock."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--python", type=Path, default=Path(sys.executable), help="of the environment to look at")
    arguments.add_argument("--out", type=Path, default=Path("runs/audit"), help="folder of reports (%(default)s)")
    what = arguments.add_mutually_exclusive_group()
    what.add_argument("--licences", action="store_true", help="only the licences of this environment")
    what.add_argument("--lock", action="store_true", help="write requirements-locked.txt anew")
    options = arguments.parse_args()
    if options.licences:
        sys.exit(audit_licences(options.out))
    if options.lock:
        sys.exit(lock(options.python))
    options.out.mkdir(parents=True, exist_ok=True)
    # Licences are told by the metadata of what is installed, which the other environment has.
    own = subprocess.run([str(options.python), __file__, "--licences", "--out", str(options.out)], check=False)
    codes = [own.returncode, audit_holes(options.out), list_materials(options.out, options.python)]
    sys.exit(1 if 1 in codes else max(codes))


if __name__ == "__main__":
    main()
