"""From the YAML file of a table to its stages: one command each, with what it needs and what proves that it is done.

    {work}/configs/{stage}.yaml                           what a stage is told, resolved
    {work}/{prepared sets}                                as `prepare` says
    {work}/cells/{training set}/{network}/seed_{k}/       train/ (a run folder), eval/, and a folder a further job

A cell is one network trained on one training set. Stages are named {step}, {training set}/{network}/{seed}/train,
.../evaluate and .../{job}.
"""

from __future__ import annotations

import fnmatch
import functools
import graphlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from common.config import Section, load_config, validate
from common.errors import UserError
from configs.schema import AlignJob, EvalJob, OcclusionJob, StepSection, TableJob, TrainJob

Schema = TypeVar("Schema", bound=Section)
PROGRAMS: dict[str, type[Section]] = {"face_align": AlignJob, "occlusion_gen": OcclusionJob}
TABLE = "table"  # what --only calls the last step, which writes the table


@dataclass(frozen=True)
class Stage:
    """One command.

    Attributes:
        name: unique in the table.
        command: what Python runs, with arguments.
        makes: a file, or a folder with a manifest.jsonl; it proves that the stage is done.
        needs: names of the stages before it.
        config: what is written into `config_path` before it runs.
        reads: a file that no stage makes and that has to be there; None: no such file.
    """

    name: str
    command: tuple[str, ...]
    makes: Path
    needs: tuple[str, ...] = ()
    config: Section | None = None
    config_path: Path | None = None
    reads: Path | None = None

    @property
    def line(self) -> str:
        """The command as it would be typed."""
        return shlex.join(["python", *self.command])


class Cell(NamedTuple):
    """One network trained on one training set; `name` is what --only calls it."""

    training: str
    network: str

    @property
    def name(self) -> str:
        """Training set and network."""
        return f"{self.training}/{self.network}"


def cells_of(job: TableJob) -> list[Cell]:
    """Return the cells of a table in its order: by training set, then by network."""
    return [
        Cell(training, name)
        for training in job.training_sets
        for name, network in job.networks.items()
        if network.training_sets is None or training in network.training_sets
    ]


def cell_folder(job: TableJob, cell: Cell, seed: int) -> Path:
    """Return where everything of a cell and a seed lies."""
    return job.work / "cells" / cell.training / cell.network / f"seed_{seed}"


def plan(job: TableJob) -> list[Stage]:
    """Return all stages in an order in which they can run.

    Raises:
        UserError: a configuration of a stage is wrong; the message names the stage.
    """
    stages = [_prepare(job, name, job.prepare[name]) for name in _in_order(job.prepare)]
    for cell in cells_of(job):
        for seed in job.seeds:
            stages += _cell_stages(job, cell, seed)
    return stages


def choose(stages: Sequence[Stage], patterns: Sequence[str]) -> list[Stage]:
    """Return the stages that the patterns name, with all that these need, in order.

    Args:
        stages: all of the table.
        patterns: names or the beginning of names up to a "/", with * and ?; none: all stages.

    Raises:
        UserError: a pattern names nothing; the message lists what can be named.
    """
    if not patterns:
        return list(stages)
    wanted: set[str] = set()
    for pattern in patterns:
        found = {stage.name for stage in stages if _names(pattern, stage.name)}
        if not found and pattern != TABLE:
            steps = [stage.name for stage in stages if "/" not in stage.name]
            cells = dict.fromkeys("/".join(stage.name.split("/")[:2]) for stage in stages if "/" in stage.name)
            raise UserError(
                f"--only {pattern}: names no stage and no cell. Steps: {', '.join(steps) or 'none'}, {TABLE}. "
                f"Cells: {', '.join(cells)}. Patterns such as '*/{next(iter(cells)).split('/')[-1]}' work, too"
            )
        wanted |= found
    by_name = {stage.name: stage for stage in stages}
    pending = list(wanted)
    while pending:
        needs = [name for name in by_name[pending.pop()].needs if name not in wanted]
        wanted.update(needs)
        pending += needs
    return [stage for stage in stages if stage.name in wanted]


def _names(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern.rstrip('/')}/*")


def _in_order(steps: Mapping[str, StepSection]) -> list[str]:
    """Return the names of steps such that each stands behind what it needs.

    Raises:
        UserError: steps need each other in a circle.
    """
    sorter = graphlib.TopologicalSorter({name: step.needs for name, step in steps.items()})
    try:
        return list(sorter.static_order())
    except graphlib.CycleError as error:
        raise UserError(f"prepare: these steps need each other in a circle: {' -> '.join(error.args[1])}") from error


def _prepare(job: TableJob, name: str, step: StepSection) -> Stage:
    if step.program is None or step.config is None:
        return Stage(name, tuple(shlex.split(step.command or "")), step.makes, step.needs)
    config = _load(name, step.config, PROGRAMS[step.program], step.settings)
    path = _config_path(job, name)
    return Stage(name, ("-m", step.program, str(path)), step.makes, step.needs, config, path)


def _cell_stages(job: TableJob, cell: Cell, seed: int) -> Iterator[Stage]:
    network = job.networks[cell.network]
    name, folder = f"{cell.name}/{seed}", cell_folder(job, cell, seed)
    needs: tuple[str, ...] = ()
    if network.weights is not None:
        weights = Path(network.weights.format(seed=seed))
    else:
        weights = folder / "train" / "checkpoints" / "best.safetensors"
        yield _train(job, cell, seed, weights)
        needs = (f"{name}/train",)
    reads = weights if network.weights is not None else None
    needs += job.evaluation.needs
    path = _config_path(job, f"{name}/evaluate")
    section = job.evaluation
    evaluation = _load(f"{name}/evaluate", section.config, EvalJob, section.settings).model_copy(
        update={"weights": weights, "output": folder / "eval"}
    )
    yield Stage(
        f"{name}/evaluate", ("eval.py", str(path)), folder / "eval" / "summary.json", needs, evaluation, path, reads
    )
    for key, command in section.jobs.items():
        words = tuple(word.format(weights=weights, output=folder / key) for word in shlex.split(command))
        yield Stage(f"{name}/{key}", words, folder / key / "summary.json", needs, reads=reads)


def _train(job: TableJob, cell: Cell, seed: int, weights: Path) -> Stage:
    network, name = job.networks[cell.network], f"{cell.name}/{seed}/train"
    assert network.config is not None  # judged by the schema
    config = _load(name, network.config, TrainJob, network.settings)
    changes: dict[str, Any] = {"name": f"{cell.training}.{cell.network}", "run_dir": weights.parents[1], "seed": seed}
    sets = job.training_sets[cell.training].sets
    if sets is not None:
        changes["train_sets"] = sets
    if job.validation is not None:
        changes["validation"] = config.validation.model_copy(update={"set": job.validation})
    changed = config.model_copy(update=changes)
    config = validate(json.loads(changed.model_dump_json()), TrainJob, source=f"stage {name}")
    folders = {section.prepared for section in (*config.train_sets.values(), config.validation.set)}
    needs = tuple(key for key, step in job.prepare.items() if step.makes in folders)
    path = _config_path(job, name)
    return Stage(name, ("train.py", str(path)), weights, needs, config, path)


def _load(name: str, path: Path, schema: type[Schema], settings: dict[str, Any]) -> Schema:
    """Return the configuration of a stage."""
    try:
        return _load_once(path, schema, tuple(_overrides(settings)))
    except UserError as error:
        raise UserError(f"stage {name}: {error}") from error


@functools.cache  # the cells of a table differ in little more than their data
def _load_once(path: Path, schema: type[Schema], overrides: tuple[str, ...]) -> Schema:
    return load_config(path, schema, overrides)


def _overrides(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield nested settings as key=value, values as JSON, which YAML reads as well."""
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _overrides(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={json.dumps(value)}"


def _config_path(job: TableJob, name: str) -> Path:
    return job.work / "configs" / f"{name}.yaml"
