"""Light of a face, told from its skin, and an occluder shaded and tinted by a fraction of it.

All changes are factors on the colours: black stays black, whatever the face looks like.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import PART_ID
from occlusion_gen.face import Face, Image8, Patch

Colours = NDArray[np.float32]

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
DARK = 8.0  # added to luminances before the logarithm: noise in the dark must not count as light
GRID = 20  # pixels of the samples along each side
LEAST_SKIN = 16  # pixels of the sample
OPAQUE = 127
FIT_ROUNDS = 2
MAX_SLOPE = 0.6
MAX_EXPOSURE = 0.5
MAX_CAST = 0.25
SHADING_GRID = 8
LEAST_SHADING = 0.01  # less than a grey level or two
CONTRAST_BOUNDS = (0.8, 1.25)
TYPICAL_CAST = np.array([0.12, -0.05, -0.12], np.float32)  # mean over 180 photos of CelebAMask-HQ
# Everything is measured on the same even grid, so that the plane's terms need not be computed for each face.
_STEPS = ((np.arange(GRID, dtype=np.float32) + 0.5) * (2 / GRID) - 1).astype(np.float32)
_PLANE = np.stack([np.ones(GRID**2, np.float32), np.tile(_STEPS, GRID), np.repeat(_STEPS, GRID)], axis=1)  # (n, 3)
_PLANE_SQUARED = (_PLANE[:, :, None] * _PLANE[:, None, :]).reshape(-1, 9)
_SLOPES_ONLY = np.diag(np.array([0, 1, 1], np.float32))
_CELLS = (np.arange(SHADING_GRID) + 0.5) / SHADING_GRID
GREY_PHOTO = 6.0  # mean difference of the largest and the smallest channel, below which a photo is taken for grey


class Light(NamedTuple):
    """A plane through the log luminance of a face.

    Attributes:
        centre: (x, y) of the face's box in pixels.
        half: half the box's (width, height) in pixels.
        level: log luminance at the centre.
        slope: change of log luminance over half the box to the right, and down.
        contrast: standard deviation of log luminance about the plane.
        chroma: (3,) log of mean R, G, B over luminance, of the same pixels.
    """

    centre: tuple[float, float]
    half: tuple[float, float]
    level: float
    slope: tuple[float, float]
    contrast: float
    chroma: Colours


def estimate_light(face: Face) -> Light | None:
    """Return the light on the visible skin, None where nothing of the face is visible.

    A plane only: the curved terms of a face are mostly its own shape. Brows, eyes, beard and highlights do not follow
    the plane and are left out of the fit in rounds.
    """
    if face.box is None:
        return None
    x, y, width, height = face.box
    box = slice(y, y + height), slice(x, x + width)
    visible = _on_grid(face.visible[box].view(np.uint8))
    skin = visible & (_on_grid(face.label[box]) == PART_ID["skin"])
    counts = (skin if np.count_nonzero(skin) >= LEAST_SKIN else visible).ravel().astype(np.float32)
    if not counts.any():
        return None  # a tiny face between the samples
    colours = _on_grid(face.image[box]).reshape(-1, 3).astype(np.float32)
    values = np.log(colours @ LUMINANCE + np.float32(DARK))
    fitted, kept = _fit_robustly(values, counts)
    slope_x, slope_y = (min(max(value, -MAX_SLOPE), MAX_SLOPE) for value in fitted[1:].tolist())
    half = width / 2, height / 2
    return Light(
        centre=(x + half[0], y + half[1]),
        half=half,
        level=float(fitted[0]),
        slope=(slope_x, slope_y),
        contrast=_deviation(values - _PLANE @ fitted, kept),
        chroma=_chroma(_mean(colours, kept)),
    )


def _on_grid(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (GRID, GRID) or (GRID, GRID, C) evenly spread pixels of an image, in the order of `_PLANE`."""
    return cv2.resize(image, (GRID, GRID), interpolation=cv2.INTER_NEAREST_EXACT)


def _fit_robustly(values: Colours, counts: Colours) -> tuple[Colours, Colours]:
    """Return coefficients (3,) of the plane through values on the grid, and the weights (n,) that it was fitted with.

    Args:
        values: (n,) log luminances.
        counts: (n,) 1 where a value counts, else 0; outliers come back as 0.
    """
    # A little ridge on the slopes keeps faces of a few pixels flat.
    ridge = _SLOPES_ONLY * np.float32(0.01 * counts.sum() + 1)
    kept = counts
    for _ in range(FIT_ROUNDS):
        normal = (kept @ _PLANE_SQUARED).reshape(3, 3) + ridge
        _, fitted = cv2.solve(normal, ((kept * values) @ _PLANE)[:, None], flags=cv2.DECOMP_CHOLESKY)
        residual = np.abs(values - _PLANE @ fitted[:, 0])
        kept = counts * (residual <= max(1.7 * float(_mean(residual, counts)), 0.02))
    return fitted[:, 0], kept


def _chroma(mean: Colours) -> Colours:
    """Return log R, G, B over luminance of a mean colour (3,)."""
    mean = mean + np.float32(DARK)
    return np.log(mean / (mean @ LUMINANCE))


def _mean(values: Colours, weights: Colours) -> Colours:
    """Return the weighted mean of values (n,) or (n, C) along the first axis."""
    return weights @ values / weights.sum()


def _deviation(values: Colours, weights: Colours) -> float:
    """Return the weighted standard deviation of values (n,)."""
    centred = values - _mean(values, weights)
    return math.sqrt(float(_mean(centred * centred, weights)))


def relight(
    patch: Patch, light: Light, *, shading: float, exposure: float, contrast: float, tint: float, cast: Colours | None
) -> Patch:
    """Return the patch under a fraction of the light of the face; black stays black.

    Args:
        shading: share of the face's change of light across the occluder, 0..1.
        exposure: share of the difference of mean log luminance, face minus occluder, 0..1.
        contrast: share of the ratio of contrasts, face over occluder, 0..1.
        tint: share of the cast, 0..1.
        cast: (3,) log chroma of the photo's cast; None: the occluder is skin, and its chroma is compared with the
            face's.
    """
    colours, counts = _opaque_sample(patch)
    if not counts.any():
        return patch
    values = np.log(colours @ LUMINANCE + np.float32(DARK))
    level = min(max(exposure * (light.level - float(_mean(values, counts))), -MAX_EXPOSURE), MAX_EXPOSURE)
    mean = _mean(colours, counts)
    if cast is None:
        cast = light.chroma - _chroma(mean)
    cast = np.minimum(np.maximum(np.float32(tint) * cast, -MAX_CAST), MAX_CAST)
    cast = cast - cast @ LUMINANCE
    power = 1.0
    if contrast > 0:
        ratio = ((light.contrast + 0.02) / (_deviation(values, counts) + 0.02)) ** contrast
        power = min(max(ratio, CONTRAST_BOUNDS[0]), CONTRAST_BOUNDS[1])
    gain = np.exp(np.float32(level) + cast)
    if power == 1:
        colour = cv2.transform(patch.colour, np.diag(gain))
    else:
        # Channel by channel: a table of three channels takes OpenCV twice as long.
        tables = _tones(mean, power, gain)
        colour = cv2.merge([cv2.LUT(*pair) for pair in zip(cv2.split(patch.colour), tables, strict=True)])
    return patch._replace(colour=_shade(colour, np.exp(_shading(light, patch, shading))))


def _tones(mean: Colours, power: float, gain: Colours) -> Image8:
    """Return a table a channel (3, 256): black stays, ratios to a channel's mean are raised to `power`, then `gain`."""
    values: Colours = np.arange(256, dtype=np.float32)[:, None]
    raised = mean * (values / np.maximum(mean, 1)) ** np.float32(power)
    return np.ascontiguousarray(np.rint(np.minimum(raised * gain, 255)).astype(np.uint8).T)


def _shade(colour: Image8, gains: Colours) -> Image8:
    """Return `colour` (h, w, 3) times a coarse field of gains, which 8 bits are fine enough for."""
    largest = float(gains.max())
    if largest - float(gains.min()) < LEAST_SHADING:
        return colour
    field = np.rint(gains * (255 / largest)).astype(np.uint8)
    field = cv2.resize(field, (colour.shape[1], colour.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(colour, cv2.merge([field] * 3), scale=largest / 255)


def is_grey(photo: Image8) -> bool:
    """Return whether a photo has no colours."""
    red, green, blue = cv2.split(_on_grid(photo))
    spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return cv2.mean(spread)[0] < GREY_PHOTO


def without_colours(colour: Image8) -> Image8:
    """Return `colour` (h, w, 3) in shades of grey."""
    return cv2.cvtColor(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _shading(light: Light, patch: Patch, strength: float) -> Colours:
    """Return the log gain over a coarse grid of the patch, 0 in the middle of its opaque part."""
    height, width = patch.alpha.shape
    x = patch.columns.start + _CELLS * width
    y = patch.rows.start + _CELLS * height
    # Levels off outside the face, where nobody measured.
    across = (strength * light.slope[0]) * np.tanh((x - light.centre[0]) / light.half[0])
    down = (strength * light.slope[1]) * np.tanh((y - light.centre[1]) / light.half[1])
    weights = cv2.resize(patch.alpha, (SHADING_GRID, SHADING_GRID), interpolation=cv2.INTER_LINEAR).astype(np.float64)
    middle = (weights.sum(axis=0) @ across + weights.sum(axis=1) @ down) / max(float(weights.sum()), 1.0)
    return (across + (down - middle)[:, None]).astype(np.float32)


def photo_cast(image: Image8) -> Colours:
    """Return the cast of a photo of a face as (3,) log chroma, near 0 for light as most photos have it.

    Skin makes all of them warm, whatever the light: only what differs from their mean counts.

    Source: Finlayson and Trezzi, "Shades of gray and colour constancy", 2004, with the norm of order 6.
    """
    values = _on_grid(image).reshape(-1, 3).astype(np.float32)
    squares = values * values
    sixth = (squares * squares * squares).sum(axis=0) / np.float32(len(values))
    return _chroma(sixth ** np.float32(1 / 6)) - TYPICAL_CAST


def _opaque_sample(patch: Patch) -> tuple[Colours, Colours]:
    """Return colours (n, 3) of some hundred evenly spread pixels, and weights (n,): 1 where they are opaque, else 0."""
    counts = _on_grid(patch.alpha).ravel() > OPAQUE
    if counts.any():
        return _on_grid(patch.colour).reshape(-1, 3).astype(np.float32), counts.astype(np.float32)
    counts = patch.alpha.ravel() > OPAQUE
    return patch.colour.reshape(-1, 3).astype(np.float32), counts.astype(np.float32)
