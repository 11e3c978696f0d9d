"""The six commands on a small drawn world, each run in a process of its own that can be struck at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from common.checkpoint import load_state
from common.image_io import write_image
from datasets import pack as packing
from tests.stand_ins import photo_with_face, save_tiny_weights
from tests.tiny_world import HOLDOUT, draw_world

FACES, PHOTOS, SIDE = 12, 16, 64
# What tells of time and machine, not of results; a killed run leaves its .lock, which then locks nothing.
TIMES = ("report.json", "metrics.jsonl", "log.txt", "environment.json", "tensorboard", ".lock")
SMALL_BLOCK = 2 * SIDE * SIDE * 4  # two faces between two flushes of `pack`


class World(NamedTuple):
    """Inputs of all stages, which no stage writes to.

    Attributes:
        root: a folder for everything.
        prepared: aligned faces.
        photos: photos with a red and blue face in the middle.
        weights: an untrained network.
    """

    root: Path
    prepared: Path
    photos: Path
    weights: Path


class Done(NamedTuple):
    """How a process ended.

    Attributes:
        code: exit code; minus the signal's number where one ended it.
        output: what it printed, both streams.
    """

    code: int
    output: str


class Stage(NamedTuple):
    """One command.

    Attributes:
        name: for readers.
        module: holds `main`.
        words: command line, given the world and the output folder.
    """

    name: str
    module: str
    words: Callable[[World, Path], list[str]]

    def run(self, world: World, out: Path, **options: Any) -> Done:
        """Run the command to its end, see `start`."""
        return self.start(world, out, **options).wait()

    def start(
        self, world: World, out: Path, *, before: Callable[[], object] = lambda: None, threads: int = 1
    ) -> Running:
        """Start the command in a child of this process, which has loaded everything already.

        Args:
            before: called in the child first, e.g. to set limits.
        """
        words = self.words(world, out)
        log = world.root / f"{self.name}.log"
        pid = os.fork()
        if pid:
            return Running(pid, log)
        code = 70
        try:
            os.setsid()
            stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(stream, 1), os.dup2(stream, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
            packing.BLOCK_BYTES = SMALL_BLOCK
            sys.argv = [f"{self.module}.py", *words]
            torch.set_num_threads(threads)
            main = importlib.import_module(self.module).main
            before()
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)


class Running(NamedTuple):
    """A command that was started."""

    pid: int
    log: Path

    def strike(self, number: int) -> None:
        """Send a signal to the command alone, not to its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, *, within_s: float = 120) -> Done:
        """Return how it ended."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return Done(code, self.log.read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.002)
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise TimeoutError(f"no end within {within_s} s:\n{self.log.read_text(errors='replace')[-2000:]}")


def _config(world: World, name: str, content: dict[str, Any]) -> str:
    path = world.root / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def _data(world: World) -> dict[str, str]:
    return {"root": str(world.root / "celeba"), "prepared": str(world.prepared)}


def _align(world: World, out: Path) -> list[str]:
    source = {"split": "split.csv"}
    content = {"data": _data(world), "source": source, "align": {"size": SIDE}, "output": str(out)}
    return [_config(world, "align", {**content, "image_format": "png"}), "--processes", "2"]


def _generators(world: World) -> dict[str, Any]:
    shared = {"holdout_share": HOLDOUT}
    return {
        "hands": {"kind": "natocc", "part": "hand", "occluders": str(world.root / "pairs"), **shared},
        "shapes": {"kind": "randocc", "textures": str(world.root / "textures"), **shared},
    }


def _synthesise(world: World, out: Path) -> list[str]:
    content = {"data": _data(world), "split": None, "output": str(out), "occlusion": {"generators": _generators(world)}}
    return [_config(world, "synthesise", content), "--processes", "2"]


def _pack(world: World, out: Path) -> list[str]:
    return ["pack", str(world.prepared), str(out), "--processes", "2"]


def _train(world: World, out: Path) -> list[str]:
    faces = {"prepared": str(world.prepared)}
    content = {
        "name": "tiny", "run_dir": str(out), "data": _data(world), "size": 32,
        "train_sets": {"faces": {**faces, "split": "train"}},
        "validation": {"every_images": 8, "previews": 1, "set": {**faces, "split": "val"}},
        "occlusion": {"generators": _generators(world)},
        "model": {"encoder": "mobilenet_v2", "decoder_channels": [16, 8, 8, 8, 4]},
        "train": {"images": 16, "batch_size": 2, "save_every_images": 4, "schedule": {"warmup_images": 2}, "workers": 0,
                  "threads": 1, "precision": "32-true"},
    }  # fmt: skip
    return [_config(world, "train", content)]


def _evaluate(world: World, out: Path) -> list[str]:
    one = {"layout": "prepared", "root": str(world.prepared), "crop": "resize"}
    sets = {"whole": one, "val": {**one, "split": "val"}}
    content = {"data": _data(world), "weights": str(world.weights), "output": str(out), "sets": sets, "batch_size": 2}
    return [_config(world, "evaluate", content)]


def _infer(world: World, out: Path) -> list[str]:
    words = ["--aligned", "--device", "cpu", "--threads", "2", "--save", "visible,overlay"]
    return [str(world.photos), str(out), "--weights", str(world.weights), *words]


STAGES = {
    stage.name: stage
    for stage in (
        Stage("align", "face_align.__main__", _align),
        Stage("synthesise", "occlusion_gen.__main__", _synthesise),
        Stage("pack", "datasets.__main__", _pack),
        Stage("train", "train", _train),
        Stage("evaluate", "eval", _evaluate),
        Stage("infer", "infer", _infer),
    )
}


def make_world(root: Path) -> World:
    """Draw faces, photos and weights below `root`, and load what the stages need."""
    root.mkdir(parents=True, exist_ok=True)
    os.environ["OCCFACE_CACHE"] = str(root / "cache")
    for name in (*(stage.module for stage in STAGES.values()), "torch.utils.tensorboard"):
        importlib.import_module(name)
    draw_world(root, train=FACES - 3, val=3)
    world = World(root, root / "prepared", root / "photos", root / "tiny.safetensors")
    for number in range(PHOTOS):
        photo = photo_with_face((90, 120), (30 + number, 20, 60, 50), hidden_rows=number)
        write_image(world.photos / f"{number:02d}.png", photo)
    save_tiny_weights(world.weights, size=SIDE)
    done = STAGES["align"].run(world, world.prepared)
    assert done.code == 0, done.output
    return world


def product(out: Path) -> dict[str, str]:
    """Return what a stage left behind: a digest of each file by name, without what tells of time and machine."""
    files = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()}
    return {name: _digest(path) for name, path in files.items() if not _tells_of_time(name)}


def _tells_of_time(name: str) -> bool:
    return not set(name.split("/")).isdisjoint(TIMES) or "damaged_" in name  # the latter: put aside by a resumed run


def _digest(path: Path) -> str:
    if path.suffix != ".pt":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(_plain(load_state(path))).hexdigest()


def _plain(content: Any) -> bytes:
    """Return bytes that are equal for equal states: the file holds them in a zip, whose bytes may differ."""
    if isinstance(content, torch.Tensor):
        return repr((content.dtype, content.shape)).encode() + content.contiguous().numpy().tobytes()
    if isinstance(content, dict):
        parts = (repr(key).encode() + b":" + _plain(content[key]) for key in sorted(content, key=str))
        return b"{" + b",".join(parts) + b"}"
    if isinstance(content, list | tuple):
        return b"[" + b",".join(map(_plain, content)) + b"]"
    return repr(content).encode()
