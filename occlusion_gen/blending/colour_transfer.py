"""Colours of an occluder moved towards those of the face, so that a hand looks like the hand of that person.

Everything is estimated on a sample of pixels and applied to the whole patch: what lies beyond the opaque part moves
with what lies beside it, so that no old colours come back at soft edges.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.blending.sliced_transport import SMOOTHING_SHARE, displace, smooth_field
from occlusion_gen.face import Face, Image8, Mask, Patch, measure_once

TransferKind = Literal["sot", "linear_ot", "reinhard", "sot_published"]
Colours = NDArray[np.float32]
Gaussian = tuple[NDArray[np.float64], NDArray[np.float64]]  # mean (3,), covariance (3, 3)

# Of n opaque pixels 25 sqrt(n) are moved: what the drawing adds to the spread over seeds is small for small occluders
# already, and large ones have the time.
SAMPLES_BY_ROOT = 25
MIN_SAMPLES, MAX_SAMPLES = 1024, 8192
GAUSSIAN_SAMPLES = 1000
OPAQUE = 127
VARIANCE_FLOOR = 4.0  # grey levels squared, added to both covariances: a flat occluder must not be stretched to noise
MAX_STRETCH = 3.0


def transfer_colours(kind: TransferKind, *, patch: Patch, face: Face, seed: int, strength: float = 1.0) -> Patch:
    """Return the patch with its colours moved towards those of the visible face; its alpha stays.

    Where nothing of the patch is opaque or nothing of the face visible it comes back as it is.

    Args:
        kind: `sot`: sliced optimal transport of the opaque pixels, smoothed as published. `linear_ot`: the affine
            map between the two Gaussians. `reinhard`: mean and deviation of each Lab channel. `sot_published`: see
            `_published_target`.
        seed: of the pixels and directions that are drawn.
        strength: share of the way. The whole of it gives hands the colours of lips, eyes and hard shadows, too.

    Sources: Voo et al. 2022 (sot); Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping", 2007
        (linear_ot); Reinhard et al., "Color transfer between images", 2001 (reinhard).
    """
    opaque = patch.alpha > OPAQUE
    if face.box is None or cv2.countNonZero(opaque.view(np.uint8)) == 0:
        return patch
    if kind == "linear_ot":
        of_face = measure_once("gaussian", lambda it: gaussian_of(_thinned(it.image, it.visible)), face)
        whole_way = linear_map(gaussian_of(_thinned(patch.colour, opaque)), of_face)
        return patch._replace(colour=cv2.transform(patch.colour, strength * whole_way + (1 - strength) * np.eye(3, 4)))
    rng = np.random.default_rng(seed)
    if kind in ("sot", "sot_published"):
        field = _sliced_field(patch.colour, opaque, face, published=kind == "sot_published", rng=rng)
        if strength < 1:
            field *= np.float32(strength)
        return patch._replace(colour=cv2.add(patch.colour, field, dtype=cv2.CV_8U))  # rounds and saturates
    source = _pixels(patch.colour, _sample(np.flatnonzero(opaque), rng))
    target = _pixels(face.image, _sample(_visible_places(face), rng))
    moved = _reinhard(patch.colour, source, target)
    if strength < 1:
        moved = cv2.addWeighted(moved, strength, patch.colour, 1 - strength, 0)
    return patch._replace(colour=moved)


def _visible_places(face: Face) -> NDArray[np.int64]:
    return measure_once("visible places", lambda it: np.flatnonzero(it.visible), face)


def _sliced_field(
    colour: Image8, opaque: Mask, face: Face, *, published: bool, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return (h, w, 3) float32: the smoothed displacement of a sample of the pixels."""
    rows, columns = np.flatnonzero(opaque.any(axis=1)), np.flatnonzero(opaque.any(axis=0))
    longest = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) + 1
    if published:
        box = np.zeros_like(opaque)
        box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        places = _sample(np.flatnonzero(box), rng)
        source = _pixels(colour, places) * opaque.ravel()[places, None]
        target = _published_target(source, face, rng)
    else:
        places = _sample(np.flatnonzero(opaque), rng)
        source = _pixels(colour, places)
        target = _pixels(face.image, _sample(_visible_places(face), rng, count=len(places)))
    # Equal colours would be ranked as the sorting routine of the machine happens to leave them.
    source += rng.random(source.shape, np.float32) - np.float32(0.5)
    return smooth_field(
        displace(source, target, rng), places=places, size=opaque.shape, sigma_px=SMOOTHING_SHARE * longest
    )


def _published_target(source: Colours, face: Face, rng: np.random.Generator) -> Colours:
    """Return the target colours as published, (n, 3), drawn from the whole box of the face with black background.

    Three oddities, kept for comparison only. The transport moves black background as if it were a colour of the
    occluder. To balance it, values of the face darker than half its mean are counted against black values of the
    occluder, and by the excess, background of the face is painted in the face's mean colour. Colours brighter than
    mean plus deviation in any channel are replaced by exactly that colour, which takes all highlights.

    Source: the release of Voo et al. 2022.
    """
    assert face.box is not None
    x, y, width, height = face.box
    box = slice(y, y + height), slice(x, x + width)
    visible = face.visible[box]
    places = _sample(np.arange(visible.size), rng, count=len(source))
    is_face = visible.ravel()[places, None]
    colours = _pixels(np.ascontiguousarray(face.image[box]), places)
    known = colours[is_face[:, 0]] if is_face.any() else colours
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    target = colours * is_face
    dark, black = int((target < mean / 2).sum()), int((source == 0).sum())
    filled = min(1.0, max(0.0, dark / max(1, black) - 1))
    target[(~is_face[:, 0]) & (rng.random(len(target)) < filled)] = mean
    limit = np.minimum(255, mean + deviation)
    target[(target > mean + deviation).any(axis=1)] = limit
    return target.astype(np.float32)


def linear_map(source: Gaussian, target: Gaussian) -> NDArray[np.float64]:
    """Return the (3, 4) matrix of the optimal map from one Gaussian of colours to another.

    No direction is stretched by more than `MAX_STRETCH`.

    Args:
        source: mean (3,) and covariance (3, 3) of `gaussian_of`.
        target: the same of the colours to reach.
    """
    (source_mean, source_covariance), (target_mean, target_covariance) = source, target
    values, vectors = np.linalg.eigh(source_covariance)
    source_root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    linear = inverse @ _root(source_root @ target_covariance @ source_root) @ inverse
    values, vectors = np.linalg.eigh((linear + linear.T) / 2)
    linear = (vectors * np.minimum(np.maximum(values, 0), MAX_STRETCH)) @ vectors.T
    return np.column_stack([linear, target_mean - linear @ source_mean])


def gaussian_of(colours: Colours) -> Gaussian:
    """Return mean (3,) and regularised covariance (3, 3) of colours (n, 3)."""
    covariance, mean = cv2.calcCovarMatrix(colours, None, cv2.COVAR_NORMAL | cv2.COVAR_ROWS | cv2.COVAR_SCALE)
    return mean[0], covariance + VARIANCE_FLOOR * np.eye(3)


def _reinhard(colour: Image8, source: Colours, target: Colours) -> Image8:
    """Return `colour` with mean and deviation of each Lab channel as in `target`."""
    source_lab, target_lab = _to_lab(source[None])[0], _to_lab(target[None])[0]
    stretch = np.sqrt((target_lab.var(axis=0) + 1) / (source_lab.var(axis=0) + 1))
    stretch = np.minimum(stretch, MAX_STRETCH)
    matrix = np.column_stack([np.diag(stretch), target_lab.mean(axis=0) - stretch * source_lab.mean(axis=0)])
    moved = cv2.transform(_to_lab(colour), matrix)
    return np.rint(np.clip(cv2.cvtColor(moved, cv2.COLOR_Lab2RGB), 0, 1) * 255).astype(np.uint8)


def _to_lab(colour: NDArray[np.generic]) -> Colours:
    return cv2.cvtColor(colour.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric square root of a positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _sample(places: NDArray[np.int64], rng: np.random.Generator, *, count: int | None = None) -> NDArray[np.int64]:
    """Return `count` of the places, evenly spread; the same place several times where there are fewer.

    Args:
        count: None: as many as there are, within bounds.
    """
    count = count or min(max(int(SAMPLES_BY_ROOT * math.sqrt(len(places))), MIN_SAMPLES), MAX_SAMPLES)
    steps = (np.arange(count) + rng.random(count)) * (len(places) / count)
    return places[np.minimum(steps.astype(np.int64), len(places) - 1)]


def _thinned(image: Image8, inside: Mask) -> Colours:
    """Return colours (n, 3) of a thousand or two evenly spread pixels inside, of all of them where they are few.

    Mean and covariance need no more, and no random numbers.
    """
    step = max(1, math.isqrt(cv2.countNonZero(inside.view(np.uint8)) // GAUSSIAN_SAMPLES))
    colours = image[::step, ::step][inside[::step, ::step]]
    return (colours if len(colours) else image[inside]).astype(np.float32)


def _pixels(image: Image8, places: NDArray[np.int64]) -> Colours:
    return image.reshape(-1, 3)[places].astype(np.float32)
