"""Bends of cut-outs: a smooth field of displacements, so that few photos of hands make many poses."""

from __future__ import annotations

import cv2
import numpy as np

from occlusion_gen.blending.compositing import binary
from occlusion_gen.face import Params, Patch

NODES = 3  # a side, inside a rim that stays where it is: nothing is moved out of the patch


def draw_bend(rng: np.random.Generator, limits: tuple[float, float]) -> Params:
    """Return the random decisions about a bend.

    Args:
        limits: range of the largest displacement, as a share of the longer side of the patch.
    """
    share = float(rng.uniform(*limits))
    nodes = rng.uniform(-1, 1, (NODES, NODES, 2)) * share
    return {"nodes": np.round(nodes, 4).tolist()}


def bend(params: Params, patch: Patch) -> Patch:
    """Return the patch with its content moved by the drawn field; equal parameters give equal bytes."""
    height, width = patch.alpha.shape
    if patch.alpha.size == 0:
        return patch
    grid = np.zeros((NODES + 2, NODES + 2, 2), np.float32)
    grid[1:-1, 1:-1] = np.array(params["nodes"], np.float32) * max(height, width)
    field = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    field += np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
    colour = cv2.remap(patch.colour, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.remap(patch.alpha, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return patch._replace(colour=colour, alpha=alpha, hides=binary(alpha))
