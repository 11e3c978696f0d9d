from __future__ import annotations

import json
import re
from pathlib import Path

from common.config import Section, load_config
from common.run_dir import append_bad_step, append_metrics, git_state, new_run_dir, open_run_dir, rewind_metrics


class Job(Section):
    name: str = "a"


def test_a_run_says_what_it_was_made_with(tmp_path: Path) -> None:
    open_run_dir(tmp_path / "run", config=Job(name="b"), manifests={"x/manifest.jsonl": "0" * 64})
    assert load_config(tmp_path / "run" / "config.yaml", Job) == Job(name="b")
    content = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert content["manifests"] == {"x/manifest.jsonl": "0" * 64}
    assert {"command", "started", "git_commit", "git_diff_sha256", "python", "packages", "machine"} <= content.keys()
    assert content["packages"]["torch"]


def test_the_state_of_the_code_is_a_commit_and_a_digest() -> None:
    state = git_state()
    assert all(value is None or re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value) for value in state.values())


def test_metrics_are_lines_of_json(tmp_path: Path) -> None:
    append_metrics(tmp_path, {"images": 1, "loss": 0.5})
    append_metrics(tmp_path, {"images": 2})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"images": 1, "loss": 0.5}, {"images": 2}]


def test_new_runs_have_date_and_name(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d{8}-\d{6}_try", new_run_dir(tmp_path, "try").name)


def test_a_run_that_goes_on_forgets_what_it_will_tell_again(tmp_path: Path) -> None:
    rewind_metrics(tmp_path, 8)  # nothing there yet
    for images in (4, 8, 12):
        append_metrics(tmp_path, {"images": images})
        append_bad_step(tmp_path, images=images, loss=float("nan"), samples=["a/1", "a/2"])
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"images": 1')  # cut off by a kill
    rewind_metrics(tmp_path, 8)
    for name in ("metrics.jsonl", "bad_steps.jsonl"):
        rows = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        assert [row["images"] for row in rows] == [4, 8]
    assert rows[0] == {"images": 4, "loss": "nan", "samples": ["a/1", "a/2"]}
