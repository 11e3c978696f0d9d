"""Heads as a camera sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlusion_gen.eyewear.head import HEAD_MM


def head_seen(*, yaw_deg: float = 0, roll_deg: float = 0, px_per_mm: float = 1.2) -> NDArray[np.float64]:
    """Return 68 landmarks of the average head, of which those that count are right, as a far camera sees them."""
    yaw, roll = np.radians([yaw_deg, roll_deg])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0]])
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]) @ turn
    landmarks = np.zeros((68, 2))
    landmarks[list(HEAD_MM)] = px_per_mm * np.array(list(HEAD_MM.values()), float) @ turn.T + 128
    return landmarks
