"""Random changes of training samples: one warp for image and masks, and photometric changes by albumentations."""

from __future__ import annotations

import functools
import math
import os
import random
import warnings
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.geometry import Affine, compose, scaling
from common.labels import exchange_sides
from common.lockstep import Steps, at_once
from common.padded_warp import margins_px, pad, warp_rgb_padded
from configs.schema import AugmentSection

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask a server for the newest version
import albumentations as A

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
TO_YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # FCC NTSC, 1953
FROM_YIQ = np.linalg.inv(TO_YIQ)


@dataclass(frozen=True)
class Augmenter:
    """Changes image and masks together; every decision comes from the generator that is handed in."""

    section: AugmentSection
    photometric: A.Compose

    def steps(
        self,
        rng: np.random.Generator,
        *,
        image: Image8,
        masks: NDArray[np.uint8],
        size: int,
        parts_channel: int | None = None,
    ) -> Steps[tuple[Image8, NDArray[np.uint8]]]:
        """Return image (S, S, 3) and masks (S, S, C) after a random warp and photometric changes, step by step.

        Args:
            image: (H, W, 3) uint8 RGB.
            masks: (H, W, C) uint8, 0 to 255.
            size: side S of the result in pixels.
            parts_channel: which of the masks holds class ids, whose left and right change places in a mirror.
        """
        matrix = self._draw_warp(rng, image.shape[:2], size)
        seed = int(rng.integers(2**31))
        image, masks = warp(matrix, image=image, masks=masks, size=size)
        if parts_channel is not None and np.linalg.det(matrix[:, :2]) < 0:
            masks[..., parts_channel] = exchange_sides(masks[..., parts_channel])
        yield
        # One generator for all steps: `set_random_seed` would give each its own with the same seed, and then the
        # rarer ones only ever happen together with all that are more frequent.
        self.photometric.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return self.photometric(image=image)["image"], masks

    __call__ = at_once(steps)

    def _draw_warp(self, rng: np.random.Generator, source_size: tuple[int, int], size: int) -> Affine:
        section = self.section
        flip = rng.random() < section.flip_share
        angle = math.radians(rng.uniform(-section.rotation_deg, section.rotation_deg))
        if section.rotation_share < 1 and rng.random() >= section.rotation_share:
            angle = 0.0
        scale = rng.uniform(*section.scale)
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        mirrored = -1.0 if flip else 1.0
        linear = np.array([[cosine * mirrored, -sine], [sine * mirrored, cosine]])
        if section.legacy_translation:
            # Published as a step of the sampling grid, in half sides: content goes the other way, turned and scaled.
            shift = -linear @ np.full(2, rng.uniform(0, section.translation) * (size - 1) / 2)
        else:
            shift = rng.uniform(-section.translation, section.translation, 2) * size
        centre = np.full(2, (size - 1) / 2)
        about_centre = np.hstack([linear, (centre + shift - linear @ centre)[:, None]])
        return compose(about_centre, scaling(source_size, (size, size)))


def warp(matrix: Affine, *, image: Image8, masks: NDArray[np.uint8], size: int) -> tuple[Image8, NDArray[np.uint8]]:
    """Return image (S, S, 3) and masks (S, S, C) moved by `matrix`; both are mirrored beyond the edge and agree."""
    moved = warp_rgb_padded(image, matrix, size=(size, size), border=cv2.BORDER_REFLECT_101)
    # Two masks are moved as one of 16 bits, in a third of the time.
    masks = masks.view(np.uint16) if masks.shape[2] == 2 else masks
    margins = margins_px(matrix, masks.shape, (size, size))
    mirrored, from_mirrored = pad(masks, matrix, margins, border=cv2.BORDER_REFLECT_101)
    moved_masks = cv2.warpAffine(mirrored, from_mirrored, (size, size), flags=cv2.INTER_NEAREST)
    return moved, moved_masks.view(np.uint8).reshape(size, size, -1)


class ColourJitter(A.ColorJitter):  # type: ignore[misc]  # albumentations has no types
    """Brightness, contrast, saturation and hue in a random order; what `A.ColorJitter` does, in a tenth of the time.

    All steps together are one matrix, so that rounding and clipping take place once and not after each. Hue is turned
    in YIQ, as NVIDIA DALI and MXNet do it: by `hue` of a whole turn, luma stays, and there are none of the steps of 2
    degrees that HSV has in 8 bits.
    """

    def apply(
        self, img: Image8, brightness: float, contrast: float, saturation: float, hue: float, order: list[int], **_: Any
    ) -> Image8:
        """Return `img` (H, W, 3) uint8 with its colours changed."""
        whole, mean = np.eye(3, 4), np.array([*cv2.mean(img)[:3], 1.0])
        for step in order:
            if step == 0:
                whole *= brightness
            elif step == 1:
                grey = LUMA @ whole @ mean
                whole *= contrast
                whole[:, 3] += (1 - contrast) * grey
            elif step == 2:
                whole = (saturation * np.eye(3) + (1 - saturation) * LUMA) @ whole
            else:
                whole = _hue_matrix(2 * math.pi * hue) @ whole
        return cv2.transform(img, whole)


def _hue_matrix(angle: float) -> NDArray[np.float64]:
    """Return the matrix (3, 3) that turns the colours of RGB in the plane of chroma, red towards yellow; grey stays."""
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    return FROM_YIQ @ turn @ TO_YIQ


class SensorNoise(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations has no types
    """Adds Gaussian noise; what `A.GaussNoise` does, in a fifteenth of the time.

    The noise is a window, drawn anew for each image, of a field that was drawn once.

    Args:
        std_range: standard deviation, a share of 255.
        p: share of images.
    """

    FIELD_PX = 1024

    def __init__(self, *, std_range: tuple[float, float], p: float) -> None:
        super().__init__(p=p)
        self.std_range = std_range

    def get_params(self) -> dict[str, Any]:
        """Return standard deviation in grey levels and the window's place, drawn from the transform's own seed."""
        return {
            "sigma": 255 * self.py_random.uniform(*self.std_range),
            "place": (self.py_random.random(), self.py_random.random()),
        }

    def apply(self, img: Image8, sigma: float, place: tuple[float, float], **_: Any) -> Image8:
        """Return `img` (H, W, 3) uint8 with noise."""
        height, width = img.shape[:2]
        field = _noise_field(max(self.FIELD_PX, height, width))
        y, x = (int(share * (len(field) - side + 1)) for share, side in zip(place, (height, width), strict=True))
        noise = field[y : y + height, x : x + width] * np.float32(sigma)
        return cv2.add(img, noise, dtype=cv2.CV_8U)


@functools.lru_cache(maxsize=1)
def _noise_field(side_px: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((side_px, side_px, 3), np.float32)


def build_augmenter(section: AugmentSection) -> Augmenter:
    """Return the augmenter that the configuration describes.

    Raises:
        UserError: the installed albumentations does not know an argument, which it would only warn of.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return Augmenter(
                section, A.Compose([*_colour_steps(section), *_gamma_steps(section), *_damage_steps(section)])
            )
    except UserWarning as warning:
        raise UserError(f"albumentations {A.__version__} does not do as told ({warning}); install 2.0.8") from warning


def _colour_steps(section: AugmentSection) -> list[Any]:
    share = section.photometric_share
    ranges = {
        "brightness": (1 - section.brightness, 1 + section.brightness),
        "contrast": (1 - section.contrast, 1 + section.contrast),
        "saturation": (1 - section.saturation, 1 + section.saturation),
        "hue": (-section.hue, section.hue),
    }
    if section.photometric_mode == "together":
        return [ColourJitter(**ranges, p=share)]
    still = {"brightness": (1.0, 1.0), "contrast": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": (0.0, 0.0)}
    brightness = A.RandomBrightnessContrast(
        brightness_limit=section.brightness, contrast_limit=0.0, brightness_by_max=True, p=share
    )
    contrast = A.RandomBrightnessContrast(brightness_limit=0.0, contrast_limit=section.contrast, p=share)
    return [
        brightness,
        contrast,
        *(A.ColorJitter(**{**still, name: ranges[name]}, p=share) for name in ("saturation", "hue")),
    ]


def _gamma_steps(section: AugmentSection) -> list[Any]:
    if section.gamma_share == 0:
        return []  # also a step that never happens draws numbers, and all samples of older runs would change
    low, high = section.gamma
    return [A.RandomGamma(gamma_limit=(100 * low, 100 * high), p=section.gamma_share)]


def _damage_steps(section: AugmentSection) -> list[Any]:
    return [
        A.ToGray(p=section.grey_share),
        A.OneOf([A.GaussianBlur(blur_limit=(3, 7)), A.MotionBlur(blur_limit=(3, 7))], p=section.blur_share),
        A.ImageCompression(quality_range=(40, 95), p=section.jpeg_share),
        SensorNoise(std_range=section.noise, p=section.noise_share),
    ]
