"""A page of photos with their labels laid over them: one HTML file, pictures loaded as they come into view.

A photo is a small JPEG, its label a palette PNG of a few hundred bytes that the browser lays over it: a photo and its
label take about 12 kB, a page of 2,000 photos 24 MB.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.errors import RecordError
from common.labels import PALETTE, PART_NAMES, FacePolicy
from common.visualize import FACE_BLUE
from common.web_page import data_url, fitted, page
from datasets.test_sets import TestImage, read_parts, read_photo, read_truth

Image8 = NDArray[np.uint8]
TILE_PX = 176
# Ids of the palette of an overlay beside those of the parts.
FACE, IGNORED = 254, 255
POLICY = FacePolicy()
HERE = Path(__file__).parent


class Card(NamedTuple):
    """One photo of the page.

    Attributes:
        set: name of its set.
        id: of the record.
        about: lines of text.
        types: of the occlusions.
        face_share: share of the photo that is visible face, -1 where nobody knows.
        photo: JPEG as a data URL, "" where the photo cannot be read.
        label: PNG as a data URL, "" without label.
        fault: why something cannot be read, "" otherwise.
        parts: ids of the parts in the label.
    """

    set: str
    id: str
    about: tuple[str, ...]
    types: tuple[str, ...]
    face_share: float
    photo: str
    label: str
    fault: str
    parts: tuple[int, ...]


def draw_card(entry: tuple[str, TestImage]) -> Card:
    """Return the card of (name of the set, record); what cannot be read is told on it."""
    name, record = entry
    share, photo, label, fault, parts = -1.0, "", "", "", ()
    size: tuple[int, ...] = ()
    try:
        image = read_photo(record)
        size = image.shape[:2]
        photo = data_url(fitted(image, TILE_PX))
        if record.truth is not None:
            visible, valid = read_truth(record, POLICY)
            share = float(visible.mean())
            overlay = read_parts(record) if record.truth_is_label else visible.astype(np.uint8) * np.uint8(FACE)
            parts = tuple(part for part in np.unique(overlay).tolist() if 0 < part < len(PART_NAMES))
            label = overlay_url(overlay, valid)
    except RecordError as error:
        fault = str(error)
    facts = [
        f"{size[0]} x {size[1]}" if size else "",
        f"visible face {share:.1%}" if share >= 0 else "no mask",
        f"subject {record.subject}" if record.subject is not None else "",
        f"split {record.split}" if record.split is not None else "",
    ]
    about = tuple(fact for fact in facts if fact)
    return Card(name, record.id, about, record.occlusion_types, round(share, 5), photo, label, fault, parts)


def overlay_url(label: Image8, valid: NDArray[np.bool_] | None) -> str:
    """Return class ids (H, W) as the text of a small PNG, transparent where there is no part, grey where not scored."""
    ids = label if valid is None else np.where(valid, label, IGNORED).astype(np.uint8)
    height, width = ids.shape
    ratio = min(1.0, TILE_PX / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
    palette = PALETTE.copy()
    palette[FACE], palette[IGNORED] = FACE_BLUE, (128, 128, 128)
    image = Image.fromarray(small, "L")
    image.putpalette(palette.tobytes())
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=0, optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def render_page(cards: Sequence[Card], *, title: str) -> str:
    """Return the page as HTML text; every text from outside reaches it as data, never as markup."""
    content = json.dumps([card._asdict() for card in cards], separators=(",", ":")).replace("<", r"\u003c")
    body = f"""<header>
  <h1>{html.escape(title)}</h1>
  <div class="controls">
    <label>set <select id="set"><option value="">all</option>{_options(card.set for card in cards)}</select></label>
    <label>occlusion <select id="type"><option value="">all</option>{
        _options(name for card in cards for name in card.types)
    }</select></label>
    <label>order <select id="order"><option value="index">as in the set</option>
      <option value="up">least face first</option><option value="down">most face first</option></select></label>
    <label>name <input id="name" type="search" size="12"></label>
    <label>label <input id="opacity" type="range" min="0" max="100" value="55"> <kbd>l</kbd></label>
    <label><input id="faults" type="checkbox"> only faults</label>
    <span id="count" aria-live="polite"></span>
  </div>
  <div class="legend">{_legend(cards)}</div>
</header>
<main id="cards"></main>
<script type="application/json" id="content">{content}</script>
<script>
{(HERE / "browse.js").read_text(encoding="utf-8")}</script>"""
    style = (HERE / "browse.css").read_text(encoding="utf-8").replace("TILE_PX", f"{TILE_PX}px")
    return page(title=title, style=style, body=body)


def _options(names: Iterable[str]) -> str:
    escaped = [html.escape(name) for name in sorted(set(names))]
    return "".join(f'<option value="{name}">{name}</option>' for name in escaped)


def _legend(cards: Sequence[Card]) -> str:
    present = sorted({part for card in cards for part in card.parts})
    colours = [(PART_NAMES[part], tuple(PALETTE[part].tolist())) for part in present]
    entries = [("visible face (masks)", FACE_BLUE), *colours, ("not scored", (128, 128, 128))]
    return "".join(
        f'<span><i style="background: rgb{colour}"></i>{html.escape(name)}</span>' for name, colour in entries
    )
