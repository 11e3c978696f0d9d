"""Sharpness and noise of a photo, and an occluder made as soft and as noisy.

The camera saw face and occluder through the same lens: an occluder that is sharper or cleaner than the photo around it
gives itself away.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.blending.smooth import smooth
from occlusion_gen.face import Face, Image8, Mask, Patch

LEAST_WINDOW_PX = 80  # at the photo's own resolution, since both are lost by shrinking
WINDOW_SHARE = 0.4  # of the longer side, for large ones
REBLUR_PX = 1.5
EDGE_SHARE = 0.02
WEAKEST_EDGE = 5.0  # grey levels a pixel; below, nothing tells how sharp the picture is
SHARP_PX = 0.8  # of an occluder without edges
MAX_NOISE = 12.0
LEAST_NOISE = 0.5
NOISE_TILE_PX = 256
_RIM = np.ones((5, 5), np.uint8)
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


Window = tuple[NDArray[np.float32], Mask]  # grey levels (h, w), and which of them count


def edge_blur(grey: NDArray[np.float32], inside: Mask) -> float | None:
    """Return the blur of the strongest edges as the sigma of a Gaussian in pixels, None where there is no edge.

    Blurred once more by a known amount, sharp edges lose much of their slope and soft ones little.

    Args:
        grey: (h, w) float32.
        inside: (h, w) bool, where to look.

    Source: Zhuo and Sim, "Defocus map estimation from a single image", 2011.
    """
    slope = _slope(grey)
    values = slope[inside]
    count = int(len(values) * EDGE_SHARE)
    if count < 4:
        return None
    weakest = np.partition(values, -count)[-count]
    if weakest < WEAKEST_EDGE:
        return None
    edges = inside & (slope >= weakest)
    ratio = slope[edges] / np.maximum(_slope(smooth(grey, REBLUR_PX))[edges], 1e-3)
    return REBLUR_PX / math.sqrt(max(_median(ratio) ** 2 - 1, 0.02))


def _slope(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.125)
    return cv2.magnitude(across, down)


def noise_level(grey: NDArray[np.float32], inside: Mask) -> float:
    """Return the standard deviation of the noise in grey levels, 0 where `inside` is empty.

    Source: Immerkaer, "Fast noise variance estimation", 1996, with the median in place of the mean, which edges move.
    """
    inside = inside[1:-1:2, 1:-1:2]
    values = np.abs(cv2.filter2D(grey, -1, _IMMERKAER)[1:-1:2, 1:-1:2][inside])
    return _median(values) / (6 * 0.6745) if values.size else 0.0


def _median(values: NDArray[Any]) -> float:
    """Return the upper median, at a third of the time that NumPy's takes for a few thousand values."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def face_window(face: Face) -> Window:
    """Return grey levels (h, w) and visible pixels of a window around the eyes and the nose; empty without a face."""
    if face.box is None:
        return np.zeros((0, 0), np.float32), np.zeros((0, 0), bool)
    x, y, width, height = face.box
    rows, columns = _middle(y, height, at=0.4), _middle(x, width, at=0.5)
    return _grey(face.image[rows, columns]), face.visible[rows, columns]


def patch_window(patch: Patch) -> Window:
    """Return grey levels (h, w) and inner pixels of a window in the middle of an occluder."""
    moments = cv2.moments(np.ascontiguousarray(patch.alpha[::4, ::4]))
    mass = max(moments["m00"], 1.0)
    half = _window_px(max(patch.alpha.shape)) // 2
    rows, columns = (
        slice(max(0, middle - half), min(side, middle + half))
        for middle, side in zip(
            (round(4 * moments["m01"] / mass), round(4 * moments["m10"] / mass)), patch.alpha.shape, strict=True
        )
    )
    # Near the rim colours are extended ones, which are smooth by construction.
    inner = cv2.erode(patch.alpha[rows, columns], _RIM) > 250
    return _grey(patch.colour[rows, columns]), inner


def _window_px(length: int) -> int:
    return max(LEAST_WINDOW_PX, int(WINDOW_SHARE * length))


def _middle(start: int, length: int, *, at: float) -> slice:
    taken = min(length, _window_px(length))
    first = start + min(max(round(at * length - taken / 2), 0), length - taken)
    return slice(first, first + taken)


def _grey(colour: Image8) -> NDArray[np.float32]:
    return cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_RGB2GRAY).astype(np.float32)


def missing_blur(photo: float, own: float | None) -> float:
    """Return the sigma in pixels by which an occluder has to be blurred to be as soft as the photo, 0 for not.

    Args:
        photo: `edge_blur` of the photo.
        own: that of the occluder, None where it has no edges.
    """
    return math.sqrt(max(0.0, photo**2 - (SHARP_PX if own is None else own) ** 2))


def missing_noise(photo: float, own: float, *, blurred_px: float) -> float:
    """Return the standard deviation of the noise that an occluder lacks, in grey levels, 0 for none.

    Args:
        photo: `noise_level` of the photo.
        own: that of the occluder before it was blurred.
        blurred_px: sigma of a Gaussian that it was blurred with since, 0 for none.
    """
    left = own / max(1.0, 2 * math.sqrt(math.pi) * blurred_px)  # of white noise under a Gaussian
    return min(MAX_NOISE, math.sqrt(max(0.0, photo**2 - left**2)))


@functools.lru_cache(maxsize=1)
def _noise_field() -> NDArray[np.float32]:
    """Return standard normal noise, twice as wide and high as a tile, so that a tile may begin anywhere."""
    return np.random.default_rng(0).standard_normal((2 * NOISE_TILE_PX, 2 * NOISE_TILE_PX), np.float32)


def add_noise(colour: Image8, *, sigma: float, seed: int) -> Image8:
    """Return `colour` with Gaussian noise, the same in all channels, as cameras leave little noise of colour.

    The noise is a window, at a place that the seed says, of a field that was drawn once, and repeats every
    `NOISE_TILE_PX` pixels, which nobody sees at these levels.
    """
    height, width = colour.shape[:2]
    sides = min(height, NOISE_TILE_PX), min(width, NOISE_TILE_PX)
    row, column = divmod(seed % NOISE_TILE_PX**2, NOISE_TILE_PX)
    tile = _noise_field()[row : row + sides[0], column : column + sides[1]] * np.float32(sigma)
    below, right = height - sides[0], width - sides[1]
    noise = cv2.copyMakeBorder(tile, 0, below, 0, right, cv2.BORDER_WRAP) if below or right else tile
    return cv2.add(colour, cv2.merge([noise] * 3), dtype=cv2.CV_8U)
