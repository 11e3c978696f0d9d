from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.labels import PART_ID
from common.manifest import read_manifest
from occlusion_gen.__main__ import main as generate
from occlusion_gen.commands import browse
from occlusion_gen.commands.browse_page import CLEAN, REAL, TILE_PX, VIEWS, BrowseSample, render_page
from occlusion_gen.face import OccludedFace
from tests.html_page import Page
from tests.tiny_world import HOLDOUT, World

SIZE = (40, 60)


def shown(name: str = "1", *, coverage: float = 0.25, **params: Any) -> BrowseSample:
    """Return a sample: grey before, red with a blue left half after, the left half hidden by a hand."""
    before = np.full((*SIZE, 3), 128, np.uint8)
    image = np.full((*SIZE, 3), (255, 0, 0), np.uint8)
    image[:, :30] = (0, 0, 255)
    left = np.zeros(SIZE, np.uint8)
    left[:, :30] = 255
    sample = OccludedFace(
        image=image,
        label=np.where(left > 0, np.uint8(PART_ID["hand"]), np.uint8(0)),
        parts=np.zeros(SIZE, np.uint8),
        visible=255 - left,
        hidden=left,
        full=np.ones(SIZE, np.bool_),
        full_known="real" not in params,
        alpha=left,
        coverage=coverage,
        params={"layers": [{"generator": "hands", "drawn": {"x": 1}}], "flip": False, **params},
    )
    return BrowseSample(name, None if "real" in params else before, sample)


def pictures(page: Page) -> list[dict[str, np.ndarray]]:
    """Return the pictures of each card by view."""
    flat = [(image["data-view"], image["src"].removeprefix("data:image/jpeg;base64,")) for image in page.all("img")]
    decoded = [(view, np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))) for view, text in flat]
    return [dict(decoded[at : at + len(VIEWS)]) for at in range(0, len(decoded), len(VIEWS))]


def test_each_view_shows_what_it_says() -> None:
    (views,) = pictures(Page(render_page([shown()], title="t")))
    left, right = (slice(None), slice(4, 26)), (slice(None), slice(34, 56))
    for view, expected_left, expected_right in [
        ("image", (0, 0, 255), (255, 0, 0)),
        ("labels", (153, 48, 102), (255, 0, 0)),  # the hand's colour at 0.6; background is not painted
        ("visible", (0, 0, 255), (128, 42, 128)),
        ("alpha", (255, 255, 255), (0, 0, 0)),
        ("before", (128, 128, 128), (128, 128, 128)),
    ]:
        np.testing.assert_allclose(views[view][left].mean((0, 1)), expected_left, atol=6, err_msg=view)
        np.testing.assert_allclose(views[view][right].mean((0, 1)), expected_right, atol=6, err_msg=view)


def test_names_and_parameters_cannot_break_out_of_their_place() -> None:
    evil = "<script>alert(1)</script>\"'&"
    sample = shown(evil, layers=[{"generator": evil, "drawn": {"occluder": f"</pre>{evil}.png"}}])
    page = Page(render_page([sample], title=f"</title>{evil}", failed={evil: f"{evil}: unreadable"}))
    assert len(page.all("script")) == 1
    assert page.texts["title"] == [f"</title>{evil}"]
    assert page.texts["h2"] == [evil]
    assert evil in page.texts["option"]
    assert page.texts["li"] == [f"{evil}: {evil}: unreadable"]
    assert json.loads(page.all("article")[0]["data-generators"]) == [evil]
    assert json.loads("".join(page.texts["pre"])) == sample.sample.params
    assert page.all("img")[0]["alt"].startswith(evil)


def test_a_page_needs_no_network() -> None:
    text = render_page([shown()], title="t")
    assert not re.search(r"https?://|src=\"(?!data:)|@import|url\(", text)
    (policy,) = (meta for meta in Page(text).all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


def test_every_view_has_a_button_a_rule_and_a_picture() -> None:
    text = render_page([shown("1"), shown("2")], title="t")
    page = Page(text)
    assert [button["data-view"] for button in page.all("button")] == list(VIEWS)
    assert [image["data-view"] for image in page.all("img")] == [*VIEWS, *VIEWS]
    assert all(f'[data-view="{view}"] .views img[data-view="{view}"]' in text for view in VIEWS)
    assert "hand" in page.texts["span"]


def test_cards_tell_generators_and_coverage() -> None:
    several = shown("b", coverage=0.5, layers=[{"generator": "masks"}, {"generator": "hands"}])
    page = Page(render_page([shown("a"), several, shown("c", layers=[]), shown("d", real={"file": "x"})], title="t"))
    cards = page.all("article")
    assert [json.loads(card["data-generators"]) for card in cards] == [["hands"], ["masks", "hands"], [CLEAN], [REAL]]
    assert [card["data-coverage"] for card in cards] == ["0.25000", "0.50000", "0.25000", "0.25000"]
    assert {"masks + hands; 50.0% of the face hidden", f"{REAL}; hidden share not known"} <= set(page.texts["p"])
    assert [option["value"] for option in page.all("option")][:5] == ["", *sorted([CLEAN, REAL, "hands", "masks"])]


def test_large_pictures_are_shrunk_and_small_ones_left() -> None:
    large = shown()
    large = large._replace(sample=large.sample._replace(image=np.zeros((600, 900, 3), np.uint8)))
    large = large._replace(sample=large.sample._replace(label=np.zeros((600, 900), np.uint8)))
    large = large._replace(sample=large.sample._replace(visible=np.zeros((600, 900), np.uint8)))
    (views,) = pictures(Page(render_page([large], title="t")))
    assert views["image"].shape[:2] == (171, TILE_PX)
    assert views["before"].shape[:2] == SIZE


@pytest.fixture
def config(world: World, prepared: Path, tmp_path: Path) -> Path:
    path = tmp_path / "shapes.yaml"
    path.write_text(
        f"data: {{root: {world.root}, prepared: {prepared}}}\nsplit: train\noutput: {tmp_path / 'out'}\n"
        f"occlusion:\n  generators:\n"
        f"    shapes: {{kind: randocc, textures: {world.textures}, holdout_share: {HOLDOUT}}}\n"
        "  whole_image: {flip_share: 0.5}\n"
    )
    return path


def test_the_samples_are_those_that_the_job_writes(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browse.main([str(config), "image_format=png"])
    page = Page((tmp_path / "out_browse.html").read_text())
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("sys.argv", ["x", str(config), "image_format=png", "--processes", "1"])
    generate()
    rows = read_manifest(tmp_path / "out")
    assert page.texts["h2"] == [row["id"] for row in rows]
    assert [json.loads(text) for text in page.texts["pre"]] == [row["params"] for row in rows]
    for views, row in zip(pictures(page), rows, strict=True):
        written = np.asarray(Image.open(tmp_path / "out" / row["files"]["image"]), float)
        assert np.abs(views["image"] - written).mean() < 6  # JPEG


def test_options(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "page.html"
    browse.main([str(config), "-n", "2", "--out", str(out), "seed=3"])
    assert len(Page(out.read_text()).all("article")) == 2
    browse.main([str(config), "--dry-run", "--out", str(tmp_path / "never.html")])
    assert "would draw 4 samples" in capsys.readouterr().out
    assert not (tmp_path / "never.html").exists()
    with pytest.raises(SystemExit) as stop:
        browse.main([str(config), "-n", "0"])
    assert stop.value.code == 2


def test_faces_without_a_sample_are_named(config: Path, prepared: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(prepared, tmp_path / "copy")
    (copy / "images" / "1.png").write_bytes(b"spoilt")
    browse.main([str(config), f"data.prepared={copy}"])
    page = Page((tmp_path / "out_browse.html").read_text())
    assert len(page.all("article")) == 3
    assert page.texts["li"][0].startswith("1: ")


def test_samples_are_spread_over_the_set() -> None:
    records: Any = list(range(10))
    assert browse.spread(records, 4) == [0, 2, 5, 7]
    assert browse.spread(records, 50) == records
