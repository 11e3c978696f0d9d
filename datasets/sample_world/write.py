"""The sample world on disk: what is written, by which key it is drawn, and when it is left alone.

Every file depends on (seed, stream, index) alone, so that neither the number of files nor the number of processes
changes any of them.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict, cast

import cv2
from tqdm import tqdm

from common.errors import UserError
from common.image_io import write_bytes
from datasets.sample_world.files import JOBS, World, mapping_text, split_of

FORMAT_VERSION = 1
WORLD_FILE = "world.json"
UNFINISHED_FILE = "world.unfinished.json"
ALIGNED_FACES = 8
CUTOUTS_A_FOLDER = 4
FACEOCC_TEXTURES = 6


@dataclass(frozen=True)
class WorldSize:
    """How much is drawn: counts, and the photo's width and height in pixels."""

    faces: int
    test_faces: int
    hands: int
    objects: int
    textures: int
    photo_size: int
    seed: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = {"photo_size": 64, "seed": 0, "faces": 1}.get(name, 0)
            if value < least:
                raise UserError(f"sample world: {name} is {value}; give at least {least}")
        if self.photo_size % 2:
            raise UserError(
                f"sample world: photo_size is {self.photo_size}; give an even number (masks are half as large)"
            )


class WrittenWorld(TypedDict):
    """What lies in a sample world.

    Attributes:
        counts: files below each folder.
        arguments: that it was written with.
        paths: of the data sets.
        reused: whether it was there already.
    """

    counts: dict[str, int]
    arguments: dict[str, int]
    paths: dict[str, Path]
    reused: bool


def write_sample_world(
    out: Path,
    *,
    faces: int = 360,
    test_faces: int = 40,
    hands: int = 36,
    objects: int = 60,
    textures: int = 36,
    photo_size: int = 512,
    seed: int = 0,
    processes: int = 1,
) -> WrittenWorld:
    """Return what was written below `out`: the counts, the paths of the data sets, and whether it was there already.

    Args:
        out: a new or empty folder, or one that an earlier call with the same arguments wrote or began to write.
        faces: portraits in the layout of CelebAMask-HQ, every fifth of them in the validation split.
        test_faces: occluded portraits of other people, in the layout of RealOcc.
        hands: occluding hands on white with masks.
        objects: cut-outs of things, the categories in turn.
        textures: 256 px pictures, the classes in turn.
        photo_size: width and height of the photos in pixels, even; label masks are half as large.
        seed: of all draws.
        processes: how many work at once; changes no byte.

    Raises:
        UserError: `out` holds something else, or a world of other arguments; or an argument is out of range.
    """
    size = WorldSize(faces, test_faces, hands, objects, textures, photo_size, seed)
    out = Path(out)
    found = _judge_folder(out, size)
    if found is not None:
        return _answer(out, found, reused=True)
    write_bytes(out / UNFINISHED_FILE, _as_json(_record(size)))
    _draw(World(out, seed, photo_size), list(_jobs(size)), processes=processes)
    _write_lists(out, size)
    record = {**_record(size), "counts": _counts(out)}
    write_bytes(out / WORLD_FILE, _as_json(record))
    (out / UNFINISHED_FILE).unlink()
    return _answer(out, record, reused=False)


def _draw(world: World, jobs: list[tuple[str, int]], *, processes: int) -> None:
    if processes <= 1:
        for job in tqdm(jobs, desc="draw", unit="thing"):
            _run(world, job)
        return
    # Spawned, not forked: a fork would copy the locks of whatever threads the caller has started.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_single_thread) as pool:
        for _ in tqdm(pool.map(partial(_run, world), jobs, chunksize=4), desc="draw", total=len(jobs), unit="thing"):
            pass


def _single_thread() -> None:
    cv2.setNumThreads(1)


def _run(world: World, job: tuple[str, int]) -> None:
    kind, index = job
    JOBS[kind](world, index)


def _jobs(size: WorldSize) -> Iterator[tuple[str, int]]:
    yield from (("test", index) for index in range(size.test_faces))
    yield from (("face", index) for index in range(size.faces))
    trained = [index for index in range(size.faces) if split_of(index) == "train"]
    yield from (("aligned", index) for index in trained[:: max(len(trained) // ALIGNED_FACES, 1)][:ALIGNED_FACES])
    yield from (("hand", index) for index in range(size.hands))
    yield from (("object", index) for index in range(size.objects))
    yield from (("texture", index) for index in range(size.textures))
    yield from (("cutout", index) for index in range(5 * CUTOUTS_A_FOLDER))
    yield from (("faceocc_texture", index) for index in range(FACEOCC_TEXTURES))


def _write_lists(out: Path, size: WorldSize) -> None:
    write_bytes(out / "CelebAMask-HQ" / "CelebA-HQ-to-CelebA-mapping.txt", mapping_text(size.faces).encode())
    names = "".join(f"val_{index}\n" for index in range(size.test_faces))
    write_bytes(out / "RealOcc" / "split" / "val.txt", names.encode())


def _record(size: WorldSize) -> dict[str, object]:
    return {"format": FORMAT_VERSION, "arguments": asdict(size)}


def _as_json(record: dict[str, object]) -> bytes:
    return (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()


def _counts(out: Path) -> dict[str, int]:
    """Return the number of files below each data set's folder."""
    folders = sorted(entry for entry in out.iterdir() if entry.is_dir())
    return {folder.name: sum(1 for path in folder.rglob("[!.]*") if path.is_file()) for folder in folders}


def _answer(out: Path, record: dict[str, object], *, reused: bool) -> WrittenWorld:
    paths = {
        "faces": out / "CelebAMask-HQ", "hands": out / "occluders" / "hands", "objects": out / "occluders" / "objects",
        "textures": out / "textures", "faceocc": out / "FaceOcc", "test": out / "RealOcc",
    }  # fmt: skip
    counts, arguments = cast(dict[str, int], record["counts"]), cast(dict[str, int], record["arguments"])
    return {"counts": counts, "arguments": arguments, "paths": paths, "reused": reused}


def _judge_folder(out: Path, size: WorldSize) -> dict[str, object] | None:
    """Return the record of a whole world of this size in `out`, or None when there is one to write.

    Raises:
        UserError: the folder holds something else.
    """
    if not out.exists():
        return None
    if not out.is_dir():
        raise UserError(f"{out}: expected a folder for the sample world, found a file; give another path")
    for name in (WORLD_FILE, UNFINISHED_FILE):
        if (out / name).is_file():
            record = _read_record(out / name)
            _refuse_other(out / name, record, wanted=_record(size))
            return record if name == WORLD_FILE and _is_whole(out, record) else None
    if any(out.iterdir()):
        names = sorted(entry.name for entry in out.iterdir())[:5]
        raise UserError(
            f"{out}: holds files that are no sample world ({', '.join(names)}); give a new or an empty folder"
        )
    return None


def _is_whole(out: Path, record: dict[str, object]) -> bool:
    """Return whether no file was lost since the record was written; files that others added do not matter."""
    recorded, found = record.get("counts"), _counts(out)
    return isinstance(recorded, dict) and all(found.get(name, 0) >= count for name, count in recorded.items())


def _read_record(path: Path) -> dict[str, object]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove the folder and write the world again") from error
    if not isinstance(record, dict):
        raise UserError(f"{path}: expected a JSON object; remove the folder and write the world again")
    return record


def _refuse_other(path: Path, found: dict[str, object], *, wanted: dict[str, object]) -> None:
    """Raise UserError when a world was written with other arguments or by another version."""
    if found.get("format") != wanted["format"]:
        raise UserError(
            f"{path}: a world of format {found.get('format')}, this program writes {wanted['format']}; "
            "remove the folder or give another one"
        )
    there, here = found.get("arguments"), wanted["arguments"]
    if not isinstance(there, dict) or not isinstance(here, dict):
        raise UserError(f"{path}: lists no arguments; remove the folder and write the world again")
    different = [f"{name} {there.get(name)} -> {value}" for name, value in here.items() if there.get(name) != value]
    if different:
        raise UserError(
            f"{path}: was written with other arguments ({', '.join(different)}); "
            "give another folder, repeat the old arguments, or remove this one"
        )
