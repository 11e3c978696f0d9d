"""Medical masks that follow the face: drawn templates or a user's, warped to the landmarks."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.labels import PART_ID
from configs.schema.masks import MaskTemplateSection
from occlusion_gen.face import Face, Params, Patch, landmarks_of_face
from occlusion_gen.occluders.library import Split, TextureLibrary, open_textures
from occlusion_gen.templates.colours import BODIES, Rgb, draw_accent, draw_colour, draw_loop_colour
from occlusion_gen.templates.fit import PROPER_SEAT, Warp, fit_mask, read_head
from occlusion_gen.templates.kinds import draw_sheet
from occlusion_gen.templates.paint import Fabric, Print
from occlusion_gen.templates.sheet import Sheet
from occlusion_gen.templates.silhouette import VIEWED_FROM_SIDE
from occlusion_gen.templates.user_folder import UserTemplates, open_templates
from occlusion_gen.templates.wear import Look, wear

VARIANTS = 5  # drawn of each kind; colours, prints and fit vary beside them
UNIT_SHARE = 0.56  # nose bridge to chin / side of the crop, for crops of face_align
PRINTED = ("surgical", "cloth", "kn95")
WITH_VALVE = ("cloth", "kn95", "n95")
_SEATS = {
    "proper": PROPER_SEAT,
    "nose_out": {**PROPER_SEAT, "top": 0.45, "bottom": 1.08, "side_top": 0.32, "side_bottom": 0.7},
    "chin": {**PROPER_SEAT, "top": 0.84, "bottom": 1.24, "side_top": 0.52, "side_bottom": 0.86},
}
_SPREADS = {"top": 0.016, "bottom": 0.01, "side_top": 0.02, "side_bottom": 0.03, "tighter": 0.03, "tilt": 0.016}
_sheets = functools.lru_cache(maxsize=64)(draw_sheet)


@dataclass(frozen=True)
class MaskTemplate:
    """One mask a face. Attributes as in `configs.schema.masks.MaskTemplateSection`, folders read."""

    kinds: Mapping[str, float]
    wearing: Mapping[str, float]
    fit: float = 1.0
    colours: tuple[Rgb, ...] | None = None
    colour_jitter: float = 1.0
    textures: TextureLibrary | None = None
    print_share: float = 0.25
    valve_share: float = 0.15
    loops_share: float = 0.97
    templates: UserTemplates | None = None
    templates_share: float = 1.0
    tint_share: float = 0.0
    warp: Warp = "spline"
    hair_in_front: bool = True
    max_side_px: int = 512
    worn: bool = True
    needs_landmarks: bool = True

    @property
    def part(self) -> int:
        """Class id of masks."""
        return PART_ID["mask"]

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision; none depends on the face."""
        draws = rng.random(5).tolist()
        kind = _choose(self.kinds, draws[0])
        choices = BODIES[kind] if self.colours is None else tuple((colour, 1.0) for colour in self.colours)
        body = draw_colour(rng, choices, jitter=self.colour_jitter)
        accent = draw_accent(rng, kind, body)
        loops = draw_loop_colour(rng, kind, body)
        wearing = _choose(self.wearing, draws[1])
        moves = rng.standard_normal(len(_SPREADS)).clip(-2, 2) * self.fit
        params: Params = {
            "kind": kind,
            "variant": int(rng.integers(VARIANTS)),
            "valve": kind in WITH_VALVE and draws[2] < self.valve_share,
            "colour": list(body),
            "accent": list(accent),
            "loops": list(loops) if draws[3] < self.loops_share else None,
            "wearing": wearing,
            "seat": {
                name: round(_SEATS[wearing][name] + _SPREADS[name] * move, 4)
                for name, move in zip(_SPREADS, moves.tolist(), strict=True)
            },
            "print": None,
            "template": None,
        }
        if self.textures is not None and kind in PRINTED and draws[4] < self.print_share:
            params["print"] = _draw_print(rng, self.textures)
        if self.templates is not None and rng.random() < self.templates_share:
            index = int(rng.integers(len(self.templates)))
            params |= {"template": self.templates.name(index), "template_index": index, "loops": None, "print": None}
            params["tinted"] = bool(rng.random() < self.tint_share)
        return params

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the mask in the frame of `face`; equal parameters give equal bytes.

        Raises:
            RecordError: the face has no landmarks (`no_landmarks`), or none that span a face (`bad_landmarks`).
        """
        landmarks = landmarks_of_face(face)
        head = read_head(landmarks)
        sheet = self._sheet(params, turn_deg=head.turn_deg)
        if not sheet.whole:
            head = head._replace(far_share=VIEWED_FROM_SIDE)
        if sheet.drawn:
            pattern = None if params["print"] is None or self.textures is None else _print(params, self.textures)
            fabric = Fabric(body=params["colour"], accent=params["accent"], pattern=pattern)
        else:
            fabric = Fabric(body=params["colour"] if params["tinted"] else None)
        look = Look(fabric, params["loops"], hair_in_front=self.hair_in_front)
        fit = fit_mask(head, seat=params["seat"], bulge=sheet.bulge, warp=self.warp)
        return wear(face, fit=fit, sheet=sheet, look=look)

    def _sheet(self, params: Params, *, turn_deg: float) -> Sheet:
        if params["template"] is not None and self.templates is not None:
            return self.templates.sheet(params["template_index"], turn_deg=turn_deg)
        return _sheets(
            params["kind"],
            variant=params["variant"],
            valve=params["valve"],
            unit_px=float(round(UNIT_SHARE * self.max_side_px)),
        )


def build_mask_template(section: MaskTemplateSection, *, split: Split, max_side_px: int) -> MaskTemplate:
    """Return the generator that the configuration describes.

    Raises:
        UserError: templates or textures cannot be read.
    """
    textures, templates = None, None
    if section.textures is not None:
        side_px = max(48, min(512, max_side_px // 2))
        textures = open_textures(section.textures, split=split, holdout_share=section.holdout_share, side_px=side_px)
    if section.templates is not None:
        templates = open_templates(
            section.templates,
            split=split,
            holdout_share=section.holdout_share,
            exclude=section.exclude,
            unit_px=UNIT_SHARE * max_side_px,
        )
    return MaskTemplate(
        kinds={str(kind): frequency for kind, frequency in section.kinds.items()},
        wearing={str(way): frequency for way, frequency in section.wearing.items()},
        fit=section.fit,
        colours=section.colours,
        colour_jitter=section.colour_jitter,
        textures=textures,
        print_share=section.print_share,
        valve_share=section.valve_share,
        loops_share=section.loops_share,
        templates=templates,
        templates_share=section.templates_share,
        tint_share=section.tint_share,
        warp=section.warp,
        hair_in_front=section.hair_in_front,
        max_side_px=max_side_px,
    )


def _choose(frequencies: Mapping[str, float], draw: float) -> str:
    """Return one of the names; `draw` is uniform in [0, 1). The order in the file does not matter."""
    names = sorted(name for name, frequency in frequencies.items() if frequency > 0)
    rest = draw * sum(frequencies[name] for name in names)
    for name in names:
        rest -= frequencies[name]
        if rest < 0:
            return name
    return names[-1]


def _draw_print(rng: np.random.Generator, textures: TextureLibrary) -> Params:
    classes = textures.classes
    name = classes[int(rng.integers(len(classes)))]
    index = int(rng.integers(len(textures.files[name])))
    scale, angle, x, y = rng.random(4).tolist()
    return {
        "file": textures.files[name][index].name,
        "class": name,
        "index": index,
        "scale": round(0.3 * 4**scale, 4),
        "angle_deg": round(360 * angle, 1) if angle < 0.5 else 0.0,
        "shift": [round(x, 3), round(y, 3)],
    }


def _print(params: Params, textures: TextureLibrary) -> Print:
    drawn = params["print"]
    texture = textures.read(textures.files[drawn["class"]][drawn["index"]])
    return Print(texture, drawn["scale"], drawn["angle_deg"], tuple(drawn["shift"]))
