"""Every key of `python -m evaluation table`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from common.config import Section
from configs.schema.shared import Count, Positive, PreparedSet

Key = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Settings = dict[str, Any]


class StepSection(Section):
    """One command that prepares data. It has to go on by itself where it stopped."""

    program: Literal["face_align", "occlusion_gen"] | None = Field(None, description="python -m PROGRAM CONFIG")
    config: Path | None = Field(None, description="YAML file of the program")
    settings: Settings = Field({}, description="keys of that file to set, nested as in it")
    command: str | None = Field(None, description="instead of a program: `python COMMAND`")
    makes: Path = Field(description="what proves that it is done: a file, or a folder with a manifest.jsonl")
    needs: tuple[Key, ...] = Field((), description="steps that have to be done before")

    @model_validator(mode="after")
    def _one_kind(self) -> StepSection:
        if (self.program is None) == (self.command is None) or (self.program is None) != (self.config is None):
            raise ValueError("give either program and config, or command")
        return self


class TrainingSetSection(Section):
    """What networks are trained on."""

    label: str = Field(description="as the table calls it")
    sets: dict[str, PreparedSet] | None = Field(
        None, description="`train_sets` of train.py, in place of those in the network's file; null: those"
    )


class TableNetworkSection(Section):
    """A network: trained by a file of train.py, or weights that are there already."""

    label: str = Field(description="as the table calls it")
    config: Path | None = Field(None, description="YAML file of train.py; null: nothing is trained")
    settings: Settings = Field({}, description="keys of that file to set, nested as in it")
    weights: str | None = Field(None, description="a finished weights file, may name {seed}; null: trained here")
    training_sets: tuple[str, ...] | None = Field(None, description="keys of those it is trained on; null: all")

    @model_validator(mode="after")
    def _one_origin(self) -> TableNetworkSection:
        if (self.config is None) == (self.weights is None):
            raise ValueError("give either config (trained here) or weights (a finished file)")
        return self


class EvaluationSection(Section):
    """How every trained network is scored."""

    config: Path = Field(description="YAML file of eval.py")
    settings: Settings = Field({}, description="keys of that file to set, nested as in it")
    needs: tuple[Key, ...] = Field((), description="steps that make the test sets")
    jobs: dict[Key, str] = Field(
        {},
        description="more commands a network, `python COMMAND`, that name {weights} and {output} and write "
        "{output}/summary.json",
    )


class TestSetSection(Section):
    """A test set, as the caption tells it."""

    label: str
    subset: str = Field("all", description="which part of it")
    published_n: Positive | None = Field(None, description="images behind the published numbers; null: not known")


class ColumnSection(Section):
    """A number of the table."""

    label: str
    set: str = Field(description="key of `test_sets`, and of the sets of the evaluation")
    measure: str = Field(description="key of the set's summary.json, dots go deeper: pooled_cofw.miou")
    at: float | None = Field(None, description="measure is a list beside `thresholds`: where to read it")
    percent: bool = Field(False, description="shown in percent, like the published numbers")
    digits: Count = Field(4, description="after the point")


class TableJob(Section):
    """`python -m evaluation table`: from raw folders to a table."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str = Field(description="first sentence of the caption")
    protocol: str = Field(description="of all numbers, in words of the caption")
    notes: tuple[str, ...] = Field((), description="sentences below the table")
    sample_data: bool = Field(False, description="drawn data: the caption says that the numbers are no results")
    data: Path = Field(description="folder with all raw data sets; other keys name it as ${data}")
    work: Path = Field(description="folder for all that is made; other keys name it as ${work}")
    output: Path = Field(description="folder for the finished tables")
    published: tuple[str, ...] = Field((), description="keys in evaluation/published.yaml")
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)] = (0,)
    jobs: Positive = Field(1, description="cells worked on at once; with more than 1 their words go to log files")
    prepare: dict[Key, StepSection] = Field({}, description="in this order, before any training")
    training_sets: Annotated[dict[Key, TrainingSetSection], Field(min_length=1)]
    networks: Annotated[dict[Key, TableNetworkSection], Field(min_length=1)]
    validation: PreparedSet | None = Field(None, description="validation set of all trainings; null: of their files")
    evaluation: EvaluationSection
    test_sets: Annotated[dict[str, TestSetSection], Field(min_length=1)]
    columns: Annotated[dict[Key, ColumnSection], Field(min_length=1)]
    training_label: str = Field("training data", description="head of the first column")

    @model_validator(mode="after")
    def _names_fit(self) -> TableJob:
        problems = [
            f"columns.{name}: unknown set {column.set!r}; known: {', '.join(self.test_sets)}"
            for name, column in self.columns.items()
            if column.set not in self.test_sets
        ]
        problems += [
            f"networks.{name}: unknown training set {key!r}; known: {', '.join(self.training_sets)}"
            for name, network in self.networks.items()
            for key in network.training_sets or ()
            if key not in self.training_sets
        ]
        needed = [*((f"prepare.{name}", step.needs) for name, step in self.prepare.items())]
        needed.append(("evaluation", self.evaluation.needs))
        problems += [
            f"{place}.needs: unknown step {key!r}; known: {', '.join(self.prepare)}"
            for place, keys in needed
            for key in keys
            if key not in self.prepare
        ]
        if len(set(self.seeds)) < len(self.seeds):
            problems.append(f"seeds: {list(self.seeds)} names a seed twice")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class PublishedSource(Section):
    """Published numbers of one table."""

    source: str = Field(description="paper and table")
    status: Literal["published", "unverified"] = Field(description="unverified: known from memory or hearsay only")
    selected_on_test: bool = Field(False, description="checkpoint or threshold were chosen on the very test set")
    protocol: str
    note: str = ""
    labels: dict[str, str] = Field({}, description="names of training sets and networks that no table of ours has")
    values: dict[str, dict[str, dict[str, float]]] = Field(description="training set -> network -> column -> number")
