"""Faults that are put into a stage while it runs or into its files, and what has to be true afterwards.

Each function injects faults drawn from `rng` and returns what went wrong, "" where nothing did. The stage runs again
after the fault, as a user would: what it then leaves must be, byte for byte, what an uninterrupted run leaves.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import folder_lock
from common.checkpoint import load_state
from common.errors import UserError
from datasets.packed import open_packed
from models.weights import load_weights
from tests.faults.stages import Done, Stage, World, product

YEARS_S = 10 * 365 * 86400.0


class Reference(NamedTuple):
    """What an uninterrupted run of a stage leaves, and how long it took.

    Attributes:
        files: see `product`.
        seconds: from start to end.
        largest_bytes: of the largest file.
        total_bytes: of all files, in blocks of 4096 as file systems count.
    """

    files: dict[str, str]
    seconds: float
    largest_bytes: int
    total_bytes: int


def output_of(world: World, stage: Stage) -> Path:
    """Return where a stage writes; always the same, since configurations name it. What was there is removed."""
    out = world.root / "out" / stage.name
    shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    return out


def run_undisturbed(stage: Stage, world: World) -> Reference:
    """Return what an uninterrupted run leaves, and remove it."""
    out, start_s = output_of(world, stage), time.monotonic()
    done = stage.run(world, out)
    assert done.code == 0, done.output
    seconds = time.monotonic() - start_s
    sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
    return Reference(product(out), seconds, max(sizes), sum(-(-size // 4096) * 4096 for size in sizes))


def killed(stage: Stage, world: World, whole: Reference, rng: np.random.Generator, *, number: int) -> str:
    """Strike with the signal `number` once or twice, at moments spread over the whole run."""
    out = output_of(world, stage)
    for _ in range(rng.integers(1, 3)):
        job = stage.start(world, out)
        time.sleep(rng.uniform(0, whole.seconds))
        job.strike(number)
        done = job.wait()
        if done.code not in (-number, 0):
            return f"ended with {done.code}: {done.output[-500:]}"
    return _finish(stage, world, whole, before=_set_clock_back if rng.integers(2) else _nothing)


def disk_filled(stage: Stage, world: World, whole: Reference, rng: np.random.Generator) -> str:
    """Let the disk be full after a part of what the stage writes, then make room."""
    out = output_of(world, stage)
    share = rng.uniform(0.02, 0.98)
    out.mkdir(parents=True)
    with _small_disk(out, int(share * whole.total_bytes)) as disk:
        limit = int(share * whole.largest_bytes)
        done = stage.run(world, out, before=_nothing if disk else lambda: _limit_files(limit))
        problem = "" if done.code == 0 else _refusal(done, "", "the disk is full", "are needed", "cannot be written")
        if disk:
            _mount("-o", "remount,size=256m", str(out))
        return problem or _finish(stage, world, whole)


def not_writable(stage: Stage, world: World) -> str:
    """Let the output folder be one that cannot be written to, then a file."""
    out = output_of(world, stage)
    out.mkdir(parents=True)
    problems = []
    with _read_only(out) as possible:
        if possible:
            problems.append(_refusal(stage.run(world, out), str(out), ""))
    out.rmdir()
    out.write_text("in the way")
    problems.append(_refusal(stage.run(world, out), str(out), ""))
    if out.read_text() != "in the way":
        problems.append("the file was overwritten")
    out.unlink()
    return "; ".join(filter(None, problems))


def two_at_once(stage: Stage, world: World, whole: Reference) -> str:
    """Start a second run while the first is at work, which it is told of; the first ends as if nothing had been."""
    out = output_of(world, stage)
    first, end_s = stage.start(world, out), time.monotonic() + 60
    while not _lock_is_held(out) and time.monotonic() < end_s:
        time.sleep(0.0005)
    first.strike(signal.SIGSTOP)
    try:
        second = stage.run(world, out, before=_have_little_patience)
    finally:
        first.strike(signal.SIGCONT)
    done = first.wait()
    problem = _refusal(second, f"process {first.pid} on", "another run is at work here")
    if done.code != 0:
        return f"the first run ended with {done.code}: {done.output[-500:]}"
    return problem or _finish(stage, world, whole)


def result_damaged(stage: Stage, world: World, whole: Reference, rng: np.random.Generator) -> str:
    """Damage a file of a finished run: another run makes it anew, or it is refused by whoever would use it."""
    out = output_of(world, stage)
    done = stage.run(world, out)
    assert done.code == 0, done.output
    path = damage(out, rng, but="previews")  # pictures of a training, which nothing reads
    again = stage.run(world, out)
    name = path.relative_to(out).as_posix()
    if again.code != 0:
        problem = _refusal(again, "", name, path.name, str(out))
    elif product_or_nothing(out) == whole.files:
        problem = ""
    else:
        problem = "" if _consumer_refuses(stage, out) else f"{name} is damaged and would be used"
    return problem


def source_damaged(stage: Stage, world: World, whole: Reference, rng: np.random.Generator) -> str:
    """Damage a file that a stage reads: it is named and not used."""
    out = output_of(world, stage)
    source = world.photos if stage.name == "infer" else world.prepared
    with _kept(source):
        name = damage(source, rng).relative_to(source).as_posix()
        done = stage.run(world, out)
        if done.code in (2, 3):
            problem = _refusal(done, "", name, "manifest.jsonl", Path(name).stem)
        elif done.code == 0:
            told = out / "report.json"
            same = product(out) == whole.files
            named = told.is_file() and name in told.read_text() and "damaged_file" in told.read_text()
            problem = "" if same or named else f"{name} was used: {done.output[-300:]}"
        else:
            problem = f"ended with {done.code}: {done.output[-500:]}"
    return problem


def damage(folder: Path, rng: np.random.Generator, *, but: str = "") -> Path:
    """Cut a file below `folder` off at a random place, or change one to three of its bytes; return its path.

    Args:
        but: a sub-folder to leave alone.
    """
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size > 0]
    files = [path for path in found if but not in path.relative_to(folder).parts]
    path = files[rng.integers(len(files))]
    content = bytearray(path.read_bytes())
    if rng.integers(3) == 0:
        del content[rng.integers(len(content)) :]
    else:
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return path


def product_or_nothing(out: Path) -> dict[str, str]:
    """Return `product`, or {} where a file in it cannot be read."""
    try:
        return product(out)
    except UserError:
        return {}


def _consumer_refuses(stage: Stage, out: Path) -> bool:
    """Return whether who reads a finished result finds the damage."""
    try:
        if stage.name == "pack":
            packed = open_packed(out)
            for name in packed.arrays:
                for row in packed.rows.values():
                    packed.read(name, row)
        elif stage.name == "train":
            for name in ("best", "latest"):
                load_weights(out / "checkpoints" / f"{name}.safetensors")
            for name in ("latest", "previous"):
                load_state(out / "checkpoints" / f"{name}.pt")
    except UserError:
        return True
    return False


def _finish(stage: Stage, world: World, whole: Reference, *, before: Callable[[], object] = lambda: None) -> str:
    """Run once more and compare with the undisturbed run."""
    out = world.root / "out" / stage.name
    done = stage.run(world, out, before=before)
    if done.code != 0:
        return f"the run after the fault ended with {done.code}: {done.output[-1500:]}"
    found = product(out)
    other = sorted(name for name in found.keys() | whole.files.keys() if found.get(name) != whole.files.get(name))
    left = [path.name for path in out.rglob("*.partial")]
    return f"differs in {other[:5]}, left {left[:5]}" if other or left else ""


def _refusal(done: Done, needed: str, *one_of: str) -> str:
    """Return what is wrong with how a run refused to go on."""
    told = done.code in (2, 3) and needed in done.output and any(text in done.output for text in one_of)
    if told and "Traceback" not in done.output:
        return ""
    return f"no clear refusal (exit code {done.code}, expected {needed!r} and one of {one_of}): {done.output[-1500:]}"


def _lock_is_held(out: Path) -> bool:
    try:
        return (out / folder_lock.LOCK_NAME).stat().st_size > 0
    except OSError:
        return False


def _have_little_patience() -> None:
    folder_lock.PATIENCE_S = 0.2


def _nothing() -> None:
    pass


def _set_clock_back() -> None:
    now = time.time
    time.time = lambda: now() - YEARS_S


def _limit_files(limit: int) -> None:
    """Let no file grow above the limit, which is told as a full disk is, where there is no right to mount one."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def _mount(*words: str) -> bool:
    try:
        return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def _small_disk(place: Path, size: int) -> Iterator[bool]:
    """Yield whether `place` is a file system of `size` bytes of its own, which needs the right to mount."""
    mounted = _mount("-t", "tmpfs", "-o", f"size={max(4096, size)}", "tmpfs", str(place))
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


@contextlib.contextmanager
def _read_only(place: Path) -> Iterator[bool]:
    """Yield whether nothing can be written into `place`: a file system mounted so, or its rights."""
    mounted = _mount("-t", "tmpfs", "-o", "ro", "tmpfs", str(place))
    place.chmod(0o555) if not mounted else None
    try:
        yield mounted or os.geteuid() != 0
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)
        else:
            place.chmod(0o755)


@contextlib.contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Put `folder` back as it was."""
    copy = folder.with_name(f"{folder.name}_kept")
    shutil.copytree(folder, copy)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        copy.rename(folder)
