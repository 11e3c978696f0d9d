"""Which folders of data a configuration names: sets of faces, with their side, and folders of occluders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from common.config import Section, load_config, outermost_keys
from common.errors import UserError
from configs.schema import AlignJob, EvalJob, EvalSet, OcclusionJob, OcclusionSection, PreparedSet, TrainJob

Side = Literal["train", "validation", "test", "source"]

# Key that only one command's configuration has -> that command. The order decides.
SCHEMAS: tuple[tuple[str, type[Section]], ...] = (
    ("train_sets", TrainJob),
    ("sets", EvalJob),
    ("occlusion", OcclusionJob),
    ("align", AlignJob),
    ("source", AlignJob),
)


class NamedSet(NamedTuple):
    """A set of faces that a configuration names.

    Attributes:
        name: what the configuration calls it.
        section: how to read it.
        side: what it is for; "source": neither, other commands make sets of it.
    """

    name: str
    section: EvalSet
    side: Side


class NamedFolder(NamedTuple):
    """A folder of occluders or textures that a configuration names."""

    name: str
    path: Path


class Named(NamedTuple):
    """All that one or more configurations name."""

    sets: list[NamedSet]
    folders: list[NamedFolder]


def named_by(configs: Sequence[Path], overrides: Sequence[str]) -> Named:
    """Return the sets and folders of all configurations together; `overrides` go to each of them.

    Raises:
        UserError: a file cannot be read, or is no configuration of ours.
    """
    named = Named([], [])
    for path in configs:
        job = load_job(path, overrides)
        found = Named(list(_sets(job)), list(_folders(job)))
        prefix = f"{path.stem}." if len(configs) > 1 else ""
        named.sets.extend(entry._replace(name=prefix + entry.name) for entry in found.sets)
        named.folders.extend(entry._replace(name=prefix + entry.name) for entry in found.folders)
    return named


def load_job(path: Path, overrides: Sequence[str]) -> Section:
    """Return the configuration in `path`, of whichever command its keys belong to.

    Raises:
        UserError: the file cannot be read, or is of no command.
    """
    keys = outermost_keys(path)
    schema = next((schema for key, schema in SCHEMAS if key in keys), None)
    if schema is None:
        raise UserError(
            f"{path}: names no data; expected a configuration of face_align (align, source), occlusion_gen "
            f"(occlusion), train.py (train_sets) or eval.py (sets), found the keys {', '.join(sorted(keys)) or 'none'}"
        )
    return load_config(path, schema, list(overrides))


def _sets(job: Section) -> Iterator[NamedSet]:
    match job:
        case EvalJob():
            yield from (NamedSet(name, section, section.role) for name, section in job.sets.items())
        case TrainJob():
            yield from (NamedSet(name, _prepared(section), "train") for name, section in job.train_sets.items())
            yield NamedSet("validation", _prepared(job.validation.set), "validation")
        case OcclusionJob():
            section = PreparedSet(prepared=job.data.prepared, split=job.split, limit=job.limit)
            yield NamedSet("prepared", _prepared(section), "source")
        case AlignJob():
            yield NamedSet("source", _source(job), "source")


def _prepared(section: PreparedSet) -> EvalSet:
    return EvalSet(layout="prepared", root=section.prepared, split=section.split, limit=section.limit)


def _source(job: AlignJob) -> EvalSet:
    """Return the raw set of `python -m face_align` as a set to check."""
    root, source = job.data.root, job.source
    labels = None if source.labels is None else str(source.labels)
    match source.layout:
        case "celebamask_hq":
            return EvalSet(layout="celebamask_hq", root=root, limit=source.limit)
        case "cofw" | "lfw":
            return EvalSet(layout=source.layout, root=root, masks=labels, limit=source.limit)
        case "folder" | "ffhq":
            names = ("images", "images1024x1024", "thumbnails128x128")
            images = next((name for name in names if (root / name).is_dir()), ".")
            return EvalSet(layout="folder", root=root, images=images, masks=labels, limit=source.limit)


def _folders(job: Section) -> Iterator[NamedFolder]:
    occlusion: OcclusionSection | None = getattr(job, "occlusion", None)
    if occlusion is None:
        return
    for name, generator in occlusion.generators.items():
        yield from _paths(name, generator)
    if occlusion.real is not None:
        yield from _paths("real", occlusion.real)


def _paths(name: str, section: Section) -> Iterator[NamedFolder]:
    """Yield every folder that a section names, of sections in it, too."""
    for field in type(section).model_fields:
        value: Any = getattr(section, field)
        if isinstance(value, Path):
            yield NamedFolder(f"{name}.{field}", value)
        elif isinstance(value, Section):
            yield from _paths(f"{name}.{field}", value)
