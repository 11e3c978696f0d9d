"""A small plot as inline SVG: a frame with two axes, and marks whose colours the style sheet of the page gives."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 320, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 40  # room for the labels
TICK_PX = 5


class Axis(NamedTuple):
    """One axis: its label, its ends, and where its numbers stand."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]


class Frame(NamedTuple):
    """Maps values to the units of the drawing."""

    x: Axis
    y: Axis

    def across(self, value: float) -> float:
        """Return the horizontal place of a value; values beyond the ends lie on them."""
        return LEFT + (WIDTH - LEFT - RIGHT) * _share(value, self.x)

    def up(self, value: float) -> float:
        """Return the vertical place of a value, counted from the top."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(value, self.y)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> str:
        """Return a line through `points` (x, y)."""
        places = " ".join(f"{self.across(x):.1f},{self.up(y):.1f}" for x, y in points)
        return f'<polyline class="{kind}" points="{places}"/>'

    def dot(self, x: float, y: float, kind: str, *, radius: float = 3, title: str = "", row: int | None = None) -> str:
        """Return a dot with a text that shows under the pointer; `row` is the number of the image that it opens."""
        place = f'cx="{self.across(x):.1f}" cy="{self.up(y):.1f}" r="{radius}"'
        opens = "" if row is None else f' data-row="{row}"'
        return f'<circle class="{kind}" {place}{opens}><title>{html.escape(title)}</title></circle>'

    def column(self, low: float, high: float, y: float, kind: str, *, title: str = "") -> str:
        """Return a bar from the ground up to `y`, from `low` to `high` on the x axis."""
        left, top = self.across(low), self.up(y)
        size = f'width="{self.across(high) - left:.1f}" height="{HEIGHT - BOTTOM - top:.1f}"'
        return f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" {size}><title>{html.escape(title)}</title></rect>'


def draw(frame: Frame, marks: Sequence[str], *, title: str) -> str:
    """Return the SVG of `marks` in `frame`; `title` is read out in its place."""
    parts = [*_axes(frame), *marks]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def text(x: float, y: float, words: str, *, anchor: str = "middle", kind: str = "tick") -> str:
    """Return words at a place of the drawing."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def tenths(low: float, high: float, *, step: float = 0.2) -> list[float]:
    """Return the multiples of `step` from `low` to `high`."""
    return [round(index * step, 10) for index in range(round(low / step), round(high / step) + 1)]


def _axes(frame: Frame) -> list[str]:
    ground, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{ground}H{right}"/>']
    for value in frame.y.ticks:
        height = frame.up(value)
        parts.append(f'<path class="grid" d="M{LEFT} {height:.1f}H{right}"/>')
        parts.append(text(LEFT - TICK_PX, height + 4, f"{value:g}", anchor="end"))
    for value in frame.x.ticks:
        place = frame.across(value)
        parts.append(f'<path class="axis" d="M{place:.1f} {ground}v{TICK_PX}"/>')
        parts.append(text(place, ground + 17, f"{value:g}"))
    parts.append(text((LEFT + right) / 2, HEIGHT - 5, frame.x.label, kind="label"))
    middle = (TOP + ground) / 2
    parts.append(
        f'<text class="label" transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">'
        f"{html.escape(frame.y.label)}</text>"
    )
    return parts


def _share(value: float, axis: Axis) -> float:
    return min(1.0, max(0.0, (value - axis.low) / (axis.high - axis.low)))
