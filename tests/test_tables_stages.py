"""The way from raw folders to a table: which commands there are, which are done, and what happens when one fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import evaluation.__main__ as script
from common.config import ConfigError, load_config, validate
from common.errors import UserError
from common.manifest import sha256, write_manifest
from configs.schema import TableJob, TrainJob
from evaluation.tables.run import Runner, digest_of
from evaluation.tables.stages import Stage, choose, plan

REPOSITORY = Path(__file__).resolve().parent.parent
WRITE = "import pathlib, sys; path = pathlib.Path(sys.argv[1]); path.parent.mkdir(parents=True, exist_ok=True); "
APPEND = WRITE + "path.open('a').write(sys.argv[2])"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.delenv("OCCFACE_DATA", raising=False)


def natocc(*overrides: str) -> TableJob:
    return load_config(Path("configs/tables/natocc.yaml"), TableJob, list(overrides))


def stage(name: str, path: Path, text: str = "x", **more: Any) -> Stage:
    """Return a stage that appends `text` to a file, so that its runs can be counted."""
    return Stage(name, ("-c", APPEND, str(path), text), path, **more)


def test_every_training_set_of_the_paper_is_trained_on() -> None:
    stages = {stage.name: stage for stage in plan(natocc())}
    sets = {}
    for name, one in stages.items():
        if name.endswith("segformer/0/train"):
            assert isinstance(one.config, TrainJob)
            sets[name.split("/")[0]] = {section.prepared.name for section in one.config.train_sets.values()}
            assert one.config.validation.set.prepared.name == "held_out"
            assert set(one.needs) == sets[name.split("/")[0]] | {"held_out"}
    assert sets == {
        "c_original": {"wo", "o"},
        "c_cm": {"wo", "o_corrected"},
        "c_wo": {"wo"},
        "c_wo_natocc": {"wo", "hands", "objects"},
        "c_wo_natocc_sot": {"wo", "hands_sot", "objects"},
        "c_wo_randocc": {"wo", "randocc", "randocc_again"},
        "c_wo_mix": {"wo", "randocc", "hands", "objects"},
        "c_cm_natocc": {"wo", "o_corrected", "hands", "objects"},
        "c_cm_natocc_sot": {"wo", "o_corrected", "hands_sot", "objects"},
    }
    assert sum(name.endswith("/train") for name in stages) == 27


@pytest.mark.parametrize("name", ["natocc", "faceocc", "cofw", "masked_faces"])
def test_sample_data_take_the_same_path(name: str) -> None:
    full, small = (load_config(Path("configs/tables") / folder / f"{name}.yaml", TableJob) for folder in ("", "smoke"))
    assert small.sample_data
    assert not full.sample_data
    assert {one.name for one in plan(full)} >= {one.name for one in plan(small)} - {"world", "things"}
    assert set(small.prepare) == {*full.prepare, "world", "things"}
    assert small.columns == full.columns
    assert small.training_sets.keys() == full.training_sets.keys()


def test_seeds_are_trainings_of_their_own() -> None:
    stages = plan(natocc("seeds=[0,7]"))
    runs = [one.config for one in stages if one.name in ("c_wo/pspnet/0/train", "c_wo/pspnet/7/train")]
    assert [(run.seed, run.run_dir.parent.name) for run in runs] == [(0, "seed_0"), (7, "seed_7")]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["hands"], ["wo", "hands"]),
        (["c_wo/pspnet"], ["wo", "held_out", "c_wo/pspnet/0/train", "c_wo/pspnet/0/evaluate"]),
        (["*/pspnet/0/evaluate", "table"], None),
        (["table"], []),
    ],
)
def test_only_takes_what_is_needed(patterns: list[str], names: list[str] | None) -> None:
    chosen = [one.name for one in choose(plan(natocc()), patterns)]
    if names is None:
        assert sum(name.endswith("/train") for name in chosen) == 9
    else:
        assert chosen == names


def test_a_name_of_nothing_lists_what_there_is() -> None:
    with pytest.raises(UserError, match=r"Steps: wo, .*table\. Cells: c_original/pspnet, "):
        choose(plan(natocc()), ["c_wo_natoc"])


def test_steps_in_a_circle_are_told() -> None:
    job = natocc()
    steps = {**job.prepare, "wo": job.prepare["wo"].model_copy(update={"needs": ("hands",)})}
    with pytest.raises(UserError, match="need each other in a circle: "):
        plan(job.model_copy(update={"prepare": steps}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"x": {"label": "x", "set": "nowhere", "measure": "miou"}}}, "unknown set 'nowhere'"),
        ({"networks": {"n": {"label": "n"}}}, "give either config .* or weights"),
        ({"networks": {"n": {"label": "n", "weights": "w", "training_sets": ["x"]}}}, "unknown training set 'x'"),
        ({"seeds": [1, 1]}, "names a seed twice"),
        ({"prepare": {"a": {"command": "x", "makes": "y", "needs": ["b"]}}}, "unknown step 'b'"),
        ({"prepare": {"a": {"makes": "y"}}}, "give either program and config, or command"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    content = json.loads(natocc().model_dump_json())
    with pytest.raises(ConfigError, match=message):
        validate({**content, **change}, TableJob, source="test")


def test_a_wrong_key_of_a_stage_is_told_before_anything_runs() -> None:
    job = natocc("networks.pspnet.settings.train.imags=3")
    with pytest.raises(UserError, match=r"(?s)stage c_original/pspnet/0/train: .*did you mean 'images'"):
        plan(job)


def test_finished_stages_are_skipped_until_something_changes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = stage("first", tmp_path / "a.txt")
    second = stage("set/net/0/train", tmp_path / "b.txt", needs=("first",))
    runner = Runner(tmp_path, [first, second])
    runner.run([first, second], jobs=1)
    runner.run([first, second], jobs=1)
    assert (first.makes.read_text(), second.makes.read_text()) == ("x", "x")
    assert capfd.readouterr().out.count("done already") == 2
    first.makes.write_text("changed by somebody")  # not what the stage had made
    runner.run([first, second], jobs=2)
    assert first.makes.read_text() == "changed by somebodyx"
    assert second.makes.read_text() == "xx"  # made anew from what it needs
    second.makes.unlink()
    assert runner.is_done(first)
    assert not runner.is_done(second)
    other = stage("set/net/0/train", tmp_path / "b.txt", "y", needs=("first",))
    Runner(tmp_path, [first, other]).run([other], jobs=1)
    assert second.makes.read_text() == "y"


def test_a_folder_is_whole_if_all_that_its_manifest_names_is_there(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_text("1")
    row = {"id": "1", "outcome": "ok", "files": {"image": "one.png"}, "sha256": {"image": sha256(tmp_path / "one.png")}}
    write_manifest(tmp_path, [row])
    assert digest_of(tmp_path) == sha256(tmp_path / "manifest.jsonl")
    (tmp_path / "one.png").unlink()
    assert digest_of(tmp_path) is None


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_names_the_stage_and_keeps_what_is_finished(tmp_path: Path, jobs: int) -> None:
    good = stage("set/a/0/train", tmp_path / "a.txt")
    bad = Stage("set/b/0/train", ("-c", "import sys; print('no room'); sys.exit(3)"), tmp_path / "b.txt")
    runner = Runner(tmp_path, [good, bad])
    with pytest.raises(UserError, match=r"stage set/b/0/train failed \(exit code 3\)") as error:
        runner.run([good, bad], jobs=jobs)
    assert ("\n  no room" in str(error.value)) == (jobs == 2)  # else it was told on the terminal
    assert runner.is_done(good)


def test_a_command_that_makes_nothing_is_told(tmp_path: Path) -> None:
    idle = Stage("idle", ("-c", "pass"), tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"ended well, but .*a\.txt is missing"):
        Runner(tmp_path, [idle]).run([idle], jobs=1)


def test_a_network_without_its_weights_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = stage("theirs/net/0/evaluate", tmp_path / "a.txt", reads=tmp_path / "weights.safetensors")
    Runner(tmp_path, [one]).run([one], jobs=1)
    assert "left out" in capfd.readouterr().out
    assert not one.makes.exists()


def run_script(*words: str, timeout_s: int = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", *words], capture_output=True, text=True, timeout=timeout_s,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["natocc", "faceocc", "cofw", "masked_faces"])
def test_each_script_has_help(name: str) -> None:
    done = run_script(f"scripts/table_{name}.sh", "--help")
    assert done.returncode == 0
    assert f"bash scripts/table_{name}.sh --smoke" in done.stdout
    assert "--seeds 0,1,2" in done.stdout


def test_a_dry_run_tells_every_command(tmp_path: Path) -> None:
    done = run_script("scripts/table_cofw.sh", "--smoke", "--dry-run", "--seeds", "0,1", f"output={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert f"python train.py {tmp_path}/cofw/configs/hands/fcn8s/1/train.yaml" in done.stdout
    assert not list(tmp_path.iterdir())


def test_mistakes_of_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "configs/tables/natocc.yaml"
    for words, message in (
        (["table", spec, "--seeds", "a"], "expected whole numbers such as 0,1,2"),
        (["table", spec, "--only", "nothing"], "names no stage and no cell"),
        (["table", "configs/tables/none.yaml"], "cannot be read"),
    ):
        monkeypatch.setattr(sys, "argv", ["evaluation", *words])
        with pytest.raises(SystemExit) as stop:
            script.main()
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_the_path_begins_on_drawn_data_and_goes_on(tmp_path: Path) -> None:
    words = ("scripts/table_cofw.sh", "--smoke", "--only", "bbox", f"output={tmp_path}")
    first = run_script(*words)
    assert first.returncode == 0, first.stderr
    assert len((tmp_path / "cofw" / "bbox_500" / "manifest.jsonl").read_text().splitlines()) == 20
    table = (tmp_path / "cofw.md").read_text()
    assert "SAMPLE DATA" in table
    assert "83.7 (unverified)" in table
    assert (tmp_path / "cofw.tex").is_file()
    again = run_script(*words)
    assert again.stdout.count("done already") == 2
    assert (tmp_path / "cofw.md").read_text() == table
