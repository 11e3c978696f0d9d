"""Tables as texts: our numbers beside the published ones, exact to the character."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from common.config import load_config, validate
from common.errors import UserError
from configs.schema import TableJob
from evaluation.tables import results as results_module
from evaluation.tables.render import to_csv, to_latex, to_markdown, write_tables
from evaluation.tables.results import PUBLISHED, read_published, read_results
from evaluation.tables.stages import Cell, cell_folder

REPOSITORY = Path(__file__).resolve().parent.parent
SPECS = ("natocc", "faceocc", "cofw", "masked_faces")

PUBLISHED_TEXT = """
paper:
  source: "A & B 2020, table 1"
  status: published
  protocol: dataset_miou
  values:
    clean: {big: {all: 91.25}}
hearsay:
  source: C 2018
  status: unverified
  selected_on_test: true
  protocol: pooled_cofw
  labels: {theirs: their data, net: Their net}
  values:
    theirs: {net: {all: 80.0}}
"""


def job_in(folder: Path, **changes: Any) -> TableJob:
    """Return a table of two networks and two numbers whose results lie in `folder`."""
    content = {
        "name": "try_it", "title": "A title", "protocol": "dataset_miou: 100 % pooled", "data": "data",
        "work": str(folder), "output": str(folder / "out"), "published": ["paper", "hearsay"], "notes": ["One note."],
        "training_sets": {"clean": {"label": "Clean"}},
        "networks": {
            "big": {"label": "Big net", "config": "configs/sample/train.yaml"},
            "small": {"label": "Small net", "weights": "weights_{seed}.safetensors"},
        },
        "evaluation": {"config": "configs/sample/eval.yaml"},
        "test_sets": {"drawn": {"label": "Drawn", "subset": "test", "published_n": 550}},
        "columns": {
            "all": {"label": "mIoU", "set": "drawn", "measure": "miou", "percent": True, "digits": 2},
            "high": {"label": "IoU at 0.7", "set": "drawn", "measure": "curves.by_threshold.face_iou", "at": 0.7},
        },
    }  # fmt: skip
    return validate({**content, **changes}, TableJob, source="test")


def write_scores(job: TableJob, network: str, *, miou: float, seed: int = 0, n: int = 12) -> Path:
    """Write the summary that an evaluation leaves."""
    curve = {"thresholds": [0.5, 0.7], "face_iou": [0.9, miou - 0.1], "miou": [0.8, 0.8]}
    path = cell_folder(job, Cell("clean", network), seed) / "eval" / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{"set": "drawn", "n": n, "miou": miou, "curves": {"by_threshold": curve}}]))
    return path


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the published numbers from a small file."""
    path = tmp_path / "published.yaml"
    path.write_text(PUBLISHED_TEXT)
    reader = results_module.read_published
    monkeypatch.setattr(results_module, "read_published", lambda keys: reader(keys, path))


def test_markdown_is_exact(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    write_scores(job, "big", miou=0.90125)
    assert to_markdown(read_results(job)) == (
        "**A title. Protocol: dataset_miou: 100 % pooled. Sets: Drawn, subset test, n = 12 (published: n = 550). "
        "Seed 0.**\n\n"
        "| training data | network | Drawn, mIoU (%): ours | Drawn, mIoU (%): published | Drawn, IoU at 0.7: ours |\n"
        "| --- | --- | --: | --: | --: |\n"
        "| Clean | Big net | 90.12 | 91.25 | 0.8013 |\n"
        "| Clean | Small net | \u2013 | \u2013 | \u2013 |\n"
        "| their data | Their net | \u2013 | 80.00 (unverified) † | \u2013 |\n"
        "\n- Published: A & B 2020, table 1; protocol dataset_miou."
        "\n- unverified: C 2018; known from memory only, protocol pooled_cofw. † The checkpoint or threshold was "
        "selected on this very test set."
        "\n- One note.\n"
    )


def test_latex_is_exact_and_escaped(tmp_path: Path) -> None:
    job = job_in(tmp_path, published=["paper"], notes=[])
    write_scores(job, "big", miou=0.9, seed=0)
    write_scores(job, "big", miou=0.8, seed=1)
    text = to_latex(read_results(job.model_copy(update={"seeds": (0, 1)})))
    assert text == "\n".join([
        r"% needs \usepackage{booktabs}", r"\begin{table}", r"\centering",
        r"\caption{A title. Protocol: dataset\_miou: 100 \% pooled. Sets: Drawn, subset test, n = 12 (published: n = "
        r"550). Mean $\pm$ standard deviation over the seeds 0, 1. Published: A \& B 2020, table 1; protocol "
        r"dataset\_miou.}",
        r"\label{tab:try-it}", r"\begin{tabular}{llrrr}", r"\toprule",
        r" &  & \multicolumn{2}{c}{Drawn, mIoU (\%)} & \multicolumn{1}{c}{Drawn, IoU at 0.7} \\",
        r"training data & network & ours & published & ours \\", r"\midrule",
        r"Clean & Big net & 85.00 $\pm$ 7.07 & 91.25 & 0.7500 $\pm$ 0.0707 \\",
        r"Clean & Small net & -- & -- & -- \\", r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ])  # fmt: skip


def test_csv_holds_every_number_with_its_protocol(tmp_path: Path) -> None:
    job = job_in(tmp_path, sample_data=True)
    write_scores(job, "small", miou=0.5)
    rows = list(csv.DictReader(io.StringIO(to_csv(read_results(job)))))
    assert [(row["network"], row["column"], row["mean"], row["published"]) for row in rows] == [
        ("Big net", "all", "", "91.25"),
        ("Small net", "all", "50.0000", ""),
        ("Small net", "high", "0.400000", ""),
        ("Their net", "all", "", "80.0"),
    ]
    assert rows[3]["published_status"] == "unverified"
    assert rows[3]["published_selected_on_test"] == "1"
    assert {row["protocol"] for row in rows} == {"dataset_miou: 100 % pooled"}
    assert {row["sample_data"] for row in rows} == {"1"}
    assert (rows[1]["n"], rows[1]["seeds"], rows[1]["unit"], rows[1]["subset"]) == ("12", "1", "percent", "test")


def test_sample_data_is_told_in_every_caption(tmp_path: Path) -> None:
    results = read_results(job_in(tmp_path, sample_data=True))
    assert "SAMPLE DATA" in to_markdown(results).splitlines()[0]
    assert "SAMPLE DATA" in to_latex(results)
    assert "not evaluated" in to_markdown(results)
    assert sorted(path.name for path in write_tables(results)) == ["try_it.csv", "try_it.md", "try_it.tex"]


def test_cells_scored_on_other_images_are_refused(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    write_scores(job, "big", miou=0.9, n=12)
    write_scores(job, "small", miou=0.9, n=11)
    with pytest.raises(UserError, match="clean/big 12, clean/small 11"):
        read_results(job)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "is damaged"),
        ('{"set": "drawn"}', "expected a list of summaries"),
        ('[{"set": "drawn", "n": 3}]', r"has no 'miou'; keys where 'miou' should be: set, n"),
        ('[{"set": "drawn", "n": 3, "miou": null}]', "expected a number at 'miou'"),
    ],
)
def test_a_summary_that_cannot_be_used_is_named(tmp_path: Path, content: str, message: str) -> None:
    job = job_in(tmp_path)
    path = write_scores(job, "big", miou=0.9)
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_results(job)


def test_a_threshold_that_the_curve_lacks_is_told(tmp_path: Path) -> None:
    column = {"label": "x", "set": "drawn", "measure": "curves.by_threshold.face_iou", "at": 0.6}
    job = job_in(tmp_path, columns={"x": column})
    write_scores(job, "big", miou=0.9)
    with pytest.raises(UserError, match=r"no value at the threshold 0\.6; thresholds: \[0\.5, 0\.7\]"):
        read_results(job)


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"has no nobody; known: natocc_table_2, .*nirkin_2018"):
        read_published(["nobody"], PUBLISHED)


@pytest.mark.parametrize("name", SPECS)
def test_published_numbers_meet_cells_and_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with a slip would silently leave a number out."""
    monkeypatch.chdir(REPOSITORY)
    job = load_config(Path("configs/tables") / f"{name}.yaml", TableJob)
    for source in read_published(job.published, PUBLISHED):
        for training, networks in source.values.items():
            assert training in job.training_sets or training in source.labels
            for network, columns in networks.items():
                assert network in job.networks or network in source.labels
                assert columns.keys() <= job.columns.keys()


def test_the_paper_s_table_is_whole() -> None:
    (source,) = read_published(["natocc_table_2"], PUBLISHED)
    numbers = [number for row in source.values.values() for cell in row.values() for number in cell.values()]
    assert len(numbers) == 9 * 3 * 3
    best = {
        column: max(row["segformer"][column] for row in source.values.values()) for column in ("realocc", "cofw_train")
    }
    assert best == {"realocc": 98.02, "cofw_train": 94.87}


def test_what_is_known_from_memory_is_marked() -> None:
    (source,) = read_published(["nirkin_2018"], PUBLISHED)
    assert source.status == "unverified"
