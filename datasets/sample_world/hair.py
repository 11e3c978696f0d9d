"""Hair: an outer shape, the opening that leaves the face free, and strands that fall from the parting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from common.labels import PART_ID
from datasets.sample_world.canvas import Canvas, Field, Patch, Points, cover, linear, noise, spline
from datasets.sample_world.head import Head
from datasets.sample_world.lighting import Light, illuminate

# Display colours, black to white.
HAIR_COLOURS = np.array(
    [(0.07, 0.06, 0.06), (0.16, 0.11, 0.085), (0.27, 0.18, 0.12), (0.38, 0.25, 0.15), (0.52, 0.25, 0.13),
     (0.62, 0.46, 0.28), (0.80, 0.66, 0.44), (0.55, 0.54, 0.53), (0.84, 0.83, 0.81)]
)  # fmt: skip
COVERS_SIDES = ("bob", "long", "waves")


@dataclass(frozen=True)
class HairStyle:
    """What the hair does, lengths in head units.

    Attributes:
        kind: bald, buzz, short, swept, tied, bob, long, waves, curls.
        colour: display RGB.
        volume: how far it stands off the skull.
        hairline: height of its lower edge over the middle of the forehead (y, the eyes are at 0).
        slant: how much lower it hangs on one side of the forehead.
        part: x of the parting.
        length: y of its lower end at the sides.
        wave: sideways swing of the strands.
        recede: how far the corners of the forehead are bare.
    """

    kind: str = "short"
    colour: tuple[float, float, float] = (0.16, 0.11, 0.085)
    volume: float = 0.14
    hairline: float = -0.92
    slant: float = 0.0
    part: float = 0.0
    length: float = 0.1
    wave: float = 0.0
    recede: float = 0.0


class Strands(NamedTuple):
    """Texture of the hair over the whole photo, (S, S) each: tone along strands, jitter of their ends, run length."""

    tone: Field
    jitter: Field
    run: Field


class HairLayers(NamedTuple):
    """Coverage of the hair behind and before the face, and its lit colour: (S, S), (S, S), (S, S, 3)."""

    behind: Field
    before: Field
    colour: Field


def _outer(head: Head, style: HairStyle) -> Points:
    """Return the outline of all hair, flat, closed."""
    y_edge, left, right = head.edges
    turn, v = np.sin(head.pose.yaw), style.volume
    at = np.array([-1.12, -0.8, -0.4, 0.0])
    over_ears = np.array([0.0, 0.02, 0.08, 0.13]) if style.kind in COVERS_SIDES else 0.0
    reach = np.array([0.85, 0.9, 0.85, 0.5]) * v + 0.035 + over_ears
    behind = 0.28 * np.array([0.8, 1.0, 0.9, 0.5])  # the back of the head shows on the near side
    left_x = np.interp(at, y_edge, left) - reach - behind * max(turn, 0.0)
    right_x = np.interp(at, y_edge, right) + reach + behind * max(-turn, 0.0)
    middle = (left_x[0] + right_x[0]) / 2
    half = (right_x[0] - left_x[0]) / 2
    shoulder, crown = np.array([0.74 * half, 0.0]), np.array([0.34 * half, 0.0])
    at_shoulder, at_crown = np.array([middle, -1.42 - 0.55 * v]), np.array([middle, -1.62 - 0.88 * v])
    top = np.array([at_shoulder - shoulder, at_crown - crown, at_crown + crown, at_shoulder + shoulder])
    lower_left, lower_right = _lower_ends(style, (left_x[-1], right_x[-1]))
    sides_left = np.column_stack([left_x, at])[::-1]
    sides_right = np.column_stack([right_x, at])
    return spline(
        np.concatenate([lower_left, sides_left, top, sides_right, lower_right[::-1]]),
        closed=True,
        steps=8,
    )


def _lower_ends(style: HairStyle, ends: tuple[float, float]) -> tuple[Points, Points]:
    """Return the lower outline of both sides, each from the inside outwards, flat."""
    left, right = ends
    if style.kind in COVERS_SIDES:
        flare, low = 0.05 + 0.8 * style.volume, style.length
        down = np.array([(0.42, low + 0.02), (0.10, low), (-flare, low - 0.25), (-flare, 0.25 + 0.4 * low)])
    else:
        low = min(style.length, 0.35)
        down = np.array([(0.30, low - 0.20), (0.14, low + 0.02)])
    mirrored = down * np.array([-1.0, 1.0])
    return down + np.array([left, 0.0]), mirrored + np.array([right, 0.0])


def _opening(head: Head, style: HairStyle) -> Points:
    """Return the outline of what the hair leaves free (face, ears or neck), flat, closed."""
    y_edge, left, right = head.edges
    covers = style.kind in COVERS_SIDES
    overlap = 0.10 if covers else 0.03
    line = np.column_stack([[-0.80, -0.62, -0.33, 0.5 * style.part, 0.33, 0.62, 0.80], np.full(7, style.hairline)])
    line[:, 1] += [0.34, 0.10, 0.01, -0.02, 0.01, 0.10, 0.34]
    line[:, 1] += style.slant * np.array([0.0, 1.0, 0.6, 0.0, -0.4, -0.5, 0.0])
    line[:, 1] -= style.recede * np.array([0.10, 0.30, 0.22, 0.0, 0.22, 0.30, 0.10])
    fringe = head.flat(head.surface(line))
    if covers:
        at = np.array([-0.25, 0.3, 0.9, style.length + 0.6])
        side = np.array([0.0, 0.04, 0.08, 0.10])
    else:
        at = np.array([-0.40, -0.16, 0.10])
        side = np.array([0.02, 0.0, -0.02])
    # Hair hangs straight down from the cheekbones, it does not follow the jaw inwards.
    turn = np.sin(head.pose.yaw)
    far_left, far_right = (1 - 2.2 * min(max(away, 0.0), 0.45) for away in (-turn, turn))
    left_x = np.interp(np.minimum(at, 0.35), y_edge, left) + (overlap + side) * far_left
    right_x = np.interp(np.minimum(at, 0.35), y_edge, right) - (overlap + side) * far_right
    down_left, down_right = np.column_stack([left_x, at]), np.column_stack([right_x, at])
    step = 0.0 if covers else 0.6  # short hair leaves ears and all below them free
    bottom = np.array([(right_x[-1] + step, at[-1] + 0.06), (right_x[-1] + step, 4.0),
                       (left_x[-1] - step, 4.0), (left_x[-1] - step, at[-1] + 0.06)])  # fmt: skip
    smooth = spline(np.concatenate([down_left[::-1], fringe, down_right]), steps=8)
    return np.concatenate([smooth, bottom])


def comb(head: Head, style: HairStyle, *, rng: np.random.Generator) -> Strands:
    """Return the strands: noise that is long along the fall of the hair and fine across it."""
    x, y = head.grid
    size = head.size_px
    crown_x = np.float32(style.part - 0.12 * np.sin(head.pose.yaw))
    fall = np.float32(1.5) * np.tanh((y + np.float32(1.66)) / np.float32(1.5))
    across = x - crown_x
    run, angle = cv2.cartToPolar(fall, across)
    angle = np.where(angle > np.pi, angle - np.float32(2 * np.pi), angle)
    length = cv2.magnitude(across, y + np.float32(1.66))
    swing = style.wave * np.sin(length * 7.0 + 2.0 * np.sin(angle * 3.0)) / np.maximum(run, 0.4)
    if style.kind == "curls":
        fine = noise(rng, (size, size), cells=2.6 / head.pose.scale * 4, octaves=2)
        return Strands(fine, noise(rng, (size, size), cells=11 / head.pose.scale), length)
    rows = np.clip((angle + swing.astype(np.float32) + np.float32(np.pi)) / np.float32(2 * np.pi), 0, 1) * np.float32(
        1023
    )
    columns = np.clip(length / 5.0, 0, 1) * np.float32(31)
    fine = rng.standard_normal((1024, 1), dtype=np.float32) + 0.5 * rng.standard_normal((1024, 32), dtype=np.float32)
    broad = cv2.GaussianBlur(rng.standard_normal((1024, 32), dtype=np.float32), (0, 0), sigmaX=3, sigmaY=9) * 7
    tone = cv2.remap(0.62 * fine + 0.75 * broad, columns, rows, cv2.INTER_LINEAR)
    tips = cv2.GaussianBlur(rng.standard_normal((1024, 1), dtype=np.float32), (1, 13), sigmaX=0.1, sigmaY=2.2) * 2.2
    jitter = cv2.remap(np.repeat(tips, 2, axis=1), np.zeros_like(rows), rows, cv2.INTER_LINEAR)
    return Strands(tone, jitter, length)


def _ragged(head: Head, cover_field: Field, *, strands: Strands, reach: float) -> Field:
    """Return a coverage whose border is moved along the strands by up to about `reach` head units."""
    size = head.size_px
    down = head.to_photo(np.array([[0.0, 0.0], [0.0, 1.0]]))
    axis = ((down[1] - down[0]) * reach).astype(np.float32)
    ticks = np.arange(size, dtype=np.float32)
    map_x = ticks[None, :] + strands.jitter * axis[0]
    map_y = ticks[:, None] + strands.jitter * axis[1]
    return cv2.remap(cover_field, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _colour(head: Head, style: HairStyle, *, strands: Strands, light: Light) -> Field:
    """Return the lit colour (S, S, 3) of the hair over the whole photo."""
    small = max(head.size_px // 2, 64)
    x, y = head.grid_of(small)
    step = head.size_px / small / head.unit_px
    height = cv2.sqrt(np.maximum(1.0 - (x / 1.45) ** 2 - ((np.minimum(y, 0.2) + 0.1) / 2.0) ** 2, 0.03)) * 1.3
    received, _ = illuminate(height / np.float32(step), light, wrap=0.25)
    received = cv2.resize(received, (head.size_px, head.size_px), interpolation=cv2.INTER_LINEAR)
    base = linear(style.colour)
    tone = np.clip(1.0 + 0.30 * strands.tone, 0.25, 2.4)[..., None]
    depth = 0.75 + 0.25 * np.clip(strands.run / 1.2, 0, 1)
    band = np.exp(-(((strands.run - 0.62 - 0.06 * strands.tone) / 0.20) ** 2))
    gleam = (0.5 + 0.5 * np.clip(strands.tone, -1, 2)) * band * (0.05 if style.kind == "curls" else 0.16)
    glow = np.clip(base * 1.4 + 0.10, 0, 1)
    return (base * 1.25 * tone * depth[..., None] + gleam[..., None] * glow) * received


def hair_layers(head: Head, style: HairStyle, *, light: Light, rng: np.random.Generator) -> HairLayers | None:
    """Return the hair's coverage behind and before the face and its colour, or None for a bald head."""
    if style.kind == "bald":
        return None
    size = head.size_px
    strands = comb(head, style, rng=rng)
    outer, opening = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    outlines = [head.to_photo(_outer(head, style))]
    if style.kind == "tied":
        outlines.append(head.to_photo(_bun(head, style)))
    patch = cover(outlines, size)
    outer[patch.window] = patch.alpha
    patch = cover(head.to_photo(_opening(head, style)), size)
    opening[patch.window] = patch.alpha
    reach = {"buzz": 0.012, "curls": 0.05, "tied": 0.012, "swept": 0.03}.get(style.kind, 0.05)
    edge = _ragged(head, outer, strands=strands, reach=min(reach, 0.03) if style.kind != "curls" else 0.06)
    before = edge * (1.0 - _ragged(head, opening, strands=strands, reach=reach))
    if style.kind == "buzz":
        before *= np.float32(0.82) + np.float32(0.12) * np.clip(strands.tone, -1, 1)
    return HairLayers(edge, before, _colour(head, style, strands=strands, light=light))


def _bun(head: Head, style: HairStyle) -> Points:
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.column_stack(
        [0.40 * np.cos(turn) - 0.2 * np.sin(head.pose.yaw), -1.72 - style.volume + 0.30 * np.sin(turn)]
    )


def paint_behind(canvas: Canvas, layers: HairLayers, *, style: HairStyle) -> None:
    """Paint the hair that falls behind neck and ears, in the shade."""
    if style.kind in COVERS_SIDES or style.kind == "curls":
        canvas.paint(canvas.everywhere(layers.behind), layers.colour * 0.42, part=PART_ID["hair"])
    else:
        lower = layers.behind.copy()
        canvas.paint(canvas.everywhere(lower), layers.colour * 0.55, part=PART_ID["hair"])


def paint_before(canvas: Canvas, layers: HairLayers) -> None:
    """Paint the hair before forehead, temples and ears, after its shadow on the skin."""
    canvas.paint(canvas.everywhere(layers.before), layers.colour, part=PART_ID["hair"])


def shadow_on_skin(layers: HairLayers, head: Head, *, light: Light) -> Patch:
    """Return where the hair in front throws its soft shadow."""
    shift = -np.asarray(light.direction[:2]) * 0.10 * head.unit_px
    matrix = np.array([[1, 0, shift[0]], [0, 1, max(shift[1], 0.02 * head.unit_px)]], np.float64)
    size = head.size_px
    moved = cv2.warpAffine(layers.before, matrix, (size, size))
    soft = cv2.GaussianBlur(moved, (0, 0), 0.06 * head.unit_px)
    return Patch((slice(0, size), slice(0, size)), soft * np.float32(0.75))
