"""Sunglasses and clear glasses on the eyes: drawn by code, or from a folder of frontal cut-outs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from common.labels import PART_ID
from configs.schema.eyewear import EyewearSection
from occlusion_gen.blending.compositing import binary, empty_patch, warp_to_patch
from occlusion_gen.eyewear.drawing import hair_and_skin, paint_glasses
from occlusion_gen.eyewear.head import Camera, fit_camera
from occlusion_gen.eyewear.shapes import FRONT_Z_MM, HINGE_X_MM, PANTOSCOPIC_SLOPE, SHAPES, Shape, outlines
from occlusion_gen.face import Face, Params, Patch, landmarks_of_face
from occlusion_gen.occluders.library import OccluderLibrary, Split, open_occluders

Style = Literal["sunglasses", "clear"]
LensLabel = Literal["occluded", "threshold", "soft"]

# Colours in white light, RGB.
_PLASTIC = ((18, 18, 20), (18, 18, 20), (30, 26, 24), (66, 38, 22), (104, 64, 34), (28, 38, 66), (120, 24, 30),
            (92, 92, 96), (216, 212, 206))  # fmt: skip
_METAL = ((186, 150, 84), (186, 188, 194), (84, 84, 90), (28, 28, 30))
_DARK_LENS = ((16, 16, 18), (16, 16, 18), (34, 24, 16), (20, 28, 20), (18, 22, 34))
_TINTED_LENS = ((112, 66, 30), (150, 70, 80), (190, 150, 40), (44, 74, 120), (88, 52, 110), (60, 64, 66))
_MIRRORS = ((150, 190, 235), (235, 170, 90), (200, 210, 220), (120, 215, 190))
_SKY = (226, 234, 244)
TINTED_OPACITY = (0.3, 0.7)
CLEAR_OPACITY = (0.02, 0.12)


@dataclass(frozen=True)
class Eyewear:
    """Glasses worn by the face. Attributes as in `configs.schema.eyewear.EyewearSection`.

    A face that wears glasses already gets no second pair: the patch then hides nothing.
    """

    style: Style
    shapes: Sequence[str]
    lens_label: LensLabel
    opacity: tuple[float, float] = (0.75, 1.0)
    tinted_share: float = 0.2
    gradient_share: float = 0.35
    mirror_share: float = 0.1
    under_hair_share: float = 0.5
    library: OccluderLibrary | None = None
    worn: bool = True
    needs_landmarks: bool = True

    @property
    def part(self) -> int:
        """Class id: sunglasses hide the face under every policy, what clear glasses do is the policy's to say."""
        return PART_ID["object" if self.style == "sunglasses" else "eye_g"]

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision; none depends on the pixels of `face`."""
        fit = {
            "width": _uniform(rng, 0.98, 1.1),
            "height": _uniform(rng, 0.92, 1.08),
            "slip_mm": _uniform(rng, -1.0, 5.0),
            "under_hair": bool(rng.random() < self.under_hair_share),
            "roll_deg": round(float(np.clip(rng.normal(0, 0.9), -2.5, 2.5)), 3),
        }
        if self.library is not None:
            index = int(rng.integers(len(self.library)))
            return {"occluder": self.library.name(index), "occluder_index": index, **fit}
        name = self.shapes[int(rng.integers(len(self.shapes)))]
        metal_at, colour_at = rng.random(2)
        metal = SHAPES[name].rim_top < 2 or (SHAPES[name].metal and bool(metal_at < 0.5))
        frames = _METAL if metal else _PLASTIC
        return {
            "shape": name,
            **fit,
            "metal": metal,
            "frame_colour": list(frames[int(colour_at * len(frames))]),
            "lens": self._draw_lens(rng),
            "reflection": _draw_reflection(rng, clear=self.style == "clear"),
        }

    def _draw_lens(self, rng: np.random.Generator) -> Params:
        kinds, at, mirror_at = rng.random(3), float(rng.random()), float(rng.random())
        tinted, clear = _uniform(rng, *TINTED_OPACITY), _uniform(rng, *CLEAR_OPACITY)
        low, high = self.opacity
        dark = round(high - (high - low) * float(rng.random()) ** 2, 4)  # most are nearly opaque
        fading = _uniform(rng, 0.35, 0.8)
        if self.style == "clear":
            return {"colour": [205, 214, 222], "opacity": clear, "opacity_bottom": clear, "mirror": list(_SKY)}
        is_tinted = kinds[0] < self.tinted_share
        colours, opacity = (_TINTED_LENS, tinted) if is_tinted else (_DARK_LENS, dark)
        return {
            "colour": list(colours[int(at * len(colours))]),
            "opacity": opacity,
            "opacity_bottom": round(opacity * fading, 4) if kinds[1] < self.gradient_share else opacity,
            "mirror": list(_MIRRORS[int(mirror_at * len(_MIRRORS))] if kinds[2] < self.mirror_share else _SKY),
        }

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the glasses in the frame of the face; equal parameters give equal bytes."""
        if cv2.countNonZero(cv2.inRange(face.label, PART_ID["eye_g"], PART_ID["eye_g"])):
            return empty_patch(slice(0, 0), slice(0, 0))
        camera = _turned(fit_camera(landmarks_of_face(face)), params["roll_deg"])
        if self.library is not None:
            return self._label(self._from_file(params, face, camera))
        shape = _sized(SHAPES[params["shape"]], params, clear=self.style == "clear")
        parts = outlines(shape, slip_mm=params["slip_mm"])
        return self._label(paint_glasses(params, shape=shape, parts=parts, camera=camera, face=face))

    def _from_file(self, params: Params, face: Face, camera: Camera) -> Patch:
        """Return a frontal cut-out of glasses, as wide as the face, on the plane of a front."""
        assert self.library is not None
        rgba = self.library[params["occluder_index"]]
        height, width = rgba.shape[:2]
        half_width = HINGE_X_MM * params["width"]
        half_height = half_width * height / width * params["height"]
        flat = np.array([[-half_width, -half_height], [half_width, -half_height], [-half_width, half_height]])
        depth = FRONT_Z_MM - 6 - PANTOSCOPIC_SLOPE * flat[:, 1]
        seen = camera.project(np.column_stack([flat[:, 0], flat[:, 1] + params["slip_mm"], depth]))
        corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5]], np.float32)
        matrix = np.asarray(cv2.getAffineTransform(corners, seen.astype(np.float32)), float)
        patch = warp_to_patch(rgba, matrix, crop_size=face.label.shape)
        if patch.alpha.size == 0:
            return patch
        in_sight, _ = hair_and_skin(face, patch.rows, patch.columns, under_hair=params["under_hair"])
        alpha = cv2.convertScaleAbs(patch.alpha * in_sight)
        return patch._replace(alpha=alpha, hides=cv2.min(patch.hides, binary(cv2.convertScaleAbs(in_sight * 255))))

    def _label(self, patch: Patch) -> Patch:
        """Return the patch with `hides` as the policy for what shines through wants it."""
        if self.lens_label == "threshold":
            return patch._replace(hides=np.where(patch.alpha >= 128, patch.hides, 0).astype(np.uint8))
        return patch._replace(hides=patch.alpha) if self.lens_label == "soft" else patch


def build_eyewear(section: EyewearSection, *, split: Split, max_side_px: int) -> Eyewear:
    """Return the generator that the configuration describes.

    Raises:
        UserError: the cut-outs cannot be read.
    """
    library = None
    if section.occluders is not None:
        library = open_occluders(
            section.occluders, split=split, holdout_share=section.holdout_share, max_side_px=max_side_px
        )
    return Eyewear(
        style=section.style,
        shapes=section.shapes,
        lens_label=section.lens_label,
        opacity=section.opacity,
        tinted_share=section.tinted_share,
        gradient_share=section.gradient_share,
        mirror_share=section.mirror_share,
        under_hair_share=section.under_hair_share,
        library=library,
    )


def _draw_reflection(rng: np.random.Generator, *, clear: bool) -> Params:
    """Return a bright slanting band and a brighter upper part; both faint on most glasses."""
    faint = 0.45 if clear else 1.0
    return {
        "angle_deg": _uniform(rng, 15, 75) * (1 if rng.random() < 0.5 else -1),
        "offset": _uniform(rng, -0.8, 0.5),
        "width": _uniform(rng, 0.08, 0.4),
        "band": round(float(rng.beta(1.2, 4) * 0.5 * faint), 4),
        "sky": round(float(rng.beta(1.2, 4) * 0.3 * faint), 4),
        "horizon": _uniform(rng, -0.4, 0.5),
    }


def _sized(shape: Shape, params: Params, *, clear: bool) -> Shape:
    """Return the shape in the drawn size; clear glasses are a little smaller than sunglasses."""
    size = 0.94 if clear else 1.0
    return shape._replace(
        half_width=shape.half_width * params["width"] * size,
        half_height=shape.half_height * params["height"] * size,
        rim_top=shape.rim_top * (0.8 if clear else 1.0),
    )


def _turned(camera: Camera, angle_deg: float) -> Camera:
    """Return the camera under which the glasses sit askew by `angle_deg`."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return camera._replace(turn=np.array([[cosine, -sine], [sine, cosine]]) @ camera.turn)


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return round(low + (high - low) * rng.random(), 4)  # `rng.uniform`, in a third of its time
