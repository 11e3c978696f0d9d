"""An occluder made to fit the photo: light, white balance, sharpness, motion, noise, and the shadow it casts.

Drawn first, applied later. Every step is partial and bounded, and done to a share of the occluders only: real photos
have badly lit hands and flashed phones, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from common.labels import PART_ID
from occlusion_gen.blending.grain import (
    LEAST_NOISE,
    SHARP_PX,
    add_noise,
    edge_blur,
    face_window,
    missing_blur,
    missing_noise,
    noise_level,
    patch_window,
)
from occlusion_gen.blending.motion_blur import blur_by_motion
from occlusion_gen.blending.region import Region, grow, sides, widened
from occlusion_gen.blending.relight import estimate_light, is_grey, photo_cast, relight, without_colours
from occlusion_gen.blending.smooth import smooth
from occlusion_gen.face import Face, Image8, Params, Patch, measure_once

Bounds = tuple[float, float]

OBJECT_EXPOSURE = 0.2  # of objects nobody knows how bright they ought to be
MAX_BLUR_SHARE = 0.006  # of the crop's side
SOFTNESS = 0.7  # sigma of a shadow / how far it falls
SHADOW_SIGMA = 1.0  # least of its blur, in pixels of the size at which a shadow is computed
SHADOW_REACH = 2.5  # sigmas; less than a grey level of shadow is left there
LEAST_BLUR_PX = 0.3


def draw_harmony(
    rng: np.random.Generator,
    *,
    part: int,
    color_transfer: str,
    color_transfer_share: float,
    color_transfer_strength: Bounds,
    color_transfer_parts: Sequence[str],
    light_share: float,
    light: Bounds,
    white_balance_share: float,
    white_balance: Bounds,
    sharpness_share: float,
    noise_share: float,
    motion_blur_share: float,
    motion_blur: Bounds,
    shadow_share: float,
    shadow: Bounds,
    shadow_distance: Bounds,
    poisson_share: float,
    poisson: Bounds,
) -> Params:
    """Return every random decision about one occluder; a step that does not take place is None.

    The same numbers are drawn whatever the shares are, so that changing one share changes no other step.

    Args:
        part: class id of the occluder.

    The other arguments are the keys of `configs.schema.harmony.HarmonySection`.
    """
    moved, lit, tinted, softened, grainy, moving, shaded, fused = rng.random(8)
    transfer_seed, noise_seed = (int(seed) for seed in rng.integers(2**31, size=2))
    skin = part == PART_ID["hand"]
    shading, tint = _draw(rng, light), _draw(rng, white_balance)
    motion = {"length": _draw(rng, motion_blur), "angle_deg": round(float(rng.uniform(0, 180)), 2)}
    fall = {
        "strength": _draw(rng, shadow),
        "distance": _draw(rng, shadow_distance),
        "turn_deg": round(float(rng.uniform(-40, 40)), 2),
    }
    membrane = _draw(rng, poisson)
    transfer = {"kind": color_transfer, "seed": transfer_seed, "strength": _draw(rng, color_transfer_strength)}
    transfers = color_transfer != "none" and part in {PART_ID[name] for name in color_transfer_parts}
    return {
        "color_transfer": transfer if transfers and moved < color_transfer_share else None,
        "skin": skin,
        "light": shading if lit < light_share else None,
        "white_balance": tint if tinted < white_balance_share else None,
        "sharpness": bool(softened < sharpness_share),
        "noise_seed": noise_seed if grainy < noise_share else None,
        "motion_blur": motion if moving < motion_blur_share else None,
        "shadow": fall if shaded < shadow_share else None,
        "poisson": membrane if fused < poisson_share else None,
    }


def _draw(rng: np.random.Generator, bounds: Bounds) -> float:
    return round(bounds[0] + (bounds[1] - bounds[0]) * rng.random(), 4)  # `rng.uniform`, in a third of its time


def harmonise(params: Params, patch: Patch, *, face: Face) -> Patch:
    """Return the patch as the camera of `face.image` would have seen it; equal parameters give equal bytes.

    The region may come back wider, by the reach of a blur: alpha beyond the old one is 0.

    Args:
        params: from `draw_harmony`.
        face: without any occluder.
    """
    if cv2.countNonZero(patch.alpha) == 0 or face.box is None:
        return patch
    patch = _relit(params, patch, face)
    sigma_px, noise = _missing_grain(params, patch, face)
    if sigma_px >= LEAST_BLUR_PX:
        patch = grow(patch, math.ceil(3 * sigma_px), size=face.label.shape)
        patch = patch._replace(colour=smooth(patch.colour, sigma_px), alpha=smooth(patch.alpha, sigma_px))
    if params["motion_blur"] is not None:
        length_px = params["motion_blur"]["length"] * _face_px(face)
        patch = grow(patch, math.ceil(length_px / 2) + 1, size=face.label.shape)
        patch = blur_by_motion(patch, length_px=length_px, angle_deg=params["motion_blur"]["angle_deg"])
    if noise >= LEAST_NOISE:
        patch = patch._replace(colour=add_noise(patch.colour, sigma=noise, seed=params["noise_seed"]))
    return patch


def _missing_grain(params: Params, patch: Patch, face: Face) -> tuple[float, float]:
    """Return by which sigma in pixels the patch has to be blurred, and how much noise it lacks, in grey levels."""
    blur = measure_once("blur", _blur_of_face, face) if params["sharpness"] else None
    noise = measure_once("noise", _noise_of_face, face) if params["noise_seed"] is not None else 0.0
    soft, noisy = blur is not None and blur > SHARP_PX, noise >= LEAST_NOISE
    if not (soft or noisy):
        return 0.0, 0.0
    window = patch_window(patch)
    sigma_px = 0.0
    if blur is not None and soft:
        sigma_px = min(missing_blur(blur, edge_blur(*window)), MAX_BLUR_SHARE * face.side_px)
        sigma_px = 0.0 if sigma_px < LEAST_BLUR_PX else sigma_px
    return sigma_px, missing_noise(noise, noise_level(*window), blurred_px=sigma_px) if noisy else 0.0


def _blur_of_face(face: Face) -> float | None:
    return edge_blur(*measure_once("window", face_window, face))


def _noise_of_face(face: Face) -> float:
    return noise_level(*measure_once("window", face_window, face))


def _relit(params: Params, patch: Patch, face: Face) -> Patch:
    if params["light"] is None and params["white_balance"] is None:
        return patch
    light = measure_once("light", estimate_light, face)
    if light is None:
        return patch
    strength, skin = params["light"] or 0.0, params["skin"]
    patch = relight(
        patch,
        light,
        shading=strength,
        exposure=strength * (1.0 if skin else OBJECT_EXPOSURE),
        contrast=0.5 * strength if skin else 0.0,
        tint=params["white_balance"] or 0.0,
        cast=None if skin else measure_once("cast", lambda it: photo_cast(it.image), face),
    )
    if params["white_balance"] is None or not measure_once("grey", lambda it: is_grey(it.image), face):
        return patch
    return patch._replace(colour=without_colours(patch.colour))


def _face_px(face: Face) -> int:
    """Return the longer side of the face's box in pixels."""
    assert face.box is not None
    return max(face.box.width, face.box.height)


def cast_shadow(params: Params, below: Image8, patch: Patch, *, face: Face) -> tuple[Region, Image8]:
    """Return the region that the patch and its shadow touch, and a copy of `below` there with the soft shadow on it.

    No pixel becomes brighter. The shadow falls down and to the darker side of the face. Beyond the edge of the crop the
    occluder is taken to go on, so that no lit strip is left there. Labels stay: what lies in the shadow is still to be
    seen.

    Args:
        params: from `draw_harmony`.
        below: (H, W, 3) uint8 RGB, the crop with what lies below the patch.
        face: gives the size and the light.
    """
    light = measure_once("light", estimate_light, face) if params["shadow"] is not None else None
    if light is None or cv2.countNonZero(patch.alpha) == 0:
        return (patch.rows, patch.columns), below[patch.rows, patch.columns].copy()
    distance_px = params["shadow"]["distance"] * _face_px(face)
    angle = math.radians(90 + params["shadow"]["turn_deg"]) + math.atan(2 * light.slope[0])
    sigma_px = max(SOFTNESS * distance_px, 0.4)
    reach_px = math.ceil(distance_px + SHADOW_REACH * sigma_px)
    region = widened(patch, reach_px, size=face.label.shape)
    alpha = cv2.copyMakeBorder(patch.alpha, *sides(patch, region), cv2.BORDER_CONSTANT, value=0)
    fallen = _shifted(alpha, round(distance_px * math.cos(angle)), round(distance_px * math.sin(angle)))
    left = cv2.convertScaleAbs(_softly(fallen, sigma_px), alpha=-params["shadow"]["strength"], beta=255)
    return region, cv2.multiply(below[region], cv2.merge([left] * 3), scale=1 / 255)


def _shifted(alpha: Image8, x: int, y: int) -> Image8:
    """Return `alpha` (h, w) moved by whole pixels; its outermost pixels go on."""
    height, width = alpha.shape
    moved = cv2.copyMakeBorder(alpha, max(y, 0), max(-y, 0), max(x, 0), max(-x, 0), cv2.BORDER_REPLICATE)
    return moved[max(-y, 0) :, max(-x, 0) :][:height, :width]


def _softly(alpha: Image8, sigma_px: float) -> Image8:
    """Return `alpha` (h, w) under a wide Gaussian, computed at 1/1, 1/2, 1/4, ... of its size."""
    factor = 2 ** max(0, math.floor(math.log2(sigma_px / SHADOW_SIGMA)))
    height, width = alpha.shape
    if factor == 1:
        return smooth(alpha, sigma_px)
    # Halving is exact, and several times faster than other ratios, where both sides can be divided.
    small = cv2.copyMakeBorder(alpha, 0, -height % factor, 0, -width % factor, cv2.BORDER_REPLICATE)
    size = small.shape[1], small.shape[0]
    for level in range(1, int(math.log2(factor)) + 1):
        small = cv2.resize(small, (size[0] >> level, size[1] >> level), interpolation=cv2.INTER_AREA)
    return cv2.resize(smooth(small, sigma_px / factor), size, interpolation=cv2.INTER_LINEAR)[:height, :width]
