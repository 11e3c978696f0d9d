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
    add_noise,
    edge_blur,
    face_window,
    missing_blur,
    missing_noise,
    noise_level,
)
from occlusion_gen.blending.motion_blur import blur_by_motion
from occlusion_gen.blending.relight import estimate_light, is_grey, photo_cast, relight, without_colours
from occlusion_gen.face import Face, Image8, Params, Patch, measure_once

Bounds = tuple[float, float]

OBJECT_EXPOSURE = 0.2  # of objects nobody knows how bright they ought to be
MAX_BLUR_SHARE = 0.006  # of the crop's side
SOFTNESS = 0.7  # sigma of a shadow / how far it falls
SHADOW_SIGMA = 1.5  # of its blur, in pixels of the size at which a shadow is computed
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
    return round(float(rng.uniform(*bounds)), 4)


def harmonise(params: Params, patch: Patch, *, face: Face) -> Patch:
    """Return the patch as the camera of `face.image` would have seen it; equal parameters give equal bytes.

    The region may come back wider, by the reach of blur and shadow: alpha beyond the old one is 0.

    Args:
        params: from `draw_harmony`.
        face: without any occluder.
    """
    if cv2.countNonZero(patch.alpha) == 0 or face.box is None:
        return patch
    patch = _relit(params, patch, face)
    if params["sharpness"]:
        patch = _softened(patch, missing_blur(measure_once("blur", _blur_of_face, face), patch), face)
    if params["motion_blur"] is not None:
        length_px = params["motion_blur"]["length"] * _face_px(face)
        patch = grow(patch, math.ceil(length_px / 2) + 1, size=face.label.shape)
        patch = blur_by_motion(patch, length_px=length_px, angle_deg=params["motion_blur"]["angle_deg"])
    if params["noise_seed"] is not None:
        sigma = missing_noise(measure_once("noise", _noise_of_face, face), patch)
        if sigma >= LEAST_NOISE:
            patch = patch._replace(colour=add_noise(patch.colour, sigma=sigma, seed=params["noise_seed"]))
    if params["shadow"] is not None:
        reach_px = params["shadow"]["distance"] * _face_px(face) * (1 + SHADOW_REACH * SOFTNESS)
        patch = grow(patch, math.ceil(reach_px), size=face.label.shape)
    return patch


def _blur_of_face(face: Face) -> float | None:
    return edge_blur(*measure_once("window", face_window, face))


def _noise_of_face(face: Face) -> float:
    return noise_level(*measure_once("window", face_window, face))


def _softened(patch: Patch, sigma_px: float, face: Face) -> Patch:
    sigma_px = min(sigma_px, MAX_BLUR_SHARE * face.side_px)
    if sigma_px < LEAST_BLUR_PX:
        return patch
    patch = grow(patch, math.ceil(3 * sigma_px), size=face.label.shape)
    return patch._replace(
        colour=cv2.GaussianBlur(patch.colour, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE),
        alpha=cv2.GaussianBlur(patch.alpha, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE),
    )


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


def grow(patch: Patch, reach_px: int, *, size: tuple[int, ...]) -> Patch:
    """Return the patch with its region wider by `reach_px` on each side, within a crop of `size` (height, width)."""
    rows = slice(max(0, patch.rows.start - reach_px), min(size[0], patch.rows.stop + reach_px))
    columns = slice(max(0, patch.columns.start - reach_px), min(size[1], patch.columns.stop + reach_px))
    sides = (
        patch.rows.start - rows.start,
        rows.stop - patch.rows.stop,
        patch.columns.start - columns.start,
        columns.stop - patch.columns.stop,
    )
    if not any(sides):
        return patch
    return Patch(
        rows,
        columns,
        cv2.copyMakeBorder(patch.colour, *sides, cv2.BORDER_REPLICATE),
        cv2.copyMakeBorder(patch.alpha, *sides, cv2.BORDER_CONSTANT, value=0),
        cv2.copyMakeBorder(patch.hides, *sides, cv2.BORDER_CONSTANT, value=0),
    )


def cast_shadow(params: Params, image: Image8, patch: Patch, *, face: Face) -> Image8:
    """Return `image` with the soft shadow of the patch on it; no pixel becomes brighter.

    It falls down and to the darker side of the face. Beyond the edge of the crop the occluder is taken to go on, so
    that no lit strip is left there. Labels stay: what lies in the shadow is still to be seen.

    Args:
        params: from `draw_harmony`.
        image: (h, w, 3) uint8 RGB, the region `patch.rows`, `patch.columns` of what lies below the patch.
        face: gives the size and the light.
    """
    light = measure_once("light", estimate_light, face) if params["shadow"] is not None else None
    if light is None or image.size == 0 or cv2.countNonZero(patch.alpha) == 0:
        return image
    distance_px = params["shadow"]["distance"] * _face_px(face)
    angle = math.radians(90 + params["shadow"]["turn_deg"]) + math.atan(2 * light.slope[0])
    height, width = patch.alpha.shape
    sigma_px = max(SOFTNESS * distance_px, 0.4)
    ratio = min(1.0, SHADOW_SIGMA / sigma_px)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    alpha = cv2.resize(patch.alpha, size, interpolation=cv2.INTER_AREA)
    move = np.array([[1, 0, math.cos(angle)], [0, 1, math.sin(angle)]])
    move[:, 2] *= distance_px * ratio
    fallen = cv2.warpAffine(alpha, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(fallen, (0, 0), sigma_px * ratio, borderType=cv2.BORDER_REPLICATE)
    left = cv2.convertScaleAbs(soft, alpha=-params["shadow"]["strength"], beta=255)
    left = cv2.resize(left, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(image, cv2.merge([left] * 3), scale=1 / 255)
