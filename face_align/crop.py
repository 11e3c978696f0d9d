"""Where a crop lies in its photo: one 2x3 transform a face, and the crop itself.

| method      | needs                  | what it does                                                           |
|-------------|------------------------|------------------------------------------------------------------------|
| pos3d       | five points            | scale and translation by a 3-D head; a rolled head stays rolled        |
| similarity5 | five points            | rotation, too: the points onto a template, or the rule of FFHQ         |
| bbox        | all landmarks          | a square around them with room for the forehead (`face_align.squares`) |
| box         | a box or all landmarks | the square of a detector's box, grown (`face_align.squares`)           |
| none        | nothing                | the photo is a crop already and is stretched                           |
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, Fill, apply_to_image, apply_to_points, compose, fit_similarity, scale_of, scaling
from common.image_io import ImageSource, read_image
from face_align.squares import Box, around_box, around_landmarks, extent

Method = Literal["pos3d", "similarity5", "bbox", "box", "none"]
Points = NDArray[np.float64]


# Five points of a mean head, x to image-right, y up, z to the camera. Source: FaceOcc release.
HEAD_TEMPLATE: Points = np.array(
    [
        [-0.31148657, 0.29036078, 0.13377953],
        [0.30979887, 0.28972036, 0.13179526],
        [0.00325350, -0.04617932, 0.55244243],
        [-0.25216928, -0.38133916, 0.22405732],
        [0.24846619, -0.38128236, 0.22235769],
    ]
)
LEAST_SQUARES = np.linalg.pinv(np.column_stack([HEAD_TEMPLATE, np.ones(5)]))  # (4, 5): from points to unknowns
CROP_SHARE_PER_UNIT = 116.0 / 256.0  # one unit of the head template is this share of the crop's side
LEGACY_PHOTO_PX = 512  # FaceOcc's code stretches every photo to this square first

# Where the five points shall land, with the side of the crop they are given for. `ffhq` is no target but a rule, see
# `_ffhq_rule`; its points are where the rule puts a face that stands on `faceocc256`.
TEMPLATES: dict[str, tuple[int, Points]] = {
    "faceocc256": (
        256,
        np.array([[91.87, 94.32], [163.94, 94.39], [128.38, 133.36], [98.75, 172.24], [156.82, 172.23]]),
    ),
    "arcface112": (
        112,
        np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]),
    ),
}


def photo_to_crop(
    points: Points | None,
    *,
    photo_size: tuple[int, int],
    method: Method,
    size: int,
    template: str = "faceocc256",
    landmarks: Points | None = None,
    box: Box | None = None,
    box_scale: float = 1.3,
    legacy_offsets: bool = False,
    legacy_clip: bool = False,
) -> Affine:
    """Return the transform from photo pixels to pixels of a square crop.

    Args:
        points: (5, 2) (x, y) pixels of the photo: eyes, nose tip, mouth corners, image-left first. None where the
            method needs none.
        photo_size: (height, width).
        method: see the module.
        size: side of the crop in pixels.
        template: name in `TEMPLATES`, for `similarity5`.
        landmarks: (L, 2) pixels of the photo, the whole face, for `bbox`, and for `box` where there is no `box`.
        box: (x, y, width, height) of a detector, for `box`.
        box_scale: side of the crop / longer side of the box, for `box`.
        legacy_offsets: `pos3d` as FaceOcc's code has it, one pixel of its 512 px photo higher.
        legacy_clip: `bbox` as published: cut at the photo's edges, and stretched, instead of padded.

    Raises:
        ValueError: points of another shape, coinciding points, or an unknown method or template.
    """
    if method == "none":
        return scaling(photo_size, (size, size))
    if method == "box" and box is not None:
        return around_box(box, scale=box_scale, size=size)
    if method in ("bbox", "box"):
        if landmarks is None:
            raise ValueError(f"the method {method!r} needs landmarks of the whole face, these are only five points")
        if method == "box":
            return around_box(extent(landmarks), scale=box_scale, size=size)
        return around_landmarks(landmarks, photo_size=photo_size, size=size, legacy_clip=legacy_clip)
    if points is None or points.shape != (5, 2):
        raise ValueError(f"expected five points (5, 2), found {'none' if points is None else points.shape}")
    if method == "pos3d":
        return _legacy_head(points, photo_size, size) if legacy_offsets else _fit_head(points, photo_size[0], size)
    if method == "similarity5":
        if template not in TEMPLATES:
            raise ValueError(f"unknown template {template!r}; known: {', '.join(TEMPLATES)}")
        if template == "ffhq":
            return _ffhq_rule(points, size)
        template_size, target = TEMPLATES[template]
        return fit_similarity(points, target * (size / template_size))
    raise ValueError(f"unknown method {method!r}; known: pos3d, similarity5, bbox, box, none")


def read_crop(
    photo: ImageSource, photo_to_crop: Affine, *, photo_size: tuple[int, int], size: int, fill: Fill = "reflect_blur"
) -> NDArray[np.uint8]:
    """Return the crop (size, size, 3) uint8 RGB of a photo on disk, decoding no more of a JPEG than the crop needs.

    Args:
        photo: its path, or the file once it has been read.
        photo_to_crop: for the photo at its own size.
        photo_size: (height, width) of the photo, see `common.image_io.image_size`.
        size: side of the crop in pixels.
        fill: what stands outside the photo.

    Raises:
        UnreadableImageError: the photo cannot be read.
    """
    # As much as the crop shrinks and no more: what is left stays above one pixel of the photo to one of the crop.
    decoded = read_image(photo, shrink=int(1.0 / max(scale_of(photo_to_crop), 1e-6) + 1e-6))
    from_decoded = scaling((decoded.shape[0], decoded.shape[1]), photo_size)
    return apply_to_image(compose(photo_to_crop, from_decoded), decoded, size=(size, size), fill=fill)


def residual_px(matrix: Affine, points: Points, size: int, template: str | None = "faceocc256") -> float:
    """Return the mean distance, in crop pixels, of the moved five points to the frontal face at `size`.

    A large value tells of a turned head, or of wrong landmarks.

    Args:
        matrix: photo to crop.
        points: (5, 2) pixels of the photo.
        size: side of the crop in pixels.
        template: name in `TEMPLATES`; None, for methods that aim at no points: the frontal face is laid on first.

    Raises:
        ValueError: template None, and the points coincide.
    """
    template_size, target = TEMPLATES["faceocc256" if template is None else template]
    moved, target = apply_to_points(matrix, points), target * (size / template_size)
    if template is None:
        target = apply_to_points(fit_similarity(target, moved), target)
    return float(np.linalg.norm(moved - target, axis=1).mean())


def _fit_head(points: Points, height: int, size: int) -> Affine:
    """Return scale and translation from a weak-perspective fit of `HEAD_TEMPLATE`.

    Solves x = r1.X + tx and y_up = r2.X + ty for eight unknowns by least squares.

    Source: FaceOcc release; the same family as Deep3DFaceRecon (Deng et al. 2019).
    """
    upward = np.column_stack([points[:, 0], height - 1 - points[:, 1]])  # (5, 2)
    solution = LEAST_SQUARES @ upward  # (4, 2): columns are (r1, tx) and (r2, ty)
    scale = np.linalg.norm(solution[:3], axis=0).mean()  # photo pixels per template unit
    if scale < 1e-6:
        raise ValueError("the five points coincide")
    shift_x, shift_y = solution[3]
    ratio = CROP_SHARE_PER_UNIT * size / scale
    # x' = ratio (x - tx) + S/2;  y' = S/2 - ratio (y_up - ty) with y_up = height - 1 - y
    return np.array([[ratio, 0.0, size / 2 - ratio * shift_x], [0.0, ratio, size / 2 - ratio * (height - 1 - shift_y)]])


def _legacy_head(points: Points, photo_size: tuple[int, int], size: int) -> Affine:
    """Return `_fit_head` on the photo stretched to 512 x 512, one of its pixels higher: y' is smaller by the ratio.

    Source: the published crops' five points, which lie 0.56 px above the projected head at 256 px.
    """
    stretched = scaling(photo_size, (LEGACY_PHOTO_PX, LEGACY_PHOTO_PX))
    matrix = _fit_head(apply_to_points(stretched, points), LEGACY_PHOTO_PX, size)
    matrix[1, 2] -= matrix[1, 1]
    return compose(matrix, stretched)


def _ffhq_rule(points: Points, size: int) -> Affine:
    """Return the turned square that CelebA-HQ and FFHQ were cut by, from the centres of eyes and mouth.

    Half of a side is the longer of 2 eye distances and 1.8 distances from the eyes to the mouth; the direction is the
    mean of the line of the eyes and the normal of eyes to mouth; the centre lies a tenth from the eyes to the mouth.

    Source: Karras et al. 2018, "Progressive growing of GANs", appendix C.
    """
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    across, down = points[1] - points[0], mouth - eyes
    direction = across + np.array([down[1], -down[0]])
    length = float(np.linalg.norm(direction))
    half_side = max(2.0 * float(np.linalg.norm(across)), 1.8 * float(np.linalg.norm(down)))
    if length < 1e-9 or half_side < 1e-6:
        raise ValueError("the five points coincide, or the mouth stands above the eyes by as much as these are apart")
    right = direction / length
    linear = size / (2 * half_side) * np.array([[right[0], right[1]], [-right[1], right[0]]])
    centre = eyes + 0.1 * down
    return np.hstack([linear, ((size - 1) / 2 - linear @ centre)[:, None]])


def _ffhq_positions() -> tuple[int, Points]:
    size, target = TEMPLATES["faceocc256"]
    return size, apply_to_points(_ffhq_rule(target, size), target)


TEMPLATES["ffhq"] = _ffhq_positions()
