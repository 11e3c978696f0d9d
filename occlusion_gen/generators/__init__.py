"""The kinds of occluders: each draws its decisions, then paints a patch in the frame of the face."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from configs.schema.occluder import OccluderSection
from configs.schema.occlusion import REGISTERED
from occlusion_gen.face import Generator
from occlusion_gen.generators.eyewear import build_eyewear
from occlusion_gen.generators.hand_paste import build_hand_paste
from occlusion_gen.generators.limb import build_limb
from occlusion_gen.generators.mask_polygon import build_mask_polygon
from occlusion_gen.generators.mask_template import build_mask_template
from occlusion_gen.generators.natocc import build_natocc
from occlusion_gen.generators.paste import build_paste
from occlusion_gen.generators.randocc import build_randocc
from occlusion_gen.occluders.library import Split

# By `kind` of the section; each takes (section, split=, max_side_px=).
BUILDERS: dict[str, Callable[..., Any]] = {
    "eyewear": build_eyewear,
    "hand_paste": build_hand_paste,
    "limb": build_limb,
    "mask_polygon": build_mask_polygon,
    "mask_template": build_mask_template,
    "natocc": build_natocc,
    "paste": build_paste,
    "randocc": build_randocc,
}


def register_generator(section: type[OccluderSection], builder: Callable[..., Any]) -> None:
    """Make a generator known as `kind: NAME` of a configuration; see docs/adding.md.

    Args:
        section: its keys; the default of its field `kind` is the name.
        builder: takes (section, split=, max_side_px=) and returns a `occlusion_gen.face.Generator`.

    Raises:
        ValueError: the name is taken.
    """
    kind = section.model_fields["kind"].default
    if kind in BUILDERS:
        raise ValueError(f"the kind {kind!r} is known already; choose another name")
    BUILDERS[kind], REGISTERED[kind] = builder, section


def build_generator(section: OccluderSection, *, split: Split, max_side_px: int) -> Generator:
    """Return the generator that a section describes.

    Raises:
        UserError: its occluders or textures cannot be read.
    """
    generator: Generator = BUILDERS[section.kind](section, split=split, max_side_px=max_side_px)  # type: ignore[attr-defined]
    return generator
