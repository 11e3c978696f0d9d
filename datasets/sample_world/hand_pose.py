"""What a hand does: its pose, and the tapered limbs that make it.

Hand frame: the unit is the width of the palm, x to image-right, y towards the finger tips (down in the file), the
origin at the wrist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from datasets.sample_world.canvas import Points

POSES = ("open", "relaxed", "fist", "two", "point")
FINGER_ROOTS = np.array([(-0.36, 0.98), (-0.12, 1.06), (0.13, 1.03), (0.36, 0.93)])  # index to little finger
FINGER_LENGTHS = (0.92, 1.02, 0.95, 0.74)
FINGER_WIDTHS = (0.115, 0.12, 0.113, 0.098)  # radii at the root


class Limb(NamedTuple):
    """A tapered tube along `path` (n, 2) with `radii` (n,), raised by `lift`; `nail` says whether its end has one."""

    path: Points
    radii: Points
    lift: float
    nail: bool
    joints: tuple[int, ...] = ()


@dataclass(frozen=True)
class HandLook:
    """Everything about one hand; angles in radians, `depth` of the skin as in the face."""

    pose: str = "open"
    side: int = 1
    back: bool = True
    depth: float = 0.3
    spread: float = 0.12
    curls: tuple[float, float, float, float] = (0.1, 0.05, 0.08, 0.15)
    slim: float = 1.0
    forearm: float = 1.1
    bend: float = 0.0
    sleeve: tuple[float, float, float] | None = None
    nail: tuple[float, float, float] | None = None


def draw_hand(rng: np.random.Generator, *, depth: float | None = None) -> HandLook:
    """Return a hand in one of `POSES`; `depth` fixes the skin tone."""
    pose = str(rng.choice(POSES, p=[0.3, 0.3, 0.14, 0.13, 0.13]))
    curls = rng.uniform(0.0, 0.16, 4) if pose == "open" else rng.uniform(0.2, 0.5) + np.sort(rng.uniform(0, 0.15, 4))
    sleeve = tuple(rng.uniform(0.1, 0.85, 3).tolist()) if rng.random() < 0.3 else None
    nail = tuple(rng.uniform((0.5, 0.05, 0.1), (0.8, 0.3, 0.45)).tolist()) if rng.random() < 0.2 else None
    return HandLook(
        pose=pose,
        side=int(rng.choice([-1, 1])),
        back=bool(pose == "fist" or rng.random() < 0.65),
        depth=float(rng.beta(1.0, 1.25)) if depth is None else depth,
        spread=float(rng.uniform(0.03, 0.17)),
        curls=(float(curls[0]), float(curls[1]), float(curls[2]), float(curls[3])),
        slim=float(rng.uniform(0.85, 1.08)),
        forearm=float(rng.uniform(0.7, 1.3)),
        bend=float(rng.normal(0, 0.12)),
        sleeve=sleeve,
        nail=nail,
    )


def _finger(look: HandLook, number: int, *, folded: bool) -> Limb:
    """Return a finger; a folded one shows only its first bone and ends at the knuckle of the second."""
    root, length, width = FINGER_ROOTS[number], FINGER_LENGTHS[number], FINGER_WIDTHS[number] * look.slim
    fan = (number - 1.4) * look.spread
    curl = look.curls[number]
    if folded:
        end = root + 0.34 * length * np.array([np.sin(fan * 0.4), 0.72])
        path = np.stack([root - [0.0, 0.12], root + 0.4 * (end - root), end])
        return Limb(path, np.array([1.05, 1.12, 1.08]) * width, 0.10, False, (1,))
    shares = np.cumsum([0.0, 0.46, 0.30, 0.24]) * length
    # Bones that bend away from the viewer look shorter.
    shrink = np.array([1.0, np.cos(0.7 * curl), np.cos(1.5 * curl), np.cos(2.2 * curl)])
    turn = fan * (1.0 - 0.6 * curl)
    points = root + (shares * np.cumprod(shrink) ** 0.6)[:, None] * np.array([np.sin(turn), np.cos(turn)])
    points = points + np.column_stack([0.10 * curl * np.sin(np.linspace(0, np.pi, 4)), np.zeros(4)])
    path = np.concatenate([[root - [0.25 * np.sin(fan), 0.25]], points])
    radii = np.array([1.0, 1.0, 0.99, 0.93, 0.80]) * width
    return Limb(path, radii, 0.03, True, (2, 3))


def _thumb(look: HandLook) -> Limb:
    width = 0.138 * look.slim
    if look.pose in ("fist", "two", "point"):
        path = np.array([(-0.40, 0.42), (-0.50, 0.74), (-0.36, 0.98), (-0.08, 1.10)])
        return Limb(path, np.array([1.35, 1.15, 1.0, 0.86]) * width, 0.20, True, (2,))
    out = 0.10 + 1.6 * look.spread
    path = np.array([(-0.32, 0.25), (-0.52 - 0.2 * out, 0.55), (-0.62 - 0.7 * out, 0.90), (-0.63 - 0.9 * out, 1.22)])
    return Limb(path, np.array([1.6, 1.25, 1.0, 0.80]) * width, 0.04, True, (2,))


def limbs_of(look: HandLook) -> list[Limb]:
    """Return the limbs of a right hand seen from behind, arm first, thumb last, in hand units."""
    straight = {"open": (0, 1, 2, 3), "relaxed": (0, 1, 2, 3), "fist": (), "two": (0, 1), "point": (0,)}[look.pose]
    arm = np.array([(0.25 * look.bend, -look.forearm - 0.5), (0.1 * look.bend, -0.5), (0.0, 0.05), (0.0, 0.3)])
    wrist = 0.36 * look.slim**0.5
    limbs = [Limb(arm, np.array([1.28, 1.08, 0.95, 0.62]) * wrist, 0.0, False)]
    for number in range(4):
        start = np.array([-0.17 + 0.115 * number, 0.16])
        middle = 0.5 * (start + FINGER_ROOTS[number]) * np.array([1.12, 1.0])
        limbs.append(Limb(np.stack([start, middle, FINGER_ROOTS[number]]), np.array([0.19, 0.215, 0.17]), 0.0, False))
    order = (3, 2, 1, 0)
    limbs += [_finger(look, number, folded=number not in straight) for number in order]
    return [*limbs, _thumb(look)]
