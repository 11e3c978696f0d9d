"""Class names, ids and colours, and the policy that says which classes are the face.

Stored label maps keep every part; what counts as face is decided when they are read. Ids are those of
CelebAMask-HQ's own label maps, followed by ours for occluders. Other published code numbers the parts differently:
map by name, never by id.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Eyeglasses = Literal["occluder", "face", "lenses_are_face", "ignore"]

# Order = id = the painting order of the data set: later parts overwrite earlier ones.
CELEBAMASK_PARTS = (
    "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
OCCLUDER_PARTS = ("mask", "hand", "object", "shape")
UNKNOWN_PART = "unknown"  # nobody knows what is there, or the data set is wrong: neither learnt nor scored
PART_NAMES = ("background", *CELEBAMASK_PARTS, *OCCLUDER_PARTS, UNKNOWN_PART)
PART_ID = {name: index for index, name in enumerate(PART_NAMES)}
FACE_PARTS = ("skin", "l_brow", "r_brow", "l_eye", "r_eye", "nose", "mouth", "u_lip", "l_lip")
SEEN_THROUGH_LENSES = ("l_eye", "r_eye", "l_brow", "r_brow", "nose")

_COLOURS = {
    "background": (0, 0, 0), "skin": (235, 190, 160), "nose": (250, 140, 100), "eye_g": (40, 200, 200),
    "l_eye": (60, 110, 230), "r_eye": (100, 150, 250), "l_brow": (120, 70, 30), "r_brow": (150, 100, 60),
    "l_ear": (210, 150, 190), "r_ear": (230, 170, 210), "mouth": (130, 20, 40), "u_lip": (220, 60, 90),
    "l_lip": (240, 90, 120), "hair": (90, 60, 150), "hat": (250, 210, 60), "ear_r": (255, 255, 150),
    "neck_l": (190, 190, 90), "neck": (190, 150, 120), "cloth": (90, 150, 90), "mask": (150, 220, 255),
    "hand": (255, 80, 0), "object": (255, 0, 200), "shape": (160, 160, 160), "unknown": (70, 70, 70),
}  # fmt: skip


def _palette() -> NDArray[np.uint8]:
    palette = np.full((256, 3), 255, dtype=np.uint8)
    for name, colour in _COLOURS.items():
        palette[PART_ID[name]] = colour
    return palette


PALETTE = _palette()


@dataclass(frozen=True)
class FacePolicy:
    """What counts as visible face in a label map of parts.

    Attributes:
        face: names of the parts that are face.
        eyeglasses: `occluder`: the area of the glasses, eyes behind the lenses included, is not face;
            `lenses_are_face`: frame and lens area are not face, but eyes, brows and nose that are labelled through
            the lenses are (the islands of FaceOcc); `face`: the whole area is face; `ignore`: it is neither learnt
            nor scored (`known_mask`), because the set has one class for clear and for dark glasses.
        ears: whether ears (without earrings) are face.
        neck: whether the neck (without necklaces) is face.
    """

    face: tuple[str, ...] = FACE_PARTS
    eyeglasses: Eyeglasses = "occluder"
    ears: bool = False
    neck: bool = False


def visible_mask(label: NDArray[np.uint8], policy: FacePolicy) -> NDArray[np.bool_]:
    """Return where the face can be seen, (H, W) bool.

    Args:
        label: (H, W) uint8 class ids of `PART_NAMES`.

    Raises:
        ValueError: the policy names an unknown part.
    """
    return face_masks(label, policy)[0]


def face_masks(label: NDArray[np.uint8], policy: FacePolicy) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return `visible_mask` and `full_mask` together, which costs little more than one of them."""
    parts = _is_part(label, _face_names(policy))
    glasses = _eyeglasses_area(label)
    if glasses is None:
        return parts, parts
    full = parts | glasses
    if policy.eyeglasses in ("face", "ignore"):
        return parts | (label == PART_ID["eye_g"]), full
    return (parts & ~glasses, full) if policy.eyeglasses == "occluder" else (parts, full)


def still_visible_mask(label: NDArray[np.uint8], parts: NDArray[np.uint8], policy: FacePolicy) -> NDArray[np.bool_]:
    """Return where the face of `parts` can still be seen once `label` stands in front of it, (H, W) bool.

    Args:
        label: (H, W) uint8 class ids after occlusion.
        parts: (H, W) uint8 class ids before.
    """
    names = _face_names(policy)
    glasses = ("eye_g",) if policy.eyeglasses in ("face", "ignore") else ()
    return visible_mask(parts, policy) & _is_part(label, (*names, *glasses))


def known_mask(label: NDArray[np.uint8], parts: NDArray[np.uint8], policy: FacePolicy) -> NDArray[np.bool_] | None:
    """Return where it is known whether the face is visible, (H, W) bool; None: everywhere.

    Args:
        label: (H, W) uint8 class ids, after occlusion if there is any.
        parts: (H, W) uint8 class ids before.
    """
    unknown = label == PART_ID[UNKNOWN_PART]
    if policy.eyeglasses != "ignore":
        return ~unknown if unknown.any() else None
    glasses = _eyeglasses_area(parts)
    unknown = unknown | (label == PART_ID["eye_g"])
    unknown = unknown if glasses is None else unknown | glasses
    return ~unknown | _is_part(label, OCCLUDER_PARTS)


def full_mask(label: NDArray[np.uint8], policy: FacePolicy) -> NDArray[np.bool_]:
    """Return the face as if it wore no glasses, (H, W) bool: the visible face and the area of the glasses on it.

    Hair, hats and hands in front of the face stay holes, since a label map does not know what they hide.

    Args:
        label: (H, W) uint8 class ids of `PART_NAMES`, of a face without a pasted occluder.
    """
    return face_masks(label, policy)[1]


def mirror(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the label map (H, W) of the mirrored image: columns reversed, left and right parts exchanged."""
    return exchange_sides(label[:, ::-1])


def exchange_sides(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the label map (H, W) with left and right eyes, brows and ears exchanged, as a mirror does."""
    table = np.arange(256, dtype=np.uint8)
    for part in ("eye", "brow", "ear"):
        left, right = PART_ID[f"l_{part}"], PART_ID[f"r_{part}"]
        table[left], table[right] = right, left
    return table[label]


def _face_names(policy: FacePolicy) -> tuple[str, ...]:
    unknown = sorted(set(policy.face) - set(PART_NAMES))
    if unknown:
        raise ValueError(f"unknown face parts {unknown}; known: {list(PART_NAMES)}")
    ears = ("l_ear", "r_ear") if policy.ears else ()
    neck = ("neck",) if policy.neck else ()
    return (*policy.face, *ears, *neck)


def _is_part(label: NDArray[np.uint8], names: Iterable[str]) -> NDArray[np.bool_]:
    return cv2.LUT(label, _table_of(tuple(names))).view(np.bool_)  # several times faster than indexing the table


@functools.lru_cache(maxsize=64)
def _table_of(names: tuple[str, ...]) -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[[PART_ID[name] for name in names]] = 1
    return table


def _eyeglasses_area(label: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Return the glasses with what is labelled through their lenses; None where there are none."""
    glasses = cv2.inRange(label, PART_ID["eye_g"], PART_ID["eye_g"]) & 1
    if cv2.countNonZero(glasses) == 0:
        return None
    contours, _ = cv2.findContours(glasses, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(glasses), contours, -1, 1, cv2.FILLED).astype(bool)
    return glasses.astype(bool) | (filled & _is_part(label, SEEN_THROUGH_LENSES))
