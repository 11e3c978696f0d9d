"""The kinds of occluders: each draws its decisions, then paints a patch in the frame of the face."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from configs.schema.occlusion import OccluderSection
from occlusion_gen.face import Generator
from occlusion_gen.generators.natocc import build_natocc
from occlusion_gen.generators.randocc import build_randocc
from occlusion_gen.library import Split

# By `kind` of the section; each takes (section, split=, max_side_px=).
BUILDERS: dict[str, Callable[..., Any]] = {
    "natocc": build_natocc,
    "randocc": build_randocc,
}


def build_generator(section: OccluderSection, *, split: Split, max_side_px: int) -> Generator:
    """Return the generator that a section describes.

    Raises:
        UserError: its occluders or textures cannot be read.
    """
    generator: Generator = BUILDERS[section.kind](section, split=split, max_side_px=max_side_px)  # type: ignore[attr-defined]
    return generator
