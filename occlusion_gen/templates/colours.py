"""Colours of masks: what is sold, not what a generator would dream up."""

from __future__ import annotations

import colorsys

import numpy as np

Rgb = tuple[int, int, int]

WHITE, OFF_WHITE, GREY, DARK_GREY, BLACK = (
    (224, 227, 228),
    (216, 211, 200),
    (150, 152, 156),
    (78, 80, 84),
    (34, 34, 37),
)
LIGHT_BLUE, BLUE, NAVY, TEAL, GREEN, MINT = (
    (152, 198, 226),
    (92, 146, 200),
    (38, 48, 78),
    (60, 130, 140),
    (110, 168, 140),
    (164, 208, 196),
)
PINK, ROSE, RED, WINE, PURPLE, LILAC, YELLOW, ORANGE, OLIVE, BROWN, SKIN, BEIGE = (
    (232, 184, 196),
    (206, 128, 148),
    (176, 48, 52),
    (104, 36, 50),
    (98, 72, 130),
    (182, 168, 206),
    (224, 196, 96),
    (214, 128, 62),
    (108, 110, 74),
    (112, 82, 64),
    (214, 172, 146),
    (200, 184, 160),
)

# (colour, how often) of the fabric of each kind.
BODIES: dict[str, tuple[tuple[Rgb, float], ...]] = {
    "surgical": (
        (LIGHT_BLUE, 5), (WHITE, 4), (BLACK, 3), (MINT, 2), (GREEN, 1), (PINK, 1.5), (BLUE, 1), (LILAC, 0.7),
        (GREY, 0.7), (SKIN, 0.5), (NAVY, 0.5), (YELLOW, 0.2),
    ),
    "cloth": (
        (BLACK, 5), (NAVY, 2), (DARK_GREY, 2), (GREY, 2), (WHITE, 2), (OFF_WHITE, 1), (WINE, 1), (RED, 0.8), (TEAL, 1),
        (OLIVE, 1), (PINK, 1), (ROSE, 0.7), (PURPLE, 0.7), (BLUE, 1), (BROWN, 0.6), (SKIN, 0.8), (BEIGE, 1),
        (YELLOW, 0.4), (ORANGE, 0.4),
    ),
    "kn95": ((WHITE, 6), (BLACK, 2.5), (GREY, 1), (LIGHT_BLUE, 0.7), (PINK, 0.7), (BEIGE, 0.7), (NAVY, 0.4)),
    "n95": ((WHITE, 4), (OFF_WHITE, 4), (MINT, 0.6), (LIGHT_BLUE, 0.6), (GREY, 0.4), (BLACK, 0.3)),
    "respirator": ((DARK_GREY, 4), (BLACK, 3), (NAVY, 2), (GREY, 2), (TEAL, 1), (OLIVE, 0.5)),
}  # fmt: skip
ACCENTS: dict[str, tuple[Rgb, ...]] = {
    "surgical": (WHITE, OFF_WHITE),
    "cloth": (BLACK, WHITE, GREY, RED, NAVY),
    "kn95": (GREY, WHITE, DARK_GREY),
    "n95": (GREY, (178, 180, 184), WHITE),
    "respirator": ((196, 120, 140), GREY, WHITE, (190, 160, 70), BLACK),
}
LOOPS: dict[str, tuple[Rgb, ...]] = {
    "surgical": (WHITE, WHITE, WHITE, OFF_WHITE),
    "cloth": (BLACK, WHITE, GREY),
    "kn95": (WHITE, WHITE, GREY),
    "n95": (YELLOW, WHITE, (206, 84, 60), OFF_WHITE),
    "respirator": (DARK_GREY, BLACK, GREY),
}
DARK = 90  # below this, surgical masks have rims and loops of their own colour


def draw_colour(rng: np.random.Generator, choices: tuple[tuple[Rgb, float], ...], *, jitter: float) -> Rgb:
    """Return one of the colours, moved a little in hue, saturation and brightness.

    Args:
        choices: (RGB, relative frequency).
        jitter: 0 leaves the colour as it is; 1 moves brightness by about a tenth.
    """
    weights = np.array([weight for _, weight in choices])
    colour, _ = choices[int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum(), side="right"))]
    moved = rng.standard_normal(3)
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
    hue = (hue + 0.015 * jitter * moved[0]) % 1
    saturation = min(1.0, max(0.0, saturation * (1 + 0.15 * jitter * moved[1])))
    value = min(0.95, max(0.08, value * (1 + 0.08 * jitter * moved[2])))
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def draw_accent(rng: np.random.Generator, kind: str, body: Rgb) -> Rgb:
    """Return the colour of the second material of a mask whose fabric is `body`."""
    choice = ACCENTS[kind][int(rng.integers(len(ACCENTS[kind])))]
    return body if kind == "surgical" and max(body) < DARK else choice


def draw_loop_colour(rng: np.random.Generator, kind: str, body: Rgb) -> Rgb:
    """Return the colour of the loops of a mask whose fabric is `body`."""
    choice = LOOPS[kind][int(rng.integers(len(LOOPS[kind])))]
    return body if kind in ("surgical", "kn95") and max(body) < DARK else choice
