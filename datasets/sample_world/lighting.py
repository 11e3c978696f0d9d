"""Light, and how surfaces answer to it: skin, and plain matter for everything else."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sample_world.canvas import Field, linear

# Display colours from the palest to the darkest skin, evenly spaced in appearance.
SKIN_TONES = np.array(
    [
        (0.97, 0.84, 0.77), (0.94, 0.775, 0.675), (0.89, 0.705, 0.585), (0.80, 0.60, 0.465),
        (0.66, 0.46, 0.335), (0.50, 0.335, 0.24), (0.355, 0.235, 0.175),
    ]
)  # fmt: skip
# Light that enters skin comes out redder past the shadow line: wrap of the diffuse term for R, G, B.
SKIN_WRAP = np.array([0.42, 0.22, 0.16], np.float32)


@dataclass(frozen=True)
class Light:
    """One key light and a surrounding glow.

    Attributes:
        direction: unit vector towards the key light, x to image-right, y down, z towards the viewer.
        key: linear RGB of the key light.
        ambient: linear RGB of the surroundings.
    """

    direction: tuple[float, float, float] = (-0.4, -0.5, 0.77)
    key: tuple[float, float, float] = (0.80, 0.78, 0.75)
    ambient: tuple[float, float, float] = (0.34, 0.35, 0.37)


def draw_light(rng: np.random.Generator) -> Light:
    """Return a light from anywhere before the face, warm or cool, hard or flat."""
    azimuth, height = rng.uniform(-1.15, 1.15), rng.uniform(-0.1, 0.95)
    direction = np.array([np.sin(azimuth) * np.cos(height), -np.sin(height), np.cos(azimuth) * np.cos(height)])
    warmth, strength, share = rng.normal(0.0, 0.07), rng.uniform(0.92, 1.22), rng.uniform(0.45, 0.78)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    cool = np.array([1 - 0.7 * warmth, 1.0, 1 + 0.7 * warmth]) * np.exp(rng.normal(0, 0.03, 3))
    key, ambient = strength * share * tint, strength * (1.02 - share) * cool * 0.85
    return Light(_three(direction), _three(key), _three(ambient))


def _three(values: NDArray[np.floating]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def skin_tone(depth: float) -> Field:
    """Return the linear colour (3,) of skin; `depth` 0 is the palest, 1 the darkest."""
    at = depth * (len(SKIN_TONES) - 1)
    tone = [np.interp(at, np.arange(len(SKIN_TONES)), SKIN_TONES[:, channel]) for channel in range(3)]
    return linear(np.array(tone))


def normals(relief: Field) -> tuple[Field, Field, Field]:
    """Return the unit normals (nx, ny, nz) of a height field whose heights are in raster steps."""
    kernel = np.array([[-0.5, 0.0, 0.5]], np.float32)
    slope_x = cv2.filter2D(relief, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    slope_y = cv2.filter2D(relief, -1, kernel.T, borderType=cv2.BORDER_REPLICATE)
    inverse = 1.0 / np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    return -slope_x * inverse, -slope_y * inverse, inverse


def illuminate(
    relief: Field, light: Light, *, wrap: NDArray[np.float32] | float = 0.15, gloss: float = 24.0
) -> tuple[Field, Field]:
    """Return the light (h, w, 3) that a matt surface sends back, and its highlight (h, w), both linear.

    Args:
        relief: (h, w) heights in raster steps.
        light: in the frame of the raster.
        wrap: how far light reaches around the form, one number or one for each channel.
        gloss: exponent of the highlight.
    """
    normal_x, normal_y, normal_z = normals(relief)
    towards = np.asarray(light.direction, np.float32)
    facing = normal_x * towards[0] + normal_y * towards[1] + normal_z * towards[2]
    around = np.broadcast_to(np.asarray(wrap, np.float32), (3,))
    sky = 0.80 - 0.20 * normal_y  # more ambient light from above
    received = np.empty((*relief.shape, 3), np.float32)
    for channel in range(3):
        diffuse = np.maximum((facing + around[channel]) / (1 + around[channel]), 0.0)
        received[..., channel] = light.key[channel] * diffuse + light.ambient[channel] * sky
    half = towards + np.array([0.0, 0.0, 1.0], np.float32)
    half /= np.linalg.norm(half)
    mirror = np.maximum(normal_x * half[0] + normal_y * half[1] + normal_z * half[2], 0.0)
    return received, mirror ** np.float32(gloss) * np.float32(light.key[1])
