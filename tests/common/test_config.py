from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from common.config import ConfigError, Section, differing_keys, fingerprint, load_config, save_config, to_yaml, validate


class Hand(Section):
    kind: Literal["hand"] = "hand"
    fingers: int = 5


class Shape(Section):
    kind: Literal["shape"] = "shape"
    edges: int
    texture: Path = Path("plain")


class Optimiser(Section):
    learning_rate: float = 1e-4
    steps: int = 10
    steps_per_epoch: int = 3


class Job(Section):
    name: str = "none"
    quick: bool = False
    root: Path = Path()
    sizes: tuple[int, ...] = (1, 2)
    optimiser: Optimiser = Optimiser()
    occluders: dict[str, Annotated[Hand | Shape, Field(discriminator="kind")]] = Field({})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, text: str, name: str = "job.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problems(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, Job, overrides)
    return str(caught.value)


def test_defaults_without_any_key(folder: Path) -> None:
    assert load_config(write(folder, ""), Job) == Job()
    assert load_config(write(folder, "# a comment only\n"), Job) == Job()


def test_a_child_changes_its_parent(folder: Path) -> None:
    write(folder, "name: eldest\nsizes: [7, 8, 9]\noptimiser: {steps: 1, learning_rate: 0.5}", "base/eldest.yaml")
    write(folder, "base: eldest.yaml\nname: parent\noptimiser: {steps: 2}", "base/parent.yaml")
    child = write(folder, "base: base/parent.yaml\nsizes: [3]")
    job = load_config(child, Job)
    assert job.name == "parent"
    assert job.sizes == (3,)  # lists replace
    assert (job.optimiser.steps, job.optimiser.learning_rate) == (2, 0.5)  # mappings merge


def test_overrides_win_and_are_yaml(folder: Path) -> None:
    path = write(folder, "name: file\nsizes: [5]\noptimiser: {steps: 4}")
    overrides = ["name=line", "sizes=[1, 2, 3]", "optimiser.learning_rate=1e-3", "quick=true", "optimiser.steps=9"]
    job = load_config(path, Job, [*overrides, "optimiser.steps=8"])
    assert (job.name, job.sizes, job.quick) == ("line", (1, 2, 3), True)
    assert job.optimiser == Optimiser(learning_rate=1e-3, steps=8)
    assert load_config(path, Job, ["name=a=b"]).name == "a=b"


@pytest.mark.parametrize("override", ["name", "=3", "optimiser..steps=3", ".name=3", "name={"])
def test_an_override_of_another_form_is_refused(folder: Path, override: str) -> None:
    assert override.split("=")[0] in problems(write(folder, ""), override)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1E5", 1e5), ("2.5e+2", 250.0), ("-1e-3", -1e-3), (".5", 0.5), ("3", 3.0), ("1_000.5", 1000.5)],
)
def test_numbers_are_numbers(folder: Path, text: str, value: float) -> None:
    assert load_config(write(folder, f"optimiser: {{learning_rate: {text}}}"), Job).optimiser.learning_rate == value


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "Yes", "NO", "n", "2024-01-01", "1e", "e5"])
def test_words_stay_words(folder: Path, word: str) -> None:
    assert load_config(write(folder, f"name: {word}"), Job).name == word


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("optimiser: {steps: true}", "optimiser.steps"),
        ("optimiser: {learning_rate: true}", "optimiser.learning_rate"),
        ("optimiser: {steps: 1.5}", "optimiser.steps"),
        ("optimiser: {steps: '7'}", "optimiser.steps"),
        ("quick: 1", "quick"),
        ("quick: yes", "quick"),
        ("name: 5", "name"),
        ("sizes: 5", "sizes"),
        ("optimiser: 3", "optimiser"),
    ],
)
def test_a_value_of_another_type_is_refused(folder: Path, text: str, key: str) -> None:
    message = problems(write(folder, text))
    assert f"  {key}: " in message
    assert "job.yaml" in message


def test_all_problems_are_told_at_once_with_the_nearest_key(folder: Path) -> None:
    text = "nmae: x\nquick: 3\noptimiser: {stepps: 4, zzz: 1}\noccluders: {a: {kind: shape, edgs: 3}, b: {kind: foot}}"
    message = problems(write(folder, text))
    assert "nmae: unknown key; did you mean 'name'?" in message
    assert "optimiser.stepps: unknown key; did you mean 'steps'?" in message
    assert "optimiser.zzz: unknown key; known keys: learning_rate, steps, steps_per_epoch" in message
    assert "occluders.a.edgs: unknown key; did you mean 'edges'?" in message
    assert "occluders.a.edges: missing" in message
    assert "quick: " in message
    assert "occluders.b: " in message
    assert "'hand', 'shape'" in message


def test_tagged_sections_are_told_by_their_kind(folder: Path) -> None:
    text = "occluders: {a: {kind: hand, fingers: 4}, b: {kind: shape, edges: 3, texture: wood}}"
    assert load_config(write(folder, text), Job).occluders == {
        "a": Hand(fingers=4),
        "b": Shape(edges=3, texture=Path("wood")),
    }


@pytest.mark.parametrize("text", ["name: a\nname: b", "optimiser: {steps: 1, steps: 2}"])
def test_a_key_that_stands_twice_is_refused(folder: Path, text: str) -> None:
    assert "stands twice" in problems(write(folder, text))


@pytest.mark.parametrize("text", ["- 1\n- 2", "just words", "5: 3", "name: [", "name: !!python/object:os.system x"])
def test_what_is_no_mapping_of_names_is_refused(folder: Path, text: str) -> None:
    assert "job.yaml" in problems(write(folder, text))


def test_parents_in_a_circle_are_refused(folder: Path) -> None:
    write(folder, "base: job.yaml", "other.yaml")
    assert "circle" in problems(write(folder, "base: other.yaml"))
    assert "circle" in problems(write(folder, "base: self.yaml", "self.yaml"))


@pytest.mark.parametrize("base", ["[a.yaml, b.yaml]", "3"])
def test_there_is_one_parent(folder: Path, base: str) -> None:
    assert "`base` names one file" in problems(write(folder, f"base: {base}"))


def test_a_missing_file_is_told_with_those_that_are_there(folder: Path) -> None:
    write(folder, "", "train.yaml")
    assert "train.yaml" in problems(folder / "trian.yaml")
    assert "gone.yaml" in problems(write(folder, "base: gone.yaml"))


def test_variables_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, "name: ${oc.env:OCCFACE_TEST_NAME}\nroot: ${name}/x")
    monkeypatch.setenv("OCCFACE_TEST_NAME", "there")
    assert load_config(path, Job).root == Path("there/x")
    monkeypatch.delenv("OCCFACE_TEST_NAME")
    assert "OCCFACE_TEST_NAME" in problems(path)
    assert load_config(path, Job, ["name=given"]).root == Path("given/x")


def test_a_reference_to_nothing_is_refused(folder: Path) -> None:
    assert "nowhere" in problems(write(folder, "name: ${nowhere}"))


def test_sections_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Job().name = "other"  # type: ignore[misc]


texts = st.text(st.characters(codec="utf-8", exclude_characters="$\\", exclude_categories=["C"]), max_size=12)
jobs = st.builds(
    Job,
    name=texts,
    quick=st.booleans(),
    sizes=st.lists(st.integers(), max_size=4).map(tuple),
    optimiser=st.builds(
        Optimiser, learning_rate=st.floats(allow_nan=False, allow_infinity=False), steps=st.integers(-9, 9)
    ),
    occluders=st.dictionaries(
        st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.builds(Hand) | st.builds(Shape, edges=st.integers(3, 9))
    ),
)


@given(job=jobs)
def test_what_is_saved_is_read_back(tmp_path_factory: pytest.TempPathFactory, job: Job) -> None:
    path = tmp_path_factory.mktemp("saved") / "config.yaml"
    save_config(path, job)
    again = load_config(path, Job)
    assert again == job
    assert fingerprint(again) == fingerprint(job)
    assert differing_keys(job, again) == []


@given(jobs, jobs)
def test_two_configurations_differ_where_their_prints_do(one: Job, two: Job) -> None:
    assert (differing_keys(one, two) == []) == (fingerprint(one) == fingerprint(two)) == (one == two)


def test_differing_keys_are_named_with_both_values() -> None:
    one = Job(name="a", optimiser=Optimiser(steps=1), occluders={"h": Hand()})
    two = Job(name="b", optimiser=Optimiser(steps=2))
    assert differing_keys(one, two) == [
        "name: a -> b",
        "occluders: (absent) -> {}",
        "occluders.h.fingers: 5 -> (absent)",
        "occluders.h.kind: hand -> (absent)",
        "optimiser.steps: 1 -> 2",
    ]


def test_the_text_is_plain_yaml() -> None:
    content = yaml.safe_load(to_yaml(Job(root=Path("a/b"))))
    assert content["root"] == "a/b"
    assert content["sizes"] == [1, 2]


def test_validate_names_its_source() -> None:
    with pytest.raises(ConfigError, match="somewhere: "):
        validate({"nmae": 1}, Job, source="somewhere")
