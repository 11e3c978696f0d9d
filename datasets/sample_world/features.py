"""Eyes, brows, nose and mouth, drawn around the landmarks that are written to disk."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from common.labels import PART_ID
from datasets.sample_world.canvas import (
    Canvas,
    Field,
    Patch,
    Points,
    clip_to,
    cover,
    ellipse,
    linear,
    noise,
    ribbon,
    spline,
)
from datasets.sample_world.head import Head, brow_curve, eye_points
from datasets.sample_world.lighting import Light

IRIS_COLOURS = np.array(
    [
        (0.20, 0.12, 0.07),
        (0.32, 0.20, 0.11),
        (0.42, 0.33, 0.16),
        (0.33, 0.45, 0.33),
        (0.35, 0.50, 0.62),
        (0.48, 0.54, 0.58),
    ]
)


@dataclass(frozen=True)
class Makeup:
    """Colours of the features, linear RGB, and strengths 0..1."""

    iris: tuple[float, float, float] = (0.05, 0.02, 0.01)
    brow: tuple[float, float, float] = (0.03, 0.02, 0.01)
    brow_strength: float = 0.8
    lip: tuple[float, float, float] = (0.45, 0.12, 0.12)
    lip_gloss: float = 0.5
    lashes: float = 0.5
    eye_shadow: float = 0.0
    teeth: bool = True


def _lid(head: Head, side: int, *, rows: tuple[int, int, int, int], shift: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Return the smooth curve through four of an eye's points, in pixels of the photo."""
    front = spline(eye_points(head, side)[list(rows)] + np.array([0.0, shift[0]]), steps=6)
    front[:, 0] = side * head.shape.eye_x + (front[:, 0] - side * head.shape.eye_x) * (1 + shift[1])
    return head.on_face(front)


def eye_outline(head: Head, side: int) -> Points:
    """Return the closed outline of the open eye, (n, 2) pixels; `side` -1 is image-left."""
    return np.concatenate([_lid(head, side, rows=(0, 1, 2, 3)), _lid(head, side, rows=(3, 4, 5, 0))[1:-1]])


def paint_eyes(canvas: Canvas, head: Head, *, look: Makeup, light: Light) -> None:
    """Paint both eyes: ball, iris, pupil, reflection, lid shadow, lashes and crease."""
    for side, part in ((-1, "l_eye"), (1, "r_eye")):
        _paint_surroundings(canvas, head, look=look, side=side)
        opening = cover(eye_outline(head, side), canvas.size_px)
        bright = (np.asarray(light.key) * 0.50 + np.asarray(light.ambient) * 0.75).astype(np.float32)
        canvas.paint(opening, linear((0.90, 0.87, 0.85)) * bright, part=PART_ID[part])
        inside = np.zeros((canvas.size_px, canvas.size_px), np.float32)
        inside[opening.window] = opening.alpha
        _paint_iris(canvas, head, look=look, side=side, inside=inside, bright=bright)
        upper = _lid(head, side, rows=(0, 1, 2, 3), shift=(0.012, 0.0))
        shadow = cover(ribbon(upper, 0.07 * head.unit_px), canvas.size_px, blur_px=0.016 * head.unit_px)
        canvas.shade(clip_to(shadow, inside), (0.45, 0.42, 0.42))
        _paint_lashes(canvas, head, look=look, side=side)


def _paint_surroundings(canvas: Canvas, head: Head, *, look: Makeup, side: int) -> None:
    unit, size = head.unit_px, canvas.size_px
    crease = _lid(head, side, rows=(0, 1, 2, 3), shift=(-0.062, 0.06))
    taper = np.sin(np.linspace(0.25, np.pi - 0.2, len(crease))) * 0.030 * unit
    canvas.shade(cover(ribbon(crease, taper), size, blur_px=0.010 * unit), (0.62, 0.52, 0.50))
    if look.eye_shadow > 0:
        lid = _lid(head, side, rows=(0, 1, 2, 3), shift=(-0.035, 0.05))
        soft = cover(ribbon(lid, 0.10 * unit), size, blur_px=0.03 * unit)
        canvas.shade(Patch(soft.window, soft.alpha * look.eye_shadow), (0.45, 0.36, 0.42))
    bag = _lid(head, side, rows=(0, 5, 4, 3), shift=(0.045, 0.0))
    canvas.shade(cover(ribbon(bag, 0.02 * unit), size, blur_px=0.016 * unit), 0.86)


def _paint_iris(canvas: Canvas, head: Head, *, look: Makeup, side: int, inside: Field, bright: Field) -> None:
    shape, gaze = head.shape, head.expression.gaze
    radius = 0.098
    centre = np.array([[side * shape.eye_x + gaze[0] * shape.eye_width, -0.018 + 0.5 * gaze[1] * shape.eye_width]])
    middle = head.on_face(centre)[0]
    squash = float(np.cos(head.pose.yaw))
    radii = (radius * squash * head.unit_px, radius * head.unit_px)
    size, turn = canvas.size_px, head.pose.roll
    for share, colour in ((1.0, np.asarray(look.iris) * 0.35), (0.86, np.asarray(look.iris))):
        disc = cover(ellipse(middle, (radii[0] * share, radii[1] * share), angle=turn), size)
        canvas.paint(clip_to(disc, inside), (colour * bright * 1.6).astype(np.float32))
    glow = cover(
        ellipse(middle + np.array([0.0, 0.4 * radii[1]]), (0.55 * radii[0], 0.35 * radii[1])),
        size,
        blur_px=0.15 * radii[1] + 0.3,
    )
    canvas.paint(
        clip_to(Patch(glow.window, glow.alpha * 0.6), inside),
        (np.asarray(look.iris) * bright * 3.2).astype(np.float32),
    )
    pupil = cover(ellipse(middle, (0.42 * radii[0], 0.42 * radii[1]), angle=turn), size)
    canvas.paint(clip_to(pupil, inside), (0.004, 0.004, 0.005))
    for offset, share, strength in (((-0.34, -0.36), 0.23, 0.95), ((0.36, 0.34), 0.13, 0.35)):
        spot = cover(ellipse(middle + np.array(offset) * radii[1], (share * radii[1], share * radii[1])), size)
        canvas.paint(clip_to(Patch(spot.window, spot.alpha * strength), inside), (0.95, 0.95, 0.97))


def _paint_lashes(canvas: Canvas, head: Head, *, look: Makeup, side: int) -> None:
    unit = head.unit_px
    upper = _lid(head, side, rows=(0, 1, 2, 3), shift=(-0.008, 0.02))
    width = (0.018 + 0.030 * look.lashes) * unit * np.linspace(1.15, 0.35, len(upper))
    line = cover(ribbon(upper, width), canvas.size_px)
    canvas.paint(Patch(line.window, line.alpha * 0.92), (0.012, 0.009, 0.008))
    lower = _lid(head, side, rows=(0, 5, 4, 3), shift=(0.006, 0.0))
    rim = cover(ribbon(lower, 0.017 * unit), canvas.size_px, blur_px=0.004 * unit)
    canvas.paint(Patch(rim.window, rim.alpha * (0.35 + 0.3 * look.lashes)), (0.10, 0.05, 0.045))


def brow_outline(head: Head, side: int) -> Points:
    """Return the closed outline of a brow, (n, 2) pixels, thick towards the nose and pointed outside."""
    curve = head.on_face(spline(brow_curve(head, side), steps=8), lift=0.06)
    along = np.linspace(0.0, 1.0, len(curve))
    width = head.shape.brow_thickness * head.unit_px * (0.28 + 1.1 * along**0.6 - 0.38 * along**4)
    return ribbon(curve, width)


def paint_brows(canvas: Canvas, head: Head, *, look: Makeup, rng: np.random.Generator) -> None:
    """Paint both brows as strands over the skin."""
    size = canvas.size_px
    for side, part in ((-1, "l_brow"), (1, "r_brow")):
        patch = cover(brow_outline(head, side), size)
        canvas.label[patch.window][patch.alpha >= 0.5] = PART_ID[part]
        soft = cover(brow_outline(head, side), size, blur_px=0.012 * head.unit_px)
        strands = cv2.GaussianBlur(
            rng.standard_normal(soft.alpha.shape, dtype=np.float32),
            (0, 0),
            sigmaX=max(0.012 * head.unit_px, 0.5),
            sigmaY=0.6,
        )
        strands /= max(float(strands.std()), 1e-6)
        alpha = np.clip(soft.alpha * look.brow_strength * (1.0 + 0.15 * strands), 0.0, 1.0)
        canvas.paint(Patch(soft.window, alpha), look.brow)


def nose_outline(head: Head) -> Points:
    """Return the closed outline of the nose as the data set draws it, bridge to base, (n, 2) pixels."""
    shape = head.shape
    tip, wing, base = shape.nose_length, shape.nose_width, shape.nose_length + 0.17
    half = np.array(
        [(0.105, 0.02), (0.115, 0.18), (0.14, 0.34), (wing * 0.86, tip - 0.06), (wing * 1.06, tip + 0.06),
         (wing * 1.0, base - 0.04), (wing * 0.62, base + 0.015), (wing * 0.25, base + 0.03)]
    )  # fmt: skip
    lift = np.array([0.04, 0.07, 0.10, 0.10, 0.07, 0.06, 0.12, 0.17])
    right = head.on_face(half, lift=lift)
    left = head.on_face(half * np.array([-1.0, 1.0]), lift=lift)
    outline = np.concatenate([spline(left, steps=6), spline(right[::-1], steps=6)])
    tip_px = head.landmarks[30]
    inside = cv2.pointPolygonTest(outline.astype(np.float32)[:, None], (float(tip_px[0]), float(tip_px[1])), True)
    if inside > 0.03 * head.unit_px:
        return outline
    # On a turned head the tip stands out over the far wing.
    around_tip = ellipse(tip_px, (0.05 * head.unit_px, 0.05 * head.unit_px), samples=16)
    return cv2.convexHull(np.concatenate([outline, around_tip]).astype(np.float32))[:, 0].astype(np.float64)


def paint_nose(canvas: Canvas, head: Head, *, light: Light) -> None:
    """Paint what the relief of the skin leaves out: nostrils, wings, the shadow that the nose throws."""
    size, unit, shape = canvas.size_px, head.unit_px, head.shape
    base = shape.nose_length + 0.17
    away = -np.asarray(light.direction[:2])
    thrown = (
        head.on_face(np.array([(0.0, base + 0.02)]), lift=0.08)[0]
        + np.array([0.34 * away[0], 0.10 + 0.10 * max(away[1], 0)]) * unit
    )
    under = cover(ellipse(thrown, (0.22 * unit, 0.075 * unit), angle=head.pose.roll), size, blur_px=0.05 * unit)
    canvas.shade(Patch(under.window, under.alpha * 0.75), (0.72, 0.58, 0.56))
    nose = cover(nose_outline(head), size)
    canvas.label[nose.window][nose.alpha >= 0.5] = PART_ID["nose"]
    for side in (-1.0, 1.0):
        hole = head.on_face(np.array([(side * shape.nose_width * 0.46, base - 0.015)]), lift=0.12)[0]
        nostril = ellipse(
            hole, (0.062 * unit * np.cos(head.pose.yaw), 0.026 * unit), angle=head.pose.roll + side * -0.35
        )
        canvas.shade(cover(nostril, size, blur_px=0.012 * unit), (0.30, 0.20, 0.19))
        wing = spline(
            np.array([(0.98, base - 0.19), (1.10, base - 0.10), (1.0, base - 0.02), (0.72, base + 0.005)]),
            steps=6,
        )
        curve = head.on_face(wing * np.array([side * shape.nose_width, 1.0]), lift=0.05)
        taper = 0.028 * unit * np.sin(np.linspace(0.3, np.pi - 0.2, len(curve)))
        canvas.shade(cover(ribbon(curve, taper), size, blur_px=0.014 * unit), (0.70, 0.55, 0.53))


def _lip_outlines(head: Head) -> tuple[Points, Points, Points]:
    """Return the outlines of upper lip, lower lip and the opening between them, each (n, 2) pixels."""
    points = head.landmarks[48:68]
    upper, lower = spline(points[0:7], steps=6), spline(points[[6, 7, 8, 9, 10, 11, 0]], steps=6)
    inner_top, inner_low = spline(points[12:17], steps=6), spline(points[[16, 17, 18, 19, 12]], steps=6)
    return (
        np.concatenate([upper, inner_top[::-1]]),
        np.concatenate([lower, inner_low[::-1]]),
        np.concatenate([inner_top, inner_low[1:-1]]),
    )


def paint_mouth(
    canvas: Canvas, head: Head, *, look: Makeup, light: Light, skin: Field, rng: np.random.Generator
) -> None:
    """Paint the opening with teeth and tongue, then both lips, shaded like the lit `skin` (S, S, 3) below them."""
    size, unit = canvas.size_px, head.unit_px
    upper, lower, opening = _lip_outlines(head)
    if head.expression.mouth_open > 0.015:
        _paint_opening(canvas, head, look=look, light=light, opening=opening)
    brightness = cv2.cvtColor(skin, cv2.COLOR_RGB2GRAY)[..., None]
    level = float(np.median(brightness[cover(lower, size).window])) + 1e-3
    creases = 1.0 + 0.05 * noise(rng, (size, size), cells=90)[..., None]
    tone = np.asarray(look.lip, np.float32) * np.clip(brightness / level, 0.3, 1.8) * creases
    tone *= np.asarray(light.key, np.float32) * 0.55 + np.asarray(light.ambient, np.float32)
    canvas.paint(cover(upper, size), tone * 0.74, part=PART_ID["u_lip"])
    canvas.paint(cover(lower, size), tone, part=PART_ID["l_lip"])
    line = spline(head.landmarks[60:65], steps=6)
    canvas.shade(cover(ribbon(line, 0.022 * unit), size, blur_px=0.008 * unit), (0.38, 0.28, 0.28))
    middle = head.landmarks[[57, 66]].mean(axis=0) + np.array([light.direction[0] * 0.06 * unit, 0.0])
    gleam = cover(ellipse(middle, (0.13 * unit, 0.026 * unit), angle=head.pose.roll), size, blur_px=0.018 * unit)
    canvas.paint(Patch(gleam.window, gleam.alpha * 0.34 * look.lip_gloss), (0.95, 0.85, 0.83))
    shadow = head.landmarks[57] + np.array([0.0, 0.05 * unit])
    canvas.shade(
        cover(ellipse(shadow, (0.17 * unit, 0.035 * unit), angle=head.pose.roll), size, blur_px=0.03 * unit),
        (0.80, 0.70, 0.68),
    )


def _paint_opening(canvas: Canvas, head: Head, *, look: Makeup, light: Light, opening: Points) -> None:
    size, unit = canvas.size_px, head.unit_px
    bright = np.asarray(light.key, np.float32) * 0.5 + np.asarray(light.ambient, np.float32) * 0.8
    gap = cover(opening, size)
    canvas.paint(gap, np.array((0.07, 0.018, 0.018), np.float32) * bright, part=PART_ID["mouth"])
    inside = np.zeros((size, size), np.float32)
    inside[gap.window] = gap.alpha
    points, down = head.landmarks, head.to_photo(np.array([[0.0, 0.0], [0.0, 1.0]]))
    axis = (down[1] - down[0]) / unit
    tongue = cover(
        ellipse(points[66] - axis * 0.01 * unit, (0.17 * unit, 0.10 * unit), angle=head.pose.roll),
        size,
        blur_px=0.02 * unit,
    )
    canvas.paint(clip_to(tongue, inside), np.array((0.42, 0.11, 0.11), np.float32) * bright)
    if look.teeth:
        arc = spline(points[60:65], steps=8)
        deep = (0.035 + min(0.11, 0.75 * head.expression.mouth_open)) * unit
        row = np.concatenate(
            [arc, (arc + axis * deep * np.sin(np.linspace(0.5, np.pi - 0.5, len(arc)))[:, None])[::-1]]
        )
        teeth = clip_to(cover(row, size), inside)
        canvas.paint(teeth, linear((0.93, 0.90, 0.85)) * bright)
        for share in np.linspace(0.12, 0.88, 8):
            top = arc[int(share * (len(arc) - 1))]
            seam = ribbon(np.stack([top, top + axis * deep * 1.1]), 0.012 * unit)
            canvas.shade(clip_to(cover(seam, size), inside), 0.86)
    edge = cover(ribbon(spline(points[60:65], steps=8), 0.05 * unit), size, blur_px=0.02 * unit)
    canvas.shade(clip_to(edge, inside), 0.45)
