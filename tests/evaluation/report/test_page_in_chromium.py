"""The page as its reader meets it: in headless Chromium, by pointer and by keyboard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from common.metrics import count
from evaluation.report import write_report
from evaluation.report.contents import Row, SetResult, read_views
from evaluation.report.page import render
from evaluation.report.views import FACE, NOT_SCORED, view_paths, write_view
from tests.evaluation.report.chromium import focused, is_blue, is_red, open_page, pixels, shown, tile
from tests.evaluation.report.drawn_evaluation import (
    SETS,
    Drawn,
    iou_at,
    noisy,
    summary,
    ten_missed_pixels,
    write_evaluation,
)

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, see requirements-dev.txt")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; `apt-get install chromium`")

EVIL = "<img src=x onerror=alert(1)>"
IMAGES = {image.id: image for images in SETS.values() for image in images}
BY_IOU = sorted(IMAGES, key=lambda name: iou_at(IMAGES[name], 0.5))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        sync_api.expect.set_options(timeout=20_000)  # ms; the machine may be busy with other tests
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = write_evaluation(tmp_path_factory.mktemp("page") / "eval")
    write_report(output)
    return output


@pytest.fixture
def page(browser: Any, output: Path) -> Iterator[Any]:
    page = open_page(browser, output / "report.html")
    yield page
    assert page.complaints == []
    page.close()


def test_tiles_stand_in_the_order_of_their_scores(page: Any) -> None:
    assert shown(page) == BY_IOU
    assert page.locator("#count").inner_text() == "5 of 5 images"
    page.locator("#order").select_option("best")
    assert [iou_at(IMAGES[name], 0.5) for name in shown(page)] == sorted(
        (iou_at(image, 0.5) for image in IMAGES.values()), reverse=True
    )
    page.locator("#order").select_option("name")
    assert shown(page) == sorted(IMAGES)
    page.locator("#order").select_option("hidden")
    assert shown(page)[:3] == ["half", "nested/most", "right"]


def test_filters_by_set_type_and_score(page: Any) -> None:
    page.locator("#set").select_option(label="hands (3)")
    assert set(shown(page)) == {"right", "half", "nested/most"}
    page.locator("#type").select_option(label="object (2)")
    assert shown(page) == ["half"]
    page.locator("#set").select_option(label="all (5)")
    assert set(shown(page)) == {"half", "none"}
    page.locator("#type").select_option(label="not named (1)")
    assert shown(page) == ["nested/most"]
    page.locator("#type").select_option(label="all (5)")
    page.locator("#low").fill("0.4")
    page.locator("#high").fill("0.9")
    assert shown(page) == [name for name in BY_IOU if 0.4 <= iou_at(IMAGES[name], 0.5) <= 0.9]
    page.locator("#low").fill("0.95")
    assert page.locator("#none").is_visible()
    assert page.locator("#count").inner_text() == "0 of 5 images"
    page.get_by_role("button", name="show all again").click()
    assert shown(page) == BY_IOU
    assert page.locator("#none").is_hidden()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.745])
def test_the_slider_moves_masks_and_iou_of_every_tile(page: Any, output: Path, threshold: float) -> None:
    page.keyboard.press("4")
    page.locator("#threshold").fill(str(threshold))
    for name, images in SETS.items():
        for image in images:
            files = view_paths(output / name / "views", image.id)
            probability, truth = (cv2.imread(str(files[kind]), 0) for kind in ("probability", "truth"))
            predicted = probability > threshold * 255
            iou = count(predicted, truth == FACE, valid=truth != NOT_SCORED).face_iou
            found = tile(page, image.id)
            sync_api.expect(found.locator(".iou")).to_have_text(f"≈ {iou + 1e-9:.4f}")  # halves go up there
            assert iou == pytest.approx(iou_at(image, threshold), abs=1e-9)
            np.testing.assert_array_equal(is_blue(found.locator("canvas")), predicted)
            assert "px wrong" not in found.inner_text()
    page.locator(".controls .reset").click()
    assert "768 px wrong" in tile(page, "half").inner_text()
    assert tile(page, "half").locator(".iou").inner_text() == f"{iou_at(IMAGES['half'], 0.5):.4f}"


def test_the_slider_moves_the_line_of_each_chart_and_the_mean(page: Any) -> None:
    mean = np.mean([iou_at(image, 0.5) for image in SETS["hands"]])
    assert f"hands {mean:.4f}" in page.locator("#means").inner_text()
    page.locator("#threshold").fill("0.75")
    sync_api.expect(page.locator("#means")).to_contain_text(f"hands {mean - 0.1:.4f}")
    page.locator("#threshold").fill("0.375")  # halfway between two points of the curve
    sync_api.expect(page.locator("#means")).to_contain_text(f"hands {mean - 0.1:.4f}")
    low, high, at = page.locator(".marker").first.evaluate(
        "line => [line.dataset.low, line.dataset.high, line.getAttribute('x1')].map(Number)"
    )
    assert at == pytest.approx(low + 0.375 * (high - low))


def test_the_views_show_photo_label_prediction_and_errors(page: Any) -> None:
    page.locator("#set").select_option(label="hands (3)")
    found = tile(page, "nested/most").locator("canvas")
    sync_api.expect(found).to_have_count(4)
    np.testing.assert_allclose(pixels(found.nth(0)), 120, atol=3)
    label = is_blue(found.nth(1))
    assert label[8:, :24].all()
    assert not label[8:, 24:].any()
    page.get_by_role("button", name="errors").click()
    sync_api.expect(found).to_have_count(1)
    shown = pixels(found)
    assert (shown[20, 25:31] == shown[20, 28]).all()  # invented face from column 24 to 31
    assert shown[20, 28, 2] < 60 < 200 < shown[20, 28, 0]
    assert abs(int(shown[20, 10, 0]) - int(shown[20, 10, 2])) < 5  # grey where all is right


def test_a_click_opens_an_image_and_escape_closes_it(page: Any) -> None:
    tile(page, "half").click()
    dialog = page.locator("#detail")
    sync_api.expect(dialog).to_be_visible()
    assert dialog.locator("h2").inner_text() == "half"
    assert page.locator("#detail-iou").inner_text() == f"IoU {iou_at(IMAGES['half'], 0.5):.4f}"
    scores = page.locator("#detail-scores").inner_text()
    assert "60.0 %" in scores
    assert "hand, object" in scores
    page.locator("#detail-threshold").fill("0.8")
    expected = f"IoU ≈ {iou_at(IMAGES['half'], 0.8):.4f} ({iou_at(IMAGES['half'], 0.5):.4f} as evaluated)"
    sync_api.expect(page.locator("#detail-iou")).to_have_text(expected)
    dialog.get_by_role("button", name="next image").click()
    sync_api.expect(dialog.locator("h2")).to_have_text(BY_IOU[BY_IOU.index("half") + 1])
    page.keyboard.press("Escape")
    sync_api.expect(dialog).to_be_hidden()
    assert BY_IOU[BY_IOU.index("half") + 1] in focused(page)


def test_a_dot_of_the_coverage_chart_opens_its_image(page: Any) -> None:
    page.locator("circle.image").nth(2).click()
    sync_api.expect(page.locator("#detail h2")).to_have_text("nested/most")


def test_keyboard_alone(page: Any) -> None:
    page.locator("#threshold").focus()
    page.keyboard.press("Tab")  # the button beside the slider is off as long as the slider was not moved
    assert BY_IOU[0] in focused(page)
    page.keyboard.press("ArrowRight")
    assert BY_IOU[1] in focused(page)
    page.keyboard.press("ArrowDown")  # two tiles a row at this width
    assert BY_IOU[3] in focused(page)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert BY_IOU[0] in focused(page)
    page.keyboard.press("End")
    assert BY_IOU[-1] in focused(page)
    page.keyboard.press("Enter")
    heading = page.locator("#detail h2")
    sync_api.expect(heading).to_have_text(BY_IOU[-1])
    page.keyboard.press("ArrowRight")  # nothing comes behind the last
    page.keyboard.press("ArrowLeft")
    sync_api.expect(heading).to_have_text(BY_IOU[-2])
    page.keyboard.press("Escape")
    sync_api.expect(page.locator(":focus")).to_contain_text(BY_IOU[-2])  # once the dialog has closed
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "threshold"
    page.keyboard.press("ArrowRight")
    sync_api.expect(page.locator(".value").first).to_have_text("0.505")


def test_digits_choose_the_view_but_not_while_a_number_is_typed(page: Any) -> None:
    page.locator("#low").press("2")
    assert page.locator("#gallery").get_attribute("data-kind") == "all"
    page.locator("h1").click()
    page.keyboard.press("2")
    assert page.locator("#gallery").get_attribute("data-kind") == "photo"
    assert page.get_by_role("button", name="photo").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_and_its_button(browser: Any, output: Path, scheme: str) -> None:
    page = open_page(browser, output / "report.html", color_scheme=scheme)
    colour = "parseInt(getComputedStyle(document.body).{}.match(/\\d+/)[0])"
    is_dark = page.evaluate(f"{colour.format('backgroundColor')} < {colour.format('color')}")
    assert is_dark == (scheme == "dark")
    page.get_by_role("button", name="dark mode").click()
    assert page.evaluate(f"{colour.format('backgroundColor')} < {colour.format('color')}") != is_dark
    page.close()


def test_ten_wrong_pixels_are_seen_on_the_tile_and_in_the_large_view(browser: Any, tmp_path: Path) -> None:
    drawn, wrong = ten_missed_pixels(1024)
    output = write_evaluation(tmp_path, {"one": [Drawn("few")]})
    write_view(output / "one" / "views", "few", **drawn)
    page = open_page(browser, write_report(output))
    cells = wrong // 4
    for canvas in (tile(page, "few").locator("canvas").nth(3), page.locator("#panels canvas[data-kind=errors]")):
        if canvas.is_hidden():
            tile(page, "few").click()
        red = is_red(canvas)
        assert red.sum() == 10 * 9  # each spread over its neighbours
        assert all(red[y - 1 : y + 2, x - 1 : x + 2].all() for y, x in cells)
    assert page.complaints == []
    page.close()


def test_names_are_shown_as_text(browser: Any, tmp_path: Path) -> None:
    output = write_evaluation(tmp_path, {EVIL: [Drawn(EVIL, types=EVIL, coverage=0.5)]})
    page = open_page(browser, write_report(output))
    tile(page, EVIL).click()
    sync_api.expect(page.locator("#detail h2")).to_have_text(EVIL)
    assert page.locator("#detail-scores").inner_text().count(EVIL) == 2
    assert page.locator("img").count() == 0
    assert page.complaints == []
    page.close()


def test_of_2000_images_only_those_near_the_window_are_decoded(browser: Any, tmp_path: Path) -> None:
    write_view(tmp_path, "0", **noisy(256))
    (view,) = read_views([(tmp_path, "0")])
    rows = [Row(str(number), number / 2000, (), None, {"fp": 1.0, "fn": 1.0}) for number in range(2000)]
    result = SetResult(summary("many", [row.face_iou for row in rows]), rows, tmp_path)
    path = tmp_path / "many.html"
    path.write_text(render([result], [rows], [view] * 2000))
    start_s = time.perf_counter()
    page = open_page(browser, path)
    seconds = time.perf_counter() - start_s
    print(f"2000 images, {path.stat().st_size / 1e6:.1f} MB: ready after {seconds:.2f} s")
    assert seconds < 30  # a second or two on an idle machine
    page.locator(".tile").first.scroll_into_view_if_needed()
    sync_api.expect(page.locator(".tile").first.locator("canvas")).to_have_count(4)
    assert page.locator("#gallery canvas").count() < 200
    page.locator("#threshold").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    sync_api.expect(page.locator(".tile").last.locator("canvas")).to_have_count(4)
    sync_api.expect(page.locator(".tile").first.locator("canvas")).to_have_count(0)
    assert page.locator("#gallery canvas").count() < 200
    assert page.locator("#count").inner_text() == "2000 of 2000 images"
    assert page.complaints == []
    page.close()
