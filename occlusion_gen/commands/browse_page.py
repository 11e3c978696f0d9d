"""A page of occluded samples: one HTML file without a network, for looking at what a configuration makes."""

from __future__ import annotations

import functools
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

import cv2
import numpy as np

from common.labels import PALETTE, PART_NAMES
from common.visualize import blend, colour_labels
from common.web_page import data_url, fitted
from occlusion_gen.face import Image8, OccludedFace

TILE_PX = 256
LABEL_OPACITY = 0.6
CLEAN, REAL = "(no occluder)", "(really occluded photo)"

# What each view shows, in the order of its buttons and number keys.
VIEWS = {
    "image": "occluded",
    "labels": "labels",
    "visible": "visible face",
    "alpha": "alpha",
    "before": "before",
}


class BrowseSample(NamedTuple):
    """A sample to show.

    Attributes:
        id: of the face.
        before: (H, W, 3) uint8 RGB, the face without occluder; None where a real photo took its place.
        sample: what became of it.
    """

    id: str
    before: Image8 | None
    sample: OccludedFace


def render_page(samples: Sequence[BrowseSample], *, title: str, failed: Mapping[str, str] | None = None) -> str:
    """Return the page as HTML text; every text from outside is escaped.

    Args:
        title: of the page, e.g. the configuration's path.
        failed: why faces have no sample, by id.
    """
    generators = sorted({name for shown in samples for name in generators_of(shown.sample)})
    template = Template(Path(__file__).with_name("browse.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(title),
        tile_px=TILE_PX,
        view_rules="\n".join(
            f'  [data-view="{view}"] .views img[data-view="{view}"] {{ display: block; }}' for view in VIEWS
        ),
        buttons=" ".join(
            f'<button type="button" data-view="{view}" aria-pressed="false">{name} <kbd>{key}</kbd></button>'
            for key, (view, name) in enumerate(VIEWS.items(), 1)
        ),
        options="".join(f'<option value="{html.escape(name)}">{html.escape(name)}</option>' for name in generators),
        legend=_legend(samples),
        cards="\n".join(_card(index, shown) for index, shown in enumerate(samples)),
        failed=_failures(failed or {}),
    )


def generators_of(sample: OccludedFace) -> list[str]:
    """Return the names of the generators that worked on a sample, in order, or one that stands for none."""
    if "real" in sample.params:
        return [REAL]
    return [str(layer["generator"]) for layer in sample.params["layers"]] or [CLEAN]


def pictures_of(shown: BrowseSample) -> dict[str, Image8]:
    """Return a picture (h, w, 3) uint8 RGB for each of `VIEWS`, at most `TILE_PX` wide and high."""
    sample = shown.sample
    full = {
        "image": sample.image,
        "labels": _labels_over(sample.image, sample.label),
        "visible": blend(sample.image, sample.visible > 127),
        "alpha": np.dstack([sample.alpha] * 3),
        "before": sample.image if shown.before is None else shown.before,
    }
    return {view: fitted(picture, TILE_PX) for view, picture in full.items()}


def _card(index: int, shown: BrowseSample) -> str:
    sample = shown.sample
    names = generators_of(sample)
    name = html.escape(shown.id)
    images = "".join(
        f'<img data-view="{view}" src="{data_url(picture)}" alt="{name}, {VIEWS[view]}" loading="lazy">'
        for view, picture in pictures_of(shown).items()
    )
    hidden = f"{sample.coverage:.1%} of the face hidden" if sample.full_known else "hidden share not known"
    parameters = html.escape(json.dumps(sample.params, indent=2, ensure_ascii=False))
    return (
        f'<article data-index="{index}" data-coverage="{sample.coverage:.5f}" '
        f'data-generators="{html.escape(json.dumps(names))}">\n'
        f'<div class="views">{images}</div>\n'
        f'<div class="about"><h2>{name}</h2><p>{html.escape(" + ".join(names))}; {hidden}</p>\n'
        f"<details><summary>parameters</summary><pre>{parameters}</pre></details></div>\n</article>"
    )


def _legend(samples: Sequence[BrowseSample]) -> str:
    present: set[int] = functools.reduce(set.union, (set(np.unique(shown.sample.label)) for shown in samples), set())
    return "".join(
        f'<span><i style="background: rgb({", ".join(map(str, PALETTE[part].tolist()))})"></i>{PART_NAMES[part]}</span>'
        for part in sorted(present)
        if 0 < part < len(PART_NAMES)
    )


def _failures(failed: Mapping[str, str]) -> str:
    if not failed:
        return ""
    lines = "".join(f"<li>{html.escape(name)}: {html.escape(reason)}</li>" for name, reason in failed.items())
    return f'<div class="failed"><p>without a sample:</p><ul>{lines}</ul></div>'


def _labels_over(image: Image8, label: Image8) -> Image8:
    mixed = cv2.addWeighted(image, 1 - LABEL_OPACITY, colour_labels(label), LABEL_OPACITY, 0)
    return np.asarray(np.where(label[..., None] > 0, mixed, image), np.uint8)
