from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from common.labels import PALETTE, PART_ID
from datasets.browse import main
from datasets.browse_page import FACE, IGNORED, TILE_PX, Card, overlay_url, render_page
from tests.html_page import Page


def cards_of(page: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.DOTALL)
    assert found
    cards: list[dict[str, Any]] = json.loads(found[1])
    return cards


def picture(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def browse(tmp_path: Path, sets: dict[str, dict[str, Any]], *words: str) -> str:
    config = tmp_path / "sets.yaml"
    data = {"root": str(tmp_path), "prepared": str(tmp_path)}
    config.write_text(yaml.safe_dump({"data": data, "sets": sets}, sort_keys=False))
    main([str(config), str(tmp_path / "page.html"), "--processes", "1", *words])
    return (tmp_path / "page.html").read_text()


def test_every_photo_stands_on_the_page_with_its_label(drawn: Path, tmp_path: Path) -> None:
    sets = {
        "masks": {"layout": "occluded_dev", "root": str(drawn / "occluded_dev")},
        "parts": {"layout": "helen", "root": str(drawn / "Helen")},
        "bare": {"layout": "mfr2", "root": str(drawn / "MFR2")},
    }
    page = browse(tmp_path, sets)
    Page(page)
    cards = cards_of(page)
    assert [card["set"] for card in cards] == ["masks"] * 6 + ["parts"] * 6 + ["bare"] * 6
    assert picture(cards[0]["photo"]).size == (64, 64)
    assert set(np.unique(np.asarray(picture(cards[0]["label"])))) == {0, FACE, IGNORED}
    assert PART_ID["skin"] in np.asarray(picture(cards[6]["label"]))
    assert cards[12]["label"] == ""
    assert cards[12]["about"][1] == "no mask"
    assert "subject Drawn_Person000" in cards[12]["about"]
    assert cards[0]["types"] == ["hand"]
    assert not re.search(r'(src|href)="http', page)
    assert "script-src 'unsafe-inline'" in page


def test_names_cannot_become_markup(drawn: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    name = "</script><img src=x onerror=alert(1)>\"'&"
    for folder, suffix in (("images", "jpg"), ("masks", "png")):
        (root / folder).mkdir(parents=True)
        source = next((drawn / "occluded_dev" / folder).iterdir())
        shutil.copy(source, root / folder / f"{name.replace('/', '_')}.{suffix}")
    page = browse(tmp_path, {"<b>set</b>": {"root": str(root)}})
    assert "<b>" not in page
    assert "<img" not in page
    assert cards_of(page)[0]["id"] == name.replace("/", "_")
    assert '<option value="&lt;b&gt;set&lt;/b&gt;">' in page


def test_damaged_files_are_told_on_their_card(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(shutil.copytree(drawn / "RealOcc", tmp_path / "RealOcc"))
    (root / "image" / "val_1.jpg").write_bytes(b"\xff\xd8")
    cards = cards_of(browse(tmp_path, {"set": {"layout": "realocc", "root": str(root)}}))
    assert ["val_1.jpg: cannot be read" in card["fault"] for card in cards] == [False, True, False, False, False, False]
    assert "1 files that cannot be read" in capsys.readouterr().out


def test_a_spread_of_so_many_is_taken(drawn: Path, tmp_path: Path) -> None:
    cards = cards_of(browse(tmp_path, {"set": {"layout": "realocc", "root": str(drawn / "RealOcc")}}, "-n", "3"))
    assert [card["id"] for card in cards] == ["val_0", "val_2", "val_4"]


def test_a_page_of_2000_photos_stays_small(drawn: Path, tmp_path: Path) -> None:
    card = cards_of(browse(tmp_path, {"set": {"layout": "realocc", "root": str(drawn / "RealOcc")}}))[0]
    label = np.zeros((400, 300), np.uint8)
    label[100:300, 80:220] = FACE
    noise = np.random.default_rng(0).integers(0, 256, (TILE_PX // 4, TILE_PX // 4, 3), np.uint8)
    busy = np.asarray(Image.fromarray(noise).resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC))
    stream = io.BytesIO()
    Image.fromarray(busy).save(stream, "JPEG", quality=82)
    photo = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    full = Card(**card | {"photo": photo, "label": overlay_url(label, None)})
    assert len(render_page([full] * 2000, title="many")) < 40e6  # photos are never as busy as this


def test_thin_parts_and_their_colours_stay(tmp_path: Path) -> None:
    label = np.zeros((90, 60), np.uint8)
    label[40:50] = PART_ID["hat"]
    shown = picture(overlay_url(label, np.arange(60)[None].repeat(90, 0) < 50))
    assert shown.size == (60, 90)
    assert shown.convert("RGBA").getpixel((10, 45)) == (*PALETTE[PART_ID["hat"]].tolist(), 255)
    assert shown.convert("RGBA").getpixel((10, 10))[3] == 0  # type: ignore[index]
    assert shown.getpixel((55, 10)) == IGNORED


@pytest.mark.parametrize("words", [["a.yaml", "b.yaml"], ["a.yaml", "a.html", "b.html"], ["a.yaml", "-n", "0"]])
def test_words_that_cannot_be_meant_are_told(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2


def test_a_set_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        browse(tmp_path, {"set": {"root": str(tmp_path / "none")}})
    assert "datasets check" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed (Debian: chromium)")
def test_the_page_fills_itself_in_a_browser(drawn: Path, tmp_path: Path) -> None:
    browse(tmp_path, {"set": {"layout": "realocc", "root": str(drawn / "RealOcc")}})
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    page = (tmp_path / "page.html").as_uri()
    dom = subprocess.run([*command, profile, page], capture_output=True, text=True, timeout=120, check=True).stdout
    assert "6 of 6" in dom
    assert dom.count('class="photo"') == 6
    assert dom.count('class="label"') == 6
