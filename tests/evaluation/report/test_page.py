from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from common.errors import exit_on_user_error
from evaluation.report import command, write_report
from evaluation.report.page import script_json
from evaluation.report.views import view_paths
from tests.evaluation.report.drawn_evaluation import SETS, Drawn, write_evaluation
from tests.html_page import Page

EVIL = "</script><script>alert(1)</script><!-- \"'&"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_evaluation(tmp_path_factory.mktemp("page") / "eval")


@pytest.fixture(scope="module")
def text(output: Path) -> str:
    path = write_report(output)
    assert path == output / "report.html"
    return path.read_text()


def blocks(text: str) -> dict[str, str]:
    return dict(re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', text))


def test_the_page_holds_every_row_and_the_bytes_of_every_view(text: str, output: Path) -> None:
    found = blocks(text)
    contents = json.loads(found.pop("contents"))
    named = [(name, image.id) for name, images in SETS.items() for image in images]
    assert [(contents["sets"][row["set"]]["name"], row["id"]) for row in contents["rows"]] == named
    assert list(found) == [f"view-{index}" for index in range(len(named))]
    for (name, image), encoded in zip(named, found.values(), strict=True):
        files = view_paths(output / name / "views", image).values()
        assert [base64.b64decode(part) for part in json.loads(encoded)] == [file.read_bytes() for file in files]


def test_the_page_is_whole_html_and_needs_no_network(text: str) -> None:
    page = Page(text)
    assert not re.search(r"https?:|src=|@import|url\(|<link", text)
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.tags for name in attributes)
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in page.tags:
        for reference in ("for", "aria-labelledby", "aria-describedby"):
            assert attributes.get(reference, names[0]) in names


def test_the_policy_lets_in_only_the_page_s_own_script_and_style(text: str) -> None:
    (policy,) = (meta["content"] for meta in Page(text).all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    for tag, kind in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy


def test_names_cannot_break_out_of_their_place(tmp_path: Path) -> None:
    evil_set = EVIL.replace("/", "")  # the name of a folder
    output = write_evaluation(tmp_path, {evil_set: [Drawn(EVIL, types=EVIL, coverage=0.5)]})
    text = write_report(output).read_text()
    page = Page(text)
    assert len(page.all("script")) == 3
    contents = json.loads(blocks(text)["contents"])
    assert contents["rows"][0]["id"] == EVIL
    assert contents["rows"][0]["types"] == [EVIL]
    assert contents["sets"][0]["name"] == evil_set
    assert evil_set in page.texts["th"]
    assert any(EVIL in title for title in page.texts["title"])


@pytest.mark.parametrize("content", ["</script>", "<!--<script>", {"<": ["&amp;"]}, "\u2028 é 😀"])
def test_json_for_scripts_is_harmless_and_means_the_same(content: object) -> None:
    text = script_json(content)
    assert json.loads(text) == content
    assert not set("<>&") & set(text)


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    output = write_evaluation(tmp_path, {"plain": [Drawn("a")]})
    bare = {"set": "plain", "n": 1, "face_iou": 1.0, "threshold": 0.5}
    (output / "summary.json").write_text(json.dumps([bare]))
    page = Page(write_report(output).read_text())
    assert not page.all("svg")
    assert page.texts["title"][0] == "Evaluation of predictions"


def test_the_command_writes_the_page_anew(
    output: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    page = output / "report.html"
    page.unlink()
    command.main([str(output), "--dry-run"])
    assert "hands (3 images), masks (2 images)" in capsys.readouterr().out
    assert not page.exists()
    command.main([str(output)])
    assert page.read_text() == text
    with pytest.raises(SystemExit) as stop:
        exit_on_user_error(command.main)([str(tmp_path)])
    assert stop.value.code == 2
    assert "summary.json: no such file" in capsys.readouterr().err
