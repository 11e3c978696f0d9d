"""2x3 transforms between frames, and the one place that says where a pixel is.

Convention: points are (x, y) in pixels and an integer coordinate is the *centre* of a pixel, so that an image of
size (height, width) covers x in [-0.5, width - 0.5]. A transform is a (2, 3) float64 matrix that maps points of the
source frame to the target frame; `photo_to_crop` maps points of the photo to points of the crop. The same matrix,
and nothing else, moves image, labels and landmarks.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]
Points = NDArray[np.floating]
Fill = Literal["reflect_blur", "reflect", "nearest", "black", "legacy"]

LEGACY_BLUR_PX = 10
AREA_FILTER_ABOVE = 2.0  # shrinking by more than this aliases under bilinear sampling


def fit_similarity(source_px: Points, target_px: Points) -> Affine:
    """Return the similarity that maps `source_px` onto `target_px` with the least squared error.

    Args:
        source_px: (L, 2), points (x, y), L >= 2, not all equal.
        target_px: (L, 2), same order as `source_px`.

    Raises:
        ValueError: the shapes differ, a value is not finite, or the source points coincide.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991,
        equations 40-42.
    """
    source, target = _point_pair(source_px, target_px, minimum=2)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred, target_centred = source - source_mean, target - target_mean
    variance = (source_centred**2).sum() / len(source)
    if variance < 1e-12:
        raise ValueError("the source points coincide; a similarity needs two different points")
    left, singular, right = np.linalg.svd(target_centred.T @ source_centred / len(source))
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0])
    rotation = left @ np.diag(signs) @ right
    scale = (singular * signs).sum() / variance
    linear = scale * rotation
    return np.hstack([linear, (target_mean - linear @ source_mean)[:, None]])


def compose(outer: Affine, inner: Affine) -> Affine:
    """Return the transform that applies `inner` first, then `outer`."""
    composed = outer[:, :2] @ inner
    composed[:, 2] += outer[:, 2]
    return composed


def invert(matrix: Affine) -> Affine:
    """Return the inverse transform.

    Raises:
        ValueError: the transform has no inverse.
    """
    (a, b, x), (c, d, y) = matrix.tolist()  # plain numbers: a tenth of the time of NumPy's
    determinant = a * d - b * c
    if abs(determinant) < 1e-12:
        raise ValueError(f"the transform {matrix.tolist()} has no inverse")
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y]])


def scaling(source_size: tuple[int, int], target_size: tuple[int, int]) -> Affine:
    """Return the transform that stretches an image of `source_size` to `target_size`, both (height, width)."""
    ratio_y, ratio_x = target_size[0] / source_size[0], target_size[1] / source_size[1]
    return np.array([[ratio_x, 0.0, (ratio_x - 1) / 2], [0.0, ratio_y, (ratio_y - 1) / 2]])


def enlarging(factor: float) -> Affine:
    """Return the transform from an image shrunk by `factor` (0.5: half as wide and high) to the image itself."""
    return np.array([[1 / factor, 0.0, (1 / factor - 1) / 2], [0.0, 1 / factor, (1 / factor - 1) / 2]])


def apply_to_points(matrix: Affine, points: Points) -> NDArray[np.float64]:
    """Return the points (L, 2), as (x, y) pixels, in the target frame."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


def scale_of(matrix: Affine) -> float:
    """Return the mean length scale: target pixels per source pixel."""
    return math.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))


def apply_to_image(
    matrix: Affine, image: NDArray[np.uint8], *, size: tuple[int, int], fill: Fill = "reflect_blur"
) -> NDArray[np.uint8]:
    """Return `image` warped to the target frame, with an area filter where it shrinks by more than 2.

    Args:
        matrix: source to target.
        image: (H, W) or (H, W, C) uint8.
        size: (height, width) of the result.
        fill: what stands outside the source: its mirror image blurred away from the edge, its sharp mirror image,
            its outermost pixels, black, or its mirror image under a box blur that begins at once and always covers
            the last row and column. Source of the last: FaceOcc release.
    """
    image, to_target = shrink_by_area(image, matrix)
    height, width = size
    border = {"black": cv2.BORDER_CONSTANT, "nearest": cv2.BORDER_REPLICATE}.get(fill, cv2.BORDER_REFLECT_101)
    if image.ndim == 3 and image.shape[2] == 3 and image.shape[0] * image.shape[1] <= 4 * height * width:
        # OpenCV moves four channels in half the time that it takes for three.
        four = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
        four = cv2.warpAffine(four, to_target, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        warped = cv2.cvtColor(four, cv2.COLOR_RGBA2RGB)
    else:
        warped = cv2.warpAffine(image, to_target, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
    if fill == "reflect_blur":
        return _blur_outside(warped, image.shape[:2], to_target)
    return _box_blur_outside(warped, image.shape[:2], to_target) if fill == "legacy" else warped


def apply_to_label(matrix: Affine, label: NDArray[np.uint8], *, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the label map (H, W) uint8 in the target frame: nearest neighbour, 0 outside the source."""
    return cv2.warpAffine(label, matrix, (size[1], size[0]), flags=cv2.INTER_NEAREST, borderValue=0)


def apply_to_map(
    matrix: Affine, values: NDArray[np.float32], *, size: tuple[int, int], outside: float = 0.0
) -> NDArray[np.float32]:
    """Return a real-valued map (H, W) or (H, W, C) float32 in the target frame, bilinear.

    A target pixel belongs to the source if its centre lies within the source's outer edge; values there never mix
    with `outside`, so that a map that is constant up to its edge stays so.

    Args:
        matrix: source to target.
        values: (h, w) or (h, w, C) float32.
        size: (height, width) of the result.
        outside: value beyond the source's edge.
    """
    width_height = (size[1], size[0])
    moved = cv2.warpAffine(values, matrix, width_height, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones(values.shape[:2], np.uint8), matrix, width_height, flags=cv2.INTER_NEAREST) > 0
    return np.where(inside if moved.ndim == 2 else inside[..., None], moved, np.float32(outside))


def _point_pair(source_px: Points, target_px: Points, *, minimum: int) -> tuple[Affine, Affine]:
    source, target = np.asarray(source_px, dtype=np.float64), np.asarray(target_px, dtype=np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < minimum:
        raise ValueError(
            f"expected two arrays (L, 2) of equal shape with L >= {minimum}, found {source.shape} and {target.shape}"
        )
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("points must be finite numbers")
    return source, target


def shrink_by_area(image: NDArray[np.uint8], matrix: Affine) -> tuple[NDArray[np.uint8], Affine]:
    """Return the image shrunk by a whole factor with an area filter, and the matrix that goes on from there."""
    shrinking = 1.0 / max(scale_of(matrix), 1e-6)
    if shrinking <= AREA_FILTER_ABOVE:
        return image, matrix
    factor = int(shrinking + 1e-6)  # a whole factor must not fall to the next lower one by rounding
    height, width = image.shape[:2]
    small_size = (max(1, round(height / factor)), max(1, round(width / factor)))
    small = cv2.resize(image, (small_size[1], small_size[0]), interpolation=cv2.INTER_AREA)
    return small, compose(matrix, invert(scaling((height, width), small_size)))


def _blur_outside(warped: NDArray[np.uint8], source_size: tuple[int, int], matrix: Affine) -> NDArray[np.uint8]:
    """Blend the mirrored surroundings into a blurred copy, the more the farther they are from the source."""
    outside = cv2.bitwise_not(_inside(warped, source_size, matrix))
    left, top, wide, high = cv2.boundingRect(outside)
    if wide == 0:
        return warped
    sigma_px = 0.03 * max(warped.shape[:2])
    # With the pixels of the source next to it, from which the distance is measured in steps of up to two.
    part = np.s_[max(top - 2, 0) : top + high + 2, max(left - 2, 0) : left + wide + 2]
    distance_px = cv2.distanceTransform(outside[part], cv2.DIST_L2, 5)
    share = cv2.min(distance_px * np.float32(1 / (2 * sigma_px)), 1.0)
    mixed = cv2.blendLinear(_blurred_part(warped, part, sigma_px), warped[part], share, 1 - share)
    warped[part] = mixed.reshape(warped[part].shape)
    return warped


def _blurred_part(image: NDArray[np.uint8], part: tuple[slice, slice], sigma_px: float) -> NDArray[np.uint8]:
    """Return `_strong_blur` of rows and columns of an image, mostly a few at an edge, from what the blur reaches."""
    reach_px = math.ceil(4 * sigma_px)
    rows, columns = part
    top, left = max(rows.start - reach_px, 0), max(columns.start - reach_px, 0)
    blurred = _strong_blur(image[top : rows.stop + reach_px, left : columns.stop + reach_px], sigma_px)
    return blurred[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _box_blur_outside(warped: NDArray[np.uint8], source_size: tuple[int, int], matrix: Affine) -> NDArray[np.uint8]:
    inside = _inside(warped, source_size, matrix) > 0
    inside[-1], inside[:, -1] = False, False
    blurred = cv2.blur(warped, (LEGACY_BLUR_PX, LEGACY_BLUR_PX)).reshape(warped.shape)
    return np.where(inside if warped.ndim == 2 else inside[..., None], warped, blurred)


def _inside(warped: NDArray[np.uint8], source_size: tuple[int, int], matrix: Affine) -> NDArray[np.uint8]:
    """Return 255 where a pixel of `warped` lies in the source, else 0: (H, W) uint8."""
    width_height = (warped.shape[1], warped.shape[0])
    return cv2.warpAffine(np.full(source_size, 255, np.uint8), matrix, width_height, flags=cv2.INTER_NEAREST)


def _strong_blur(image: NDArray[np.uint8], sigma_px: float) -> NDArray[np.uint8]:
    """Return the image under a Gaussian, computed on a smaller copy: no eye can tell, and it takes a tenth as long."""
    height, width = image.shape[:2]
    factor = max(1, int(sigma_px / 2))
    small_size = (max(1, width // factor), max(1, height // factor))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / factor, borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
