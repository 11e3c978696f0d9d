from __future__ import annotations

from pathlib import Path

import pytest

from common.config import Section, load_config, to_yaml, validate
from configs.schema import AlignJob, EvalJob, OcclusionJob, TableJob, TrainJob

REPOSITORY = Path(__file__).resolve().parent.parent
SCHEMAS: dict[str, type[Section]] = {
    "align": AlignJob,
    "natocc": OcclusionJob,
    "randocc": OcclusionJob,
    "train": TrainJob,
    "eval": EvalJob,
}
PARENTS = ("data",)  # files that others name as their base
FILES = sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / "configs").rglob("*.yaml"))
JOBS = [
    path for path in FILES if path.stem not in PARENTS and path.parent.name != "configs"
]  # presets: models/test_presets
TABLES = ("tables", "smoke")  # folders of `python -m evaluation table`, which keeps its data under another key


def schema_of(path: Path) -> type[Section]:
    if path.parent.name in TABLES:
        return TableJob
    if path.parent.name == "data_sets":
        return EvalJob
    return OcclusionJob if path.parent.name == "occlude" else SCHEMAS[path.stem.split("_")[0]]


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    for name in ("OCCFACE_DATA", "OCCFACE_WEIGHTS"):
        monkeypatch.setenv(name, f"/{name.lower()}")


def test_every_experiment_has_its_five_jobs() -> None:
    for folder in ("mini", "sample"):
        assert {path.stem for path in FILES if path.parent.name == folder} >= set(SCHEMAS)


@pytest.mark.parametrize("path", JOBS, ids=str)
def test_every_file_validates_and_is_read_back(path: Path) -> None:
    schema = schema_of(path)
    config = load_config(path, schema)
    assert "${" not in to_yaml(config)
    if schema is not TableJob:
        assert load_config(path, schema, ["data.root=/elsewhere"]).data.root == Path("/elsewhere")  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", JOBS, ids=str)
def test_every_file_works_without_the_variables(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OCCFACE_DATA", "OCCFACE_WEIGHTS"):
        monkeypatch.delenv(name)
    assert "${" not in to_yaml(load_config(path, schema_of(path)))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_begins_with_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith("# ")


def test_the_jobs_of_an_experiment_fit_together() -> None:
    for folder in ("mini", "sample"):
        align, natocc, randocc, train = (
            load_config(REPOSITORY / "configs" / folder / f"{name}.yaml", SCHEMAS[name])
            for name in ("align", "natocc", "randocc", "train")
        )
        assert align.output == natocc.data.prepared == randocc.data.prepared  # type: ignore[attr-defined]
        assert {section.prepared for section in train.train_sets.values()} >= {align.output}  # type: ignore[attr-defined]
        assert len({job.output for job in (align, natocc, randocc)}) == 3  # type: ignore[attr-defined]


def test_defaults_of_every_section_are_valid() -> None:
    """A default is never judged when a key is left out: write all of them out and judge them."""
    for path in JOBS:
        schema = schema_of(path)
        config = load_config(path, schema)
        assert validate(config.model_dump(mode="json"), schema, source=str(path)) == config
