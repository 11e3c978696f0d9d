"""Blur, JPEG and brightness changes: drawn first, applied later, deterministic."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Image8, Params


def draw_degradation(
    rng: np.random.Generator, *, blur_share: float, jpeg_share: float, brightness_contrast_share: float, limit: float
) -> Params:
    """Return the random decisions; a change that does not take place is None.

    Args:
        limit: brightness and contrast change by at most this share.

    Source: ranges of the NatOcc configuration (Voo et al. 2022).
    """
    blurred, compressed, lit = rng.random(3)
    blur = _draw_blur(rng)
    quality = int(rng.integers(70, 101))
    brightness, contrast = rng.uniform(-limit, limit, 2)
    return {
        "blur": blur if blurred < blur_share else None,
        "jpeg_quality": quality if compressed < jpeg_share else None,
        "brightness_contrast": (
            [round(float(brightness), 4), round(float(contrast), 4)] if lit < brightness_contrast_share else None
        ),
    }


def degrade(params: Params, image: Image8) -> Image8:
    """Return `image` (H, W, 3) uint8 RGB after blur, JPEG and brightness/contrast, in this order."""
    if params["blur"] is not None:
        image = cv2.filter2D(image, -1, gaussian_kernel(params["blur"]), borderType=cv2.BORDER_REFLECT_101)
    if params["jpeg_quality"] is not None:
        image = _compress(image, params["jpeg_quality"])
    if params["brightness_contrast"] is not None:
        brightness, contrast = params["brightness_contrast"]
        shift = brightness * sum(cv2.mean(image)[:3]) / 3
        image = cv2.transform(image, np.column_stack([(1 + contrast) * np.eye(3), np.full(3, shift)]))
    return image


def gaussian_kernel(params: Params) -> NDArray[np.float64]:
    """Return a normalised generalised-Gaussian kernel (k, k), k = `kernel`.

    exp(-q^beta / 2) with q the squared Mahalanobis distance of an ellipse with axes `sigma_px`, turned by `angle_deg`;
    each value is multiplied by uniform noise in [0.9, 1.1] of its own seed.
    """
    steps = np.arange(params["kernel"]) - params["kernel"] // 2.0
    y, x = steps[:, None], steps
    angle = math.radians(params["angle_deg"])
    along, across = math.cos(angle) * x + math.sin(angle) * y, -math.sin(angle) * x + math.cos(angle) * y
    squared = (along / params["sigma_px"][0]) ** 2 + (across / params["sigma_px"][1]) ** 2
    kernel = np.exp(-0.5 * squared ** params["beta"])
    kernel *= np.random.default_rng(params["noise_seed"]).uniform(0.9, 1.1, kernel.shape)
    return kernel / kernel.sum()


def _compress(image: Image8, quality: int) -> Image8:
    """Return `image` after a round through JPEG, of which OpenCV needs BGR."""
    _, stream = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(stream, cv2.IMREAD_COLOR_RGB)
    assert decoded is not None
    return decoded


def _draw_blur(rng: np.random.Generator) -> Params:
    beta = rng.uniform(0.5, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, 8.0)
    return {
        "kernel": int(3 + 2 * rng.integers(3)),
        "sigma_px": [round(float(value), 4) for value in rng.uniform(0.2, 1.0, 2)],
        "angle_deg": round(float(rng.uniform(-90, 90)), 2),
        "beta": round(float(beta), 4),
        "noise_seed": int(rng.integers(2**31)),
    }
