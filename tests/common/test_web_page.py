from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from common.web_page import data_url, fitted, page
from tests.html_page import Page


@pytest.mark.parametrize(("size", "expected"), [((400, 200), (100, 50)), ((3, 900), (1, 100)), ((80, 90), (80, 90))])
def test_pictures_are_shrunk_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fitted(np.zeros((*size, 3), np.uint8), 100).shape == (*expected, 3)


def test_a_picture_comes_back_out_of_its_text() -> None:
    picture = np.full((8, 12, 3), (200, 30, 90), np.uint8)
    content = base64.b64decode(data_url(picture).removeprefix("data:image/jpeg;base64,"))
    assert np.abs(np.asarray(Image.open(io.BytesIO(content))).astype(int) - picture).max() < 8


def test_a_page_is_whole_and_its_title_is_text() -> None:
    text = page(title="<b>a & b</b>", style="  main { color: red; }", body="<main><p>x</p></main>")
    found = Page(text)
    assert found.texts["title"] == ["<b>a & b</b>"]
    assert "<b>" not in text
    assert "main { color: red; }" in text
    assert any("default-src 'none'" in str(meta.get("content")) for meta in found.all("meta"))
