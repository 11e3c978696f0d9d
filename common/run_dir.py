"""The run folder: what a run leaves behind, and what it was made with."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from common.config import Section, save_config
from common.image_io import write_bytes

PACKAGES = (
    "torch", "torchvision", "segmentation-models-pytorch", "lightning-fabric", "albumentations",
    "opencv-python-headless", "numpy", "pillow", "safetensors",
)  # fmt: skip


def new_run_dir(root: Path, name: str) -> Path:
    """Return the path `root/{date}_{name}` of a run that starts now."""
    return root / f"{time.strftime('%Y%m%d-%H%M%S')}_{name}"


def open_run_dir(run_dir: Path, *, config: Section, manifests: Mapping[str, str]) -> None:
    """Make the run folder and write the resolved configuration and the environment into it.

    Args:
        manifests: path of each manifest that is read -> its SHA-256.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    save_config(run_dir / "config.yaml", config)
    content = json.dumps({**environment(sys.argv), "manifests": dict(manifests)}, indent=2)
    write_bytes(run_dir / "environment.json", (content + "\n").encode())


def environment(command: Sequence[str]) -> dict[str, Any]:
    """Return command, git commit, hash of uncommitted changes, versions and machine."""
    return {
        "command": list(command),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **git_state(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "machine": {"system": platform.platform(), "processor": platform.processor() or platform.machine()},
    }


def git_state() -> dict[str, str | None]:
    """Return the commit of this code and the SHA-256 of what differs from it; None outside a git checkout."""
    commit, difference = _git("rev-parse", "HEAD"), _git("diff", "HEAD")
    dirty = hashlib.sha256(difference.encode()).hexdigest() if difference else None
    return {"git_commit": commit.strip() if commit else None, "git_diff_sha256": dirty}


def origin_of(*, run: str, seed: int) -> dict[str, Any]:
    """Return where weights come from: run, seed, code and packages."""
    return {"run": run, "seed": seed, **git_state(), "packages": package_versions()}


def package_versions() -> dict[str, str | None]:
    """Return the version of each package that results depend on; None where it is not installed."""
    return {name: _version(name) for name in PACKAGES}


def append_metrics(run_dir: Path, values: Mapping[str, Any]) -> None:
    """Append one line to `metrics.jsonl`."""
    with (run_dir / "metrics.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(values) + "\n")


def append_bad_step(run_dir: Path, *, images: int, loss: float, samples: Sequence[str]) -> None:
    """Append one line to `bad_steps.jsonl`: a step that was skipped, and the samples that it saw."""
    line = json.dumps({"images": images, "loss": str(loss), "samples": list(samples)})
    with (run_dir / "bad_steps.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def rewind_metrics(run_dir: Path, images: int) -> None:
    """Drop the lines of metrics and bad steps after `images`: a run that goes on from there writes them again."""
    for path in (run_dir / "metrics.jsonl", run_dir / "bad_steps.jsonl"):
        if path.exists():
            lines = path.read_text(encoding="utf-8").split("\n")
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["images"] <= images]
            write_bytes(path, "".join(f"{line}\n" for line in kept).encode())


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
