"""Limbs: an arm from outside with a fist, a palm or fingers, drawn by code in the colour of the face.

Cut-outs of real hands show few poses, and none in the light and colour of the face that they hide: what a network has
most trouble with. Every limb is a union of tapered rods (arm, palm, finger bones). Their rounded surfaces are lit by
one lamp; where two meet, the higher one is seen and a dark fold stays between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import PART_ID
from configs.schema.limb import LimbSection
from occlusion_gen.blending.compositing import binary, empty_patch, region_around
from occlusion_gen.face import Box, Face, Image8, Params, Patch, measure_once
from occlusion_gen.occluders.library import Split

Field32 = NDArray[np.float32]
Rod = tuple[float, float, float, float, float, float]

FIST_SHARE, POINTING_SHARE = 0.35, 0.25  # the others stretch all fingers
ARM_LENGTH = 3.0  # longer sides of the face's box: no elbow lies inside of the crop
NAIL_SHARE = 0.5
AMBIENT = 0.45  # of the light comes from everywhere
FOLD_DEPTH = 0.35  # how dark it is where two rods meet at a right angle, share of the light
MOTTLE = 0.06  # relative deviation of the skin's brightness over a palm
NAIL_TINT = np.array([1.08, 0.97, 0.97], np.float32)
DRAWN_SIDE_PX = 160  # larger regions are drawn at this size and enlarged: skin is smooth


class Skin(NamedTuple):
    """Colour of a face: mean (3,) and the direction in which it varies most, a standard deviation long (3,)."""

    mean: Field32
    variation: Field32


@dataclass(frozen=True)
class Limb:
    """Limbs drawn by code. Attributes as in `configs.schema.limb.LimbSection`."""

    width: tuple[float, float]
    tone: tuple[float, float]
    part: int = PART_ID["hand"]
    worn: bool = False
    needs_landmarks: bool = False

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision for a face: rods in pixels of the crop, light and colour."""
        assert face.box is not None
        palm_px = float(rng.uniform(*self.width)) * max(face.box.width, face.box.height)
        reach, direction_deg = _aim(rng, face.box)
        arm_px = ARM_LENGTH * max(face.box.width, face.box.height)
        rods, tips = _draw_hand(rng, reach, direction_deg, palm_px=palm_px, arm_px=arm_px)
        return {
            "occluder": "limb",
            "rods_px": [[round(value, 2) for value in rod] for rod in rods],
            "nails_px": [[round(value, 2) for value in tip] for tip in tips] if rng.random() < NAIL_SHARE else [],
            "palm_px": round(palm_px, 2),
            "tone": round(float(rng.uniform(*self.tone)), 4),
            "warmth": round(float(rng.normal(0, 1)), 4),
            "lamp_deg": round(float(rng.uniform(0, 360)), 2),
            "lamp_height": round(float(rng.uniform(0.3, 1.5)), 4),
            "mottle_seed": int(rng.integers(2**31)),
        }

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the limb in the frame of the face; equal parameters give equal bytes."""
        rods = np.array(params["rods_px"], np.float32)
        radius = float(rods[:, 4:].max())
        ends = rods[:, :4].reshape(-1, 2).astype(np.float64)
        around = np.vstack([ends - radius, ends + radius])
        rows, columns = region_around(around, face.label.shape)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        if 0 in size:
            return empty_patch(rows, columns)
        factor = min(1.0, DRAWN_SIDE_PX / max(size))
        drawn = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
        shape = _Canvas(drawn, (columns.start, rows.start), (drawn[1] / size[1], drawn[0] / size[0]))
        height, inside_px = shape.surface(rods)
        colour = shape.paint(params, height, measure_once("limb_skin", _skin_of, face))
        colour = cv2.resize(colour, size[::-1], interpolation=cv2.INTER_LINEAR)
        inside_px = cv2.resize(inside_px, size[::-1], interpolation=cv2.INTER_LINEAR)
        alpha = cv2.convertScaleAbs(np.clip(inside_px + 0.5, 0, 1), alpha=255)
        return Patch(rows, columns, colour, alpha, binary(alpha))


class _Canvas(NamedTuple):
    """A window of the crop that a limb is drawn on.

    Attributes:
        size: (height, width) of the window in its own pixels.
        corner_px: (x, y) of its first pixel in the crop.
        scale: (x, y) window pixels / crop pixels.
    """

    size: tuple[int, int]
    corner_px: tuple[int, int]
    scale: tuple[float, float]

    def surface(self, rods: NDArray[np.float32]) -> tuple[Field32, Field32]:
        """Return the height of the limb above the picture and how far inside its outline a pixel lies, in crop pixels.

        Args:
            rods: (R, 6) ends x0, y0, x1, y1 and radii at both, in pixels of the crop.
        """
        height, inside = np.zeros(self.size, np.float32), np.full(self.size, -1e3, np.float32)
        x = (np.arange(self.size[1], dtype=np.float32) + 0.5) / self.scale[0] - 0.5 + self.corner_px[0]
        y = ((np.arange(self.size[0], dtype=np.float32) + 0.5) / self.scale[1] - 0.5 + self.corner_px[1])[:, None]
        for x0, y0, x1, y1, r0, r1 in rods:
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
            squared = (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2
            radius = r0 + along * (r1 - r0)
            np.maximum(height, np.sqrt(np.maximum(radius * radius - squared, 0)), out=height)
            np.maximum(inside, radius - np.sqrt(squared), out=inside)
        return height, inside

    def paint(self, params: Params, height: Field32, skin: Skin) -> Image8:
        """Return the colours (h, w, 3) of the lit surface; beyond the limb they go on as flat skin."""
        light = self._light(params, height)
        rng = np.random.default_rng(params["mottle_seed"])
        cells = [
            max(2, round(side / scale / params["palm_px"] * 3))
            for side, scale in zip(self.size, self.scale[::-1], strict=True)
        ]
        mottle = cv2.resize(
            rng.normal(0, MOTTLE, cells).astype(np.float32), self.size[::-1], interpolation=cv2.INTER_CUBIC
        )
        tone = (skin.mean + 0.5 * params["warmth"] * skin.variation) * params["tone"]
        colour = (light * (1 + mottle))[..., None] * tone
        for x, y, radius, turn_deg in params["nails_px"]:
            centre = ((x - self.corner_px[0]) * self.scale[0], (y - self.corner_px[1]) * self.scale[1])
            axes = (radius * 0.75 * self.scale[0], radius * 0.5 * self.scale[1])
            nail = np.zeros(self.size, np.uint8)
            cv2.ellipse(nail, (centre, (2 * axes[0], 2 * axes[1]), turn_deg), 255, cv2.FILLED, cv2.LINE_AA)
            share = nail[..., None] * np.float32(1 / 255)
            colour = colour * (1 - share) + colour * NAIL_TINT * share
        return np.clip(np.rint(colour), 0, 255).astype(np.uint8)

    def _light(self, params: Params, height: Field32) -> Field32:
        """Return the light that the surface sends back, around 1: rounded by one lamp, darker in folds."""
        slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=self.scale[0] / 8)
        slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=self.scale[1] / 8)
        # Rods are half as thick as they are wide: a full half circle would turn away from the lamp at every rim.
        slope_x, slope_y = 0.5 * slope_x, 0.5 * slope_y
        angle, up = math.radians(params["lamp_deg"]), params["lamp_height"]
        norm = math.hypot(1.0, up)
        lamp_x, lamp_y, lamp_z = math.cos(angle) / norm, math.sin(angle) / norm, up / norm
        facing = (lamp_z - slope_x * lamp_x - slope_y * lamp_y) / np.sqrt(1 + slope_x**2 + slope_y**2)
        light = AMBIENT + (1 - AMBIENT) * np.clip(facing, 0, 1) / max(lamp_z, 0.5)
        fold = np.clip(cv2.Laplacian(height, cv2.CV_32F, ksize=3) * self.scale[0] / 8, 0, 1)
        return light * (1 - FOLD_DEPTH * cv2.GaussianBlur(fold, (0, 0), 0.8))


def _aim(rng: np.random.Generator, box: Box) -> tuple[NDArray[np.float64], float]:
    """Return where the hand lies, (x, y) on the face's box, and the direction in which the arm leads to it, degrees.

    Arms come from outside, mostly from below.
    """
    reach = np.array([box.x + rng.random() * box.width, box.y + rng.beta(2.0, 1.3) * 1.1 * box.height])
    side = rng.choice([-1, 1])
    direction_deg = -90 + side * abs(rng.normal(0, 55))  # -90 points up: the arm comes from below
    return reach, float(direction_deg)


def _draw_hand(
    rng: np.random.Generator, reach: NDArray[np.float64], direction_deg: float, *, palm_px: float, arm_px: float
) -> tuple[list[Rod], list[tuple[float, float, float, float]]]:
    """Return rods and nails (x, y, radius, turn) of an arm whose palm lies at `reach`."""
    ahead = _unit(direction_deg)
    across = np.array([-ahead[1], ahead[0]])
    half = palm_px / 2
    elbow = reach - ahead * arm_px + across * rng.normal(0, 0.8) * palm_px
    wrist = reach - ahead * palm_px * rng.uniform(0.5, 0.8)
    wrist_radius = half * rng.uniform(0.6, 0.8)
    rods = [_rod(elbow, wrist, wrist_radius * rng.uniform(1.0, 1.5), wrist_radius)]
    kind = rng.random()
    for offset in np.linspace(-0.5, 0.5, 4):  # the palm: four bones side by side
        rods.append(_rod(wrist + across * offset * wrist_radius, reach + across * offset * palm_px * 0.85,
                         wrist_radius * 0.7, half * rng.uniform(0.34, 0.42)))  # fmt: skip
    tips = []
    spread_deg = rng.uniform(2, 14)
    pointing = rng.permutation(4)[: int(rng.integers(1, 3))]
    curl_deg = rng.uniform(-25, 25)
    for index, offset in enumerate(np.linspace(-0.5, 0.5, 4)):
        stretched = kind > FIST_SHARE + POINTING_SHARE or (kind > FIST_SHARE and index in pointing)
        length = palm_px * (rng.uniform(0.7, 1.1) if stretched else rng.uniform(0.15, 0.3))
        root = reach + across * offset * palm_px * 0.85
        finger, tip = _finger(rng, root, direction_deg + (index - 1.5) * spread_deg, length, half * 0.27, curl_deg)
        rods += finger
        tips.append(tip)
    thumb_side = rng.choice([-1, 1])
    root = wrist + across * thumb_side * half * 0.8
    out_deg = direction_deg + thumb_side * rng.uniform(10, 75)
    finger, tip = _finger(rng, root, out_deg, palm_px * rng.uniform(0.5, 0.9), half * 0.32, -thumb_side * 25)
    return [*rods, *finger], [*tips, tip]


def _finger(
    rng: np.random.Generator,
    root: NDArray[np.float64],
    direction_deg: float,
    length: float,
    radius: float,
    curl_deg: float,
) -> tuple[list[Rod], tuple[float, float, float, float]]:
    """Return the two bones of a finger and its nail."""
    joint = root + _unit(direction_deg) * length * rng.uniform(0.4, 0.6)
    end_deg = direction_deg + curl_deg * rng.uniform(0.3, 1.2)
    tip = joint + _unit(end_deg) * length * rng.uniform(0.35, 0.55)
    middle, thin = radius * rng.uniform(0.9, 1.0), radius * rng.uniform(0.75, 0.9)
    return [_rod(root, joint, radius, middle), _rod(joint, tip, middle, thin)], (*tip.tolist(), thin, end_deg)


def _rod(start: NDArray[np.float64], end: NDArray[np.float64], start_radius: float, end_radius: float) -> Rod:
    return (*start.tolist(), *end.tolist(), float(start_radius), float(end_radius))


def _unit(angle_deg: float) -> NDArray[np.float64]:
    return np.array([math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))])


def _skin_of(face: Face) -> Skin:
    """Return the colour of the visible face."""
    pixels = face.image[face.visible][::7].astype(np.float32)
    if len(pixels) < 2:
        return Skin(np.array([190, 150, 125], np.float32), np.zeros(3, np.float32))
    mean = np.median(pixels, axis=0).astype(np.float32)
    values, vectors = np.linalg.eigh(np.cov((pixels - mean).T))
    return Skin(mean, (vectors[:, -1] * math.sqrt(max(float(values[-1]), 0.0)) * 0.3).astype(np.float32))


def build_limb(section: LimbSection, *, split: Split, max_side_px: int) -> Limb:
    """Return the generator that the configuration describes; drawn limbs are the same for both splits."""
    return Limb(width=section.width, tone=section.tone)
