from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from evaluation.report.charts import Chart, by_group, charts
from evaluation.report.contents import Row, SetResult
from evaluation.report.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Frame, tenths
from evaluation.report.score_table import score_table
from tests.evaluation.report.drawn_evaluation import summary
from tests.html_page import Page


def rows() -> list[Row]:
    return [Row("a", 1.0, (), 0.0, {}), Row("b<", 0.6, (), 0.4, {}), Row("c", 0.7, (), None, {})]


def drawn(**changes: Any) -> dict[str, Chart]:
    result = SetResult({**summary("hands", [0.8, 0.9]), **changes}, rows(), Path("views"))
    return {chart.heading: chart for chart in charts(result, first=7)}


def marks(chart: Chart, kind: str) -> list[dict[str, str]]:
    return [attributes for _, attributes in Page(chart.svg).tags if attributes.get("class") == kind]


def test_a_frame_maps_the_ends_of_its_axes_to_its_corners() -> None:
    frame = Frame(Axis("x", 0, 1, ()), Axis("y", 0.5, 1, ()))
    assert (frame.across(0), frame.across(1)) == (LEFT, WIDTH - RIGHT)
    assert (frame.up(0.5), frame.up(1)) == (HEIGHT - BOTTOM, TOP)
    assert frame.up(0.75) == pytest.approx((TOP + HEIGHT - BOTTOM) / 2)
    assert frame.up(0.1) == HEIGHT - BOTTOM  # what lies beyond stays on the edge


def test_numbers_of_an_axis() -> None:
    assert tenths(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert tenths(0.8, 1, step=0.05) == [0.8, 0.85, 0.9, 0.95, 1]


def test_the_threshold_s_line_stands_at_the_threshold() -> None:
    chart = drawn(threshold=0.25)["IoU by threshold"]
    (marker,) = marks(chart, "marker")
    assert float(marker["x1"]) == pytest.approx(LEFT + 0.25 * (WIDTH - LEFT - RIGHT), abs=0.1)
    assert (marker["data-low"], marker["data-high"]) == (str(LEFT), str(WIDTH - RIGHT))
    assert "0.8500 at 0.5" in chart.caption
    assert chart.lines[0] == ("0.25", "0.6500")


def test_each_image_of_known_coverage_is_a_dot_that_knows_its_number() -> None:
    chart = drawn()["IoU by coverage"]
    dots = marks(chart, "image")
    assert [dot["data-row"] for dot in dots] == ["7", "8"]
    assert [dot.get("data-row") for dot in marks(drawn(views=1)["IoU by coverage"], "image")] == ["7", None]
    assert [float(dot["cx"]) for dot in dots] == [LEFT, WIDTH - RIGHT]
    assert float(dots[0]["cy"]) == TOP < float(dots[1]["cy"])
    assert "b<: IoU 0.600, 40% hidden" in Page(chart.svg).texts["title"]
    assert "n = 2" in chart.caption
    assert [line[:2] for line in chart.lines] == [("0 to 0.5", "2"), ("0.5 to 1", "0")]
    assert len(marks(chart, "bin")) == 1  # a bin without images has no mean


def test_reliability_is_drawn_bin_by_bin() -> None:
    chart = drawn()["Reliability"]
    frame = Frame(Axis("", 0, 1, ()), Axis("", 0, 1, ()))
    for point, (confidence, accuracy) in zip(marks(chart, "point"), [(0.1, 0.2), (0.9, 0.7)], strict=True):
        assert float(point["cx"]) == pytest.approx(frame.across(confidence), abs=0.1)
        assert float(point["cy"]) == pytest.approx(frame.up(accuracy), abs=0.1)
    heights = [float(column["height"]) for column in marks(chart, "share")]
    assert heights[0] == pytest.approx(3 * heights[1], rel=0.01)
    assert chart.lines[1] == ("0.9000", "0.7000", "25.00%")


def test_groups_without_images_have_no_mark() -> None:
    groups = [
        {"name": "dark", "n": 3, "face_iou": 0.9, "interval": [0.85, 0.95]},
        {"low": 0.5, "high": 1.0, "n": 1, "face_iou": 0.8, "interval": None},
        {"name": "light", "n": 0, "face_iou": None, "interval": None},
    ]
    chart = by_group(groups, heading="h", caption="c")
    assert len(marks(chart, "point")) == 2
    assert len(marks(chart, "interval")) == 1
    assert {"dark", "0.5 to 1", "n = 3"} <= set(Page(chart.svg).texts["text"])
    assert chart.lines[2] == ("light", "0", "-", "-")


def test_charts_without_numbers_are_left_out() -> None:
    assert set(drawn(curves={}, by_occlusion_type=[])) == {"IoU by coverage"}
    empty = [{"name": "hand", "n": 0, "face_iou": None, "interval": None}]
    assert "IoU by occlusion type" not in drawn(by_occlusion_type=empty)
    assert not re.search(r"nan|None", "".join(chart.svg for chart in drawn().values()))


def test_the_table_tells_interval_n_and_protocol() -> None:
    second = {**summary("b&", [0.5]), "miou": None, "protocol": {"face_iou": "another"}}
    page = Page(score_table([summary("a", [0.8, 0.9]), second]))
    assert {"a", "b&", "face IoU", "COFW protocol: mIoU"} <= set(page.texts["th"])
    assert "boundary IoU" not in page.texts["th"]
    cells = [cell.strip() for cell in page.texts["td"]]
    assert {"0.8500", "0.5000", "-", "2", "1", "mean over images; another", "one matrix", "as above"} <= set(cells)
    assert page.texts["span"] == ["0.7500 to 0.9000", "0.4000 to 0.5500", "n = 2", "n = 2"]
