"""Cut-outs from photos on a white background, made for hands: 11k Hands and one's own.

A shadow on white takes light from all colours alike; skin takes blue more than green, and green more than red. So the
photo is compared with its background in logarithms: the mean over the colours tells how dark a pixel is, the rest how
coloured, and the second decides. GrabCut then draws the outline along edges of the same two.

Source: Rother, Kolmogorov and Blake, "GrabCut", 2004, for the outline; the thresholds were set by eye on photos of
11k Hands.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError
from occlusion_gen.occluders.rgba import cut_to_box, spread_colours

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

WORK_SIDE_PX = 640  # the outline is found at this size, its soft edge at the photo's own
GAMMA = 2.2
COLOURED = 0.08  # chroma of the log ratio; greys of a white background stay below
SKIN_RATIO, SHADOW_RATIO = 0.65, 0.45  # of colour to darkness, relative to the hand's
PALEST, PALEST_DARKNESS = 0.25, 0.18  # weaker is the glow that a hand throws on paper; relative to the hand's, and not
BLACK_DARKNESS = 1.8  # dark sleeves and nails have no colour
LEAST_SHARE, MOST_SHARE = 0.02, 0.85  # of the photo
BORDER_SHARE = 0.05  # a border is touched when the cut-out covers more of it
MOST_BORDERS = 2  # an arm comes in by one, or by a corner
PIECE_SHARE = 0.2  # pieces smaller than this share of the largest are dirt
HOLE_SHARE = 0.01  # of the photo; larger holes are seen through
EDGE_PX = 2  # to each side of the outline, at the size it was found at


class Difference(NamedTuple):
    """How a photo differs from its background.

    Attributes:
        darkness: (H, W) float32, mean over the colours of log(background / photo) in linear light.
        tint: (H, W, 3) float32, what the single colours add to that.
        chroma: (H, W) float32, length of `tint`.
    """

    darkness: Floats
    tint: Floats
    chroma: Floats


def cut_out(photo: Image8, *, name: str, tight: bool = False) -> Image8:
    """Return the hand in `photo` as RGBA (h, w, 4) uint8, cut to its box, with a soft edge and no white rim.

    Args:
        photo: (H, W, 3) uint8 RGB, on a background that is white or nearly so; soft shadows are left behind.
        name: of the file, for messages.
        tight: the photo is cut to the hand's box already, so it may touch every border.

    Raises:
        RecordError: outcome "background_not_white", "nothing_found", "implausible_area" or "touches_borders".
    """
    mask = foreground_mask(photo, name=name)
    _check(mask, name=name, tight=tight)
    edge_px = max(EDGE_PX, round(EDGE_PX * max(mask.shape) / WORK_SIDE_PX))
    around = _box_around(mask, margin_px=4 * edge_px)
    rgba = cut_to_box(with_soft_edge(photo[around], mask[around], edge_px=edge_px))
    assert rgba is not None
    return rgba


def foreground_mask(photo: Image8, *, name: str) -> Mask:
    """Return where `photo` (H, W, 3) uint8 RGB shows something else than its white background, (H, W) bool.

    Raises:
        RecordError: outcome "background_not_white" or "nothing_found".
    """
    height, width = photo.shape[:2]
    ratio = min(1.0, WORK_SIDE_PX / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if ratio < 1 else photo
    light = cv2.GaussianBlur(small, (0, 0), 1.0).astype(np.float32) / 255
    difference = _difference(light, _background(light, name))
    coloured = difference.chroma > COLOURED
    if coloured.mean() < LEAST_SHARE / 2:
        raise RecordError(
            f"{name}: nothing in it differs from the background in colour; expected a hand on white",
            outcome="nothing_found",
        )
    mask = _tidy(_outline(difference, coloured))
    if ratio == 1:
        return mask
    return cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5


def with_soft_edge(photo: Image8, mask: Mask, *, edge_px: int = EDGE_PX) -> Image8:
    """Return `photo` (H, W, 3) uint8 as RGBA with an edge of a pixel or two, free of the background's colour.

    Along the edge each pixel is taken for a mixture of the colours inside and outside near it: its share of the
    inside is alpha, and the inside's colour takes its place.

    Args:
        mask: (H, W) bool.
        edge_px: how far from the mask's outline, to each side, the true edge may reach.
    """
    kernel = _disc(edge_px)
    inside = cv2.erode(mask.astype(np.uint8), kernel, borderValue=1) > 0
    outside = cv2.dilate(mask.astype(np.uint8), kernel) == 0
    if not inside.any() or not outside.any():
        return np.dstack([photo, mask.astype(np.uint8) * np.uint8(255)])
    front, back = spread_colours(photo, inside), spread_colours(photo, outside)
    contrast = front.astype(np.float32) - back
    mixed = ((photo - back.astype(np.float32)) * contrast).sum(axis=2) / np.maximum((contrast**2).sum(axis=2), 1)
    # Where both sides look alike the mixture says nothing; the outline does.
    plain = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), edge_px / 2)
    trust = np.clip(np.linalg.norm(contrast, axis=2) / 40 - 0.5, 0, 1)
    alpha = trust * np.clip(mixed, 0, 1) + (1 - trust) * plain
    alpha = cv2.GaussianBlur(np.where(inside, 1, np.where(outside, 0, alpha)).astype(np.float32), (3, 3), 0.6)
    colour = np.where(inside[..., None], photo, front)
    return np.dstack([colour, np.rint(255 * np.clip(alpha, 0, 1)).astype(np.uint8)])


def _background(light: Floats, name: str) -> Floats:
    """Return the background (H, W, 3) in 0..1 as if nothing stood before it: a quadratic surface per colour.

    Bright pixels without colour are fitted; those below the surface, in shadow, are dropped and the rest fitted again.
    """
    height, width = light.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    colours = light.reshape(-1, 3)
    bright, spread = light.max(axis=2).ravel(), np.ptp(light, axis=2).ravel()
    usable = (spread < 0.12) & (bright > max(0.5, 0.9 * float(np.quantile(bright, 0.6))))
    if usable.mean() < 0.05:
        raise RecordError(
            f"{name}: no white background ({usable.mean():.0%} of the photo is bright and without colour); cut it out "
            "by hand, or take the photo on white paper",
            outcome="background_not_white",
        )
    kept = usable
    for _ in range(5):
        some = np.flatnonzero(kept)
        some = some[:: max(1, some.size // 20_000)]
        surface = terms @ np.linalg.lstsq(terms[some], colours[some], rcond=None)[0]
        above = (colours - surface).mean(axis=1)
        kept = usable & (above > -1.5 * (1.48 * np.median(np.abs(above[kept])) + 0.005))
    return np.clip(surface, 0.5, 1.05).reshape(light.shape).astype(np.float32)


def _difference(light: Floats, background: Floats) -> Difference:
    loss = GAMMA * np.log(background / np.maximum(light, 0.06))
    darkness = loss.mean(axis=2)
    tint = loss - darkness[..., None]
    return Difference(darkness, tint, np.linalg.norm(tint, axis=2))


def _outline(difference: Difference, coloured: Mask) -> Mask:
    """Return the foreground (H, W) bool: by thresholds relative to the hand's own colour, then GrabCut."""
    darkness, tint, chroma = difference
    typical = float(np.median(chroma[coloured & (chroma > np.median(chroma))]))
    strong = chroma > 0.55 * typical
    # Over a hand, nails and bright palms included, colour and darkness go together; in a shadow colour lags behind.
    ratio = chroma / np.maximum(darkness, 0.05)
    typical_ratio = float(np.median(ratio[strong]))
    skin = (ratio > SKIN_RATIO * typical_ratio) & (chroma > PALEST * typical) & (darkness > PALEST_DARKNESS)
    skin |= strong & (ratio > SHADOW_RATIO * typical_ratio)
    mask = skin | (chroma > 0.8 * typical) | (darkness > BLACK_DARKNESS)
    mask = _tidy(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0)
    side = max(mask.shape)
    core = cv2.erode(mask.astype(np.uint8), _disc(round(0.008 * side)), borderValue=1) > 0
    near = cv2.dilate(mask.astype(np.uint8), _disc(round(0.012 * side))) > 0
    shadow = (ratio < SHADOW_RATIO * typical_ratio) & ~strong & (darkness < 1.3) & ~core
    blank = (darkness < 0.05) & (chroma < 0.05)
    trimap = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[core & strong] = cv2.GC_FGD
    trimap[~near | shadow | blank] = cv2.GC_BGD
    if not (trimap == cv2.GC_BGD).any() or not (trimap == cv2.GC_FGD).any():
        return mask
    # Darkness is held small: it is what a shadow and skin have in common.
    picture = np.dstack([tint[..., 0] / typical * 90 + 128, tint[..., 2] / typical * 90 + 128, darkness * 14])
    picture = np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))
    cv2.setRNGSeed(0)  # the clusters of GrabCut are drawn
    cv2.grabCut(picture, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    return (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)


def _tidy(mask: Mask) -> Mask:
    """Return the large pieces of `mask` with their small holes filled."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    kept = np.flatnonzero(areas >= max(1, PIECE_SHARE * areas.max()))
    pieces = np.isin(labels, kept)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats((~pieces).astype(np.uint8), connectivity=4)
    left, top, width, height, area = statistics.T
    touches = (left == 0) | (top == 0) | (left + width == mask.shape[1]) | (top + height == mask.shape[0])
    holes = np.flatnonzero(~touches & (area < HOLE_SHARE * mask.size))
    return pieces | np.isin(labels, holes[holes > 0])


def _check(mask: Mask, *, name: str, tight: bool) -> None:
    share = float(mask.mean())
    if not LEAST_SHARE <= share <= (1 if tight else MOST_SHARE):
        raise RecordError(
            f"{name}: the cut-out would cover {share:.0%} of the photo, expected {LEAST_SHARE:.0%} to "
            f"{MOST_SHARE:.0%}; cut it out by hand, or leave it out",
            outcome="implausible_area" if mask.any() else "nothing_found",
        )
    borders = sum(bool(edge.mean() > BORDER_SHARE) for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    if borders > MOST_BORDERS and not tight:
        raise RecordError(
            f"{name}: the cut-out touches {borders} borders of the photo, so the background was not told from it, or "
            "the photo is cut too close (--tight)",
            outcome="touches_borders",
        )


def _box_around(mask: Mask, *, margin_px: int) -> tuple[slice, slice]:
    """Return rows and columns of the box of `mask`, wider by the margin where the photo is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.s_[
        max(0, rows[0] - margin_px) : rows[-1] + margin_px + 1,
        max(0, columns[0] - margin_px) : columns[-1] + margin_px + 1,
    ]


def _disc(radius_px: int) -> Image8:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, radius_px) + 1,) * 2)
