"""Who is drawn: every random decision about one portrait, taken before anything is painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.sample_world.attire import Attire
from datasets.sample_world.backdrop import draw_colour
from datasets.sample_world.canvas import linear
from datasets.sample_world.features import IRIS_COLOURS, Makeup
from datasets.sample_world.hair import HAIR_COLOURS, HairStyle
from datasets.sample_world.head import Expression, Pose, Shape
from datasets.sample_world.lighting import Light, draw_light, skin_tone
from datasets.sample_world.skin import Complexion

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Person:
    """All parameters of one portrait."""

    shape: Shape
    expression: Expression
    pose: Pose
    complexion: Complexion
    makeup: Makeup
    hair: HairStyle
    attire: Attire
    light: Light
    grain: float
    soft_px: float


def draw_person(rng: np.random.Generator, *, glasses: float = 0.15, hats: float = 0.07) -> Person:
    """Return a person: a mix of traits drawn one by one, so that no two faces share all of them.

    Args:
        rng: source of all traits.
        glasses: probability of eyeglasses.
        hats: probability of a hat.
    """
    masculine = bool(rng.random() < 0.5)
    depth = float(rng.beta(1.0, 1.25))
    old = float(rng.beta(1.2, 2.6))
    hair = _draw_hair(rng, masculine=masculine, depth=depth, old=old)
    beard = masculine and rng.random() < 0.5
    complexion = Complexion(
        depth=depth,
        flush=float(rng.uniform(0.3, 1.0)),
        gloss=float(rng.uniform(0.2, 1.0)),
        freckles=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.10 and depth < 0.5 else 0.0,
        beard=float(rng.uniform(0.25, 0.95)) if beard else 0.0,
        beard_kind=str(rng.choice(["stubble", "goatee", "full"])) if beard else "none",
        beard_tone=_as_colour(linear(hair.colour) * 0.8),
        age=old,
    )
    return Person(
        shape=_draw_shape(rng, masculine=masculine),
        expression=_draw_expression(rng),
        pose=_draw_pose(rng),
        complexion=complexion,
        makeup=_draw_makeup(rng, masculine=masculine, depth=depth, hair=hair),
        hair=hair,
        attire=_draw_attire(rng, masculine=masculine, glasses=glasses, hats=hats),
        light=draw_light(rng),
        grain=float(rng.uniform(0.004, 0.016)),
        soft_px=float(rng.uniform(0.3, 0.75)),
    )


def _as_colour(values: np.ndarray) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])


def _draw_shape(rng: np.random.Generator, *, masculine: bool) -> Shape:
    def around(middle: float, spread: float) -> float:
        return float(middle * (1 + spread * np.clip(rng.standard_normal(), -2, 2)))

    strong = 1.0 if masculine else 0.0
    return Shape(
        cheek=around(1.0, 0.025), jaw=around(0.96 + 0.07 * strong, 0.045), temple=around(0.985, 0.02),
        chin_y=around(1.63 + 0.06 * strong, 0.03), chin_width=around(0.95 + 0.17 * strong, 0.09),
        eye_x=around(0.45, 0.035), eye_width=around(0.212, 0.06), eye_open=around(1.06 - 0.14 * strong, 0.12),
        eye_tilt=float(rng.normal(0.012, 0.018)), brow_y=around(-0.325 + 0.03 * strong, 0.07),
        brow_arch=around(0.075 - 0.025 * strong, 0.3), brow_tilt=float(rng.normal(-0.02, 0.06)),
        brow_thickness=around(0.072 + 0.028 * strong, 0.18), nose_length=around(0.53, 0.055),
        nose_width=around(0.205 + 0.02 * strong, 0.10), nose_depth=around(0.33, 0.10), mouth_y=around(0.965, 0.02),
        mouth_width=around(0.365, 0.08), lip_upper=around(0.095 - 0.012 * strong, 0.22),
        lip_lower=around(0.145 - 0.015 * strong, 0.17), ear_size=around(1.0, 0.09),
    )  # fmt: skip


def _draw_expression(rng: np.random.Generator) -> Expression:
    smile = float(np.clip(rng.normal(0.3, 0.4), -0.35, 1.0))
    gap = float(rng.uniform(0.04, 0.14) + 0.05 * max(smile, 0)) if rng.random() < 0.45 else 0.0
    if rng.random() < 0.06:
        gap, smile = float(rng.uniform(0.2, 0.34)), 0.2
    gaze = (float(rng.normal(0, 0.16)), float(rng.normal(0, 0.08)))
    return Expression(smile=smile, mouth_open=gap, brow_raise=float(rng.normal(0, 0.4)), gaze=gaze)


def _draw_pose(rng: np.random.Generator) -> Pose:
    degree = np.pi / 180
    return Pose(
        yaw=float(np.clip(rng.normal(0, 12), -26, 26) * degree),
        pitch=float(np.clip(rng.normal(0, 5), -10, 10) * degree),
        roll=float(np.clip(rng.normal(0, 9), -25, 25) * degree),
        scale=float(np.clip(rng.normal(0.258, 0.014), 0.225, 0.29)),
        centre=(float(rng.normal(0.5, 0.018)), float(rng.normal(0.605, 0.015))),
    )


def _draw_makeup(rng: np.random.Generator, *, masculine: bool, depth: float, hair: HairStyle) -> Makeup:
    eyes = IRIS_COLOURS[int(rng.integers(len(IRIS_COLOURS) if depth < 0.45 else 3))] * rng.uniform(0.85, 1.15)
    tone = skin_tone(depth)
    natural = tone * np.array([0.86, 0.50, 0.50]) * rng.uniform(0.85, 1.1)
    painted = not masculine and rng.random() < 0.5
    stick = linear(np.array([rng.uniform(0.6, 0.85), rng.uniform(0.12, 0.38), rng.uniform(0.2, 0.42)]))
    lip = 0.3 * natural + 0.7 * stick if painted else natural
    brow = np.minimum(linear(hair.colour) * 0.7, linear((0.42, 0.32, 0.24)))
    return Makeup(
        iris=_as_colour(linear(np.clip(eyes, 0, 1))),
        brow=_as_colour(brow),
        brow_strength=float(rng.uniform(0.65, 0.95)),
        lip=_as_colour(lip),
        lip_gloss=float(rng.uniform(0.5, 1.0) if painted else rng.uniform(0.0, 0.5)),
        lashes=float(rng.uniform(0.1, 0.5) if masculine else rng.uniform(0.4, 1.0)),
        eye_shadow=float(rng.uniform(0.2, 0.8)) if painted else 0.0,
        teeth=bool(rng.random() < 0.85),
    )


def _draw_hair(rng: np.random.Generator, *, masculine: bool, depth: float, old: float) -> HairStyle:
    kinds = ["bald", "buzz", "short", "swept", "tied", "bob", "long", "waves", "curls"]
    odds = (
        [0.10, 0.16, 0.30, 0.20, 0.03, 0.02, 0.05, 0.03, 0.11]
        if masculine
        else [0.01, 0.02, 0.06, 0.08, 0.16, 0.20, 0.24, 0.15, 0.08]
    )
    kind = str(rng.choice(kinds, p=odds))
    index = (
        7 + int(rng.integers(2))
        if rng.random() < 0.75 * max(old - 0.35, 0)
        else int(rng.integers(7 if depth < 0.4 else 3))
    )
    colour = HAIR_COLOURS[index] * rng.uniform(0.85, 1.12)
    volume = {"buzz": 0.03, "tied": 0.05, "short": 0.15, "swept": 0.22, "curls": 0.42}.get(kind, 0.16) * rng.uniform(
        0.75, 1.3
    )
    hairline = rng.uniform(-1.02, -0.86)
    if kind in ("short", "bob", "long", "waves") and rng.random() < 0.35:
        hairline = rng.uniform(-0.68, -0.36)
    length = {
        "bob": rng.uniform(0.8, 1.45),
        "long": rng.uniform(1.9, 2.9),
        "waves": rng.uniform(1.3, 2.4),
    }.get(kind, rng.uniform(0.0, 0.3))
    return HairStyle(
        kind=kind,
        colour=_as_colour(np.clip(colour, 0.04, 0.95)),
        volume=float(volume),
        hairline=float(hairline),
        slant=float(rng.normal(0, 0.10)) if kind != "buzz" else 0.0,
        part=float(rng.uniform(-0.35, 0.35)),
        length=float(length),
        wave=float(rng.uniform(0.04, 0.10)) if kind == "waves" else float(rng.uniform(0, 0.02)),
        recede=float(rng.uniform(0, 1)) if masculine and rng.random() < 0.4 + 0.4 * old else 0.0,
    )


def _draw_attire(rng: np.random.Generator, *, masculine: bool, glasses: float, hats: float) -> Attire:
    frame = draw_colour(rng, low=0.05, high=0.45)
    metal = (0.86, 0.72, 0.42) if rng.random() < 0.5 else (0.82, 0.83, 0.86)
    return Attire(
        cloth=draw_colour(rng, low=0.08, high=0.92),
        pattern=str(rng.choice(["plain", "stripes"], p=[0.8, 0.2])),
        collar=str(rng.choice(["crew", "vee", "shirt", "turtle"], p=[0.38, 0.22, 0.28, 0.12])),
        neck_width=float(rng.uniform(0.64, 0.76) if masculine else rng.uniform(0.54, 0.63)),
        earring=str(rng.choice(["stud", "hoop", "drop"])) if rng.random() < (0.08 if masculine else 0.40) else "none",
        metal=metal,
        necklace=bool(rng.random() < (0.05 if masculine else 0.25)),
        glasses=str(rng.choice(["round", "square", "aviator"])) if rng.random() < glasses else "none",
        frame=frame if rng.random() < 0.6 else (0.07, 0.06, 0.06),
        tint=float(rng.uniform(0.75, 0.93)) if rng.random() < 0.12 else float(rng.uniform(0.02, 0.22)),
        hat=str(rng.choice(["beanie", "cap", "brim"])) if rng.random() < hats else "none",
        hat_colour=draw_colour(rng, low=0.15, high=0.85),
    )
