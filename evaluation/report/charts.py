"""The charts of one test set, each with its numbers as a table for those who want to read or copy them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from evaluation.report.contents import Row, SetResult
from evaluation.report.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Frame, draw, tenths, text

Summary = dict[str, Any]
UNIT = tenths(0, 1)
LINE_PX = 22  # height of a line in the chart of occlusion types
COLUMN = 0.035  # width of a column, narrower than the bins of 0.05
NAMES_PX = 110  # room for the names of occlusion types

# Key of the summary -> heading and caption.
GROUPS = {
    "by_occlusion_type": (
        "IoU by occlusion type",
        "Mean over the images that hold the type, with 95 % interval; an image with two types counts in both.",
    ),
    "by_brightness": (
        "IoU by brightness",
        "Mean over images by the mean luma of the visible face, with 95 % interval.",
    ),
    "by_skin_tone": (
        "IoU by skin tone",
        "Mean over images by the individual typology angle of the visible face, with 95 % interval; light and camera "
        "change the angle too.",
    ),
}


class Chart(NamedTuple):
    """A drawing with its heading, what it shows in a sentence, and its numbers: the head of the table, then lines."""

    heading: str
    caption: str
    svg: str
    head: tuple[str, ...]
    lines: list[tuple[str, ...]]


def charts(result: SetResult, *, first: int) -> list[Chart]:
    """Return the charts that the summary of a set has numbers for.

    Args:
        result: of the set.
        first: number of the set's first image on the page; dots of images tell theirs.
    """
    curves = result.summary.get("curves") or {}
    drawn = []
    if curves.get("iou_by_threshold"):
        drawn.append(by_threshold(result.summary, curves["iou_by_threshold"]))
    # Images without pictures have no number: the page has nothing to open for them.
    numbers = [first + index if index < result.pictured else None for index in range(len(result.rows))]
    covered = [(number, row) for number, row in zip(numbers, result.rows, strict=True) if row.coverage is not None]
    if covered:
        drawn.append(by_coverage(covered, curves.get("iou_by_coverage") or []))
    if curves.get("reliability"):
        drawn.append(reliability(curves["reliability"]))
    for key, (heading, caption) in GROUPS.items():
        groups = result.summary.get(key) or []
        if any(group["n"] for group in groups):
            drawn.append(by_group(groups, heading=heading, caption=caption))
    return drawn


def by_threshold(summary: Summary, curve: dict[str, list[float]]) -> Chart:
    """Return mean face IoU against the threshold; the page moves the line that marks a threshold."""
    points = list(zip(curve["thresholds"], curve["face_iou"], strict=True))
    frame = Frame(Axis("threshold", 0, 1, UNIT), _iou_axis([iou for _, iou in points]))
    at = frame.across(summary["threshold"])
    marker = f'<line class="marker" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
    ends = f' data-low="{LEFT}" data-high="{WIDTH - RIGHT}"/>'
    best_at, best = max(points, key=lambda point: point[1])
    return Chart(
        "IoU by threshold",
        f"Mean face IoU where a pixel above the threshold is called face; used: {summary['threshold']:g}. "
        f"The highest, {best:.4f} at {best_at:g}, is told for information: it is chosen on the test images.",
        draw(frame, [frame.line(points, "line"), marker + ends], title="Face IoU against the threshold"),
        ("threshold", "face IoU"),
        [(f"{threshold:g}", f"{iou:.4f}") for threshold, iou in points],
    )


def by_coverage(rows: Sequence[tuple[int | None, Row]], bins: Sequence[dict[str, Any]]) -> Chart:
    """Return face IoU against the hidden share of the face: a dot an image, and the mean of each bin."""
    filled = [found for found in bins if found["n"]]
    end = max(0.2, min(1.0, math.ceil(max(row.coverage or 0 for _, row in rows) * 5) / 5))
    frame = Frame(
        Axis("hidden share of the face", 0, end, tenths(0, end, step=0.2 if end > 0.4 else 0.1)),
        _iou_axis([row.face_iou for _, row in rows]),
    )
    marks = [frame.dot(row.coverage or 0, row.face_iou, "image", title=_told(row), row=number) for number, row in rows]
    for found in filled:
        middle = (found["low"] + min(found["high"], end)) / 2
        marks.append(frame.line([(found["low"], found["face_iou"]), (found["high"], found["face_iou"])], "bin"))
        marks.append(frame.line([(middle, value) for value in found["interval"]], "interval"))
    return Chart(
        "IoU by coverage",
        f"Each dot an image (n = {len(rows)}); bars: mean of a bin with its 95 % interval.",
        draw(frame, marks, title="Face IoU against the hidden share of the face"),
        ("hidden share", "n", "face IoU", "95 % interval"),
        [(f"{found['low']:g} to {found['high']:g}", *_cells(found)) for found in bins],
    )


def reliability(curve: dict[str, list[float]]) -> Chart:
    """Return how often pixels are face, against how sure the model was."""
    bins = list(zip(curve["confidence"], curve["accuracy"], curve["share"], strict=True))
    filled = [found for found in bins if found[2]]
    frame = Frame(Axis("probability of face", 0, 1, UNIT), Axis("share that is face", 0, 1, UNIT))
    columns = [
        frame.column(at - COLUMN / 2, at + COLUMN / 2, share, "share", title=f"{share:.1%} of the pixels")
        for at, _, share in filled
    ]
    line = [(at, accuracy) for at, accuracy, _ in filled]
    dots = [frame.dot(at, accuracy, "point", title=f"{at:.3f}: {accuracy:.3f} are face") for at, accuracy in line]
    return Chart(
        "Reliability",
        "On the dashed line a pixel of probability 0.7 is face in 7 of 10 cases; below it the model is too sure of "
        "face. Columns: share of the pixels.",
        draw(
            frame,
            [frame.line([(0, 0), (1, 1)], "ideal"), *columns, frame.line(line, "line"), *dots],
            title="Share of pixels that are face against the probability given to them",
        ),
        ("probability", "is face", "share of the pixels"),
        [(f"{at:.4f}", f"{accuracy:.4f}", f"{share:.2%}") for at, accuracy, share in filled],
    )


def by_group(groups: Sequence[dict[str, Any]], *, heading: str, caption: str) -> Chart:
    """Return mean face IoU of each group of images with its interval, one below the other."""
    filled = [group for group in groups if group["n"]]
    low = _iou_axis([end for group in filled for end in (group["face_iou"], *(group.get("interval") or ()))]).low
    height = LINE_PX * len(filled) + 44
    right = WIDTH - RIGHT - 50  # the number of images stands there

    def across(value: float) -> float:
        return NAMES_PX + (right - NAMES_PX) * max(0.0, value - low) / (1 - low)

    parts = []
    for value in tenths(low, 1, step=0.1 if low > 0.5 else 0.2):
        parts.append(f'<path class="grid" d="M{across(value):.1f} 4V{height - 40}"/>')
        parts.append(text(across(value), height - 26, f"{value:g}"))
    for index, group in enumerate(filled):
        middle = LINE_PX * index + 16
        parts.append(text(NAMES_PX - 10, middle + 4, group_name(group), anchor="end", kind="label"))
        if group.get("interval"):
            begin, end = map(across, group["interval"])
            parts.append(f'<path class="interval" d="M{begin:.1f} {middle}H{end:.1f}"/>')
        parts.append(f'<circle class="point" cx="{across(group["face_iou"]):.1f}" cy="{middle}" r="4"/>')
        parts.append(text(WIDTH - RIGHT, middle + 4, f"n = {group['n']}", anchor="end"))
    parts.append(text((NAMES_PX + right) / 2, height - 6, "face IoU", kind="label"))
    return Chart(
        heading,
        caption,
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{heading}">\n' + "\n".join(parts) + "\n</svg>",
        ("group", "n", "face IoU", "95 % interval"),
        [(group_name(group), *_cells(group)) for group in groups],
    )


def group_name(group: dict[str, Any]) -> str:
    """Return the name of a group, or its range where it has none."""
    return str(group.get("name") or f"{group['low']:g} to {group['high']:g}")


def _cells(found: dict[str, Any]) -> tuple[str, str, str]:
    """Return n, mean and interval of a group as texts; a group without images has neither."""
    if not found["n"]:
        return "0", "-", "-"
    interval = found.get("interval")
    return str(found["n"]), f"{found['face_iou']:.4f}", "{:.4f} to {:.4f}".format(*interval) if interval else "-"


def _iou_axis(values: Sequence[float]) -> Axis:
    """Return an axis up to 1 that begins at a round number below all values, so that close scores are told apart."""
    low = max(0.0, math.floor(min(values) * 5) / 5)
    low = min(low, 0.8)
    return Axis("face IoU", low, 1, tenths(low, 1, step=0.05 if low == 0.8 else 0.1 if low >= 0.4 else 0.2))


def _told(row: Row) -> str:
    return f"{row.id}: IoU {row.face_iou:.3f}, {row.coverage:.0%} hidden"
