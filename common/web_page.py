"""Web pages of one file: no server, no network, light and dark; every text from outside is escaped by who writes it."""

from __future__ import annotations

import base64
import html
import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Image8 = NDArray[np.uint8]
JPEG_QUALITY = 82

# Nothing may be loaded from outside, whatever a name in a data set contains.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; --back: #f4f4f2; --card: #fff; --text: #1c1c1c; --faint: #666; --line: #d6d6d2;
    --accent: #0b57d0; --bad: #b3261e; --good: #1e7b34; }}
  @media (prefers-color-scheme: dark) {{
    :root {{ --back: #161618; --card: #222225; --text: #e8e8e6; --faint: #a0a0a0; --line: #3a3a3e; --accent: #8ab4f8;
      --bad: #f2857d; --good: #7bd192; }}
  }}
  * {{ box-sizing: border-box; }}
  body {{ margin: 0; background: var(--back); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }}
  h1, h2 {{ font-size: 16px; margin: 0; overflow-wrap: anywhere; }}
  summary {{ cursor: pointer; color: var(--accent); }}
  button, select, input {{ font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
    border-radius: 6px; padding: 4px 10px; }}
  button[aria-pressed="true"] {{ border-color: var(--accent); color: var(--accent); font-weight: 600; }}
  kbd {{ color: var(--faint); font: 11px ui-monospace, monospace; }}
{style}
</style>
</head>
<body>
"""


def page(*, title: str, style: str, body: str) -> str:
    """Return a whole page.

    Args:
        title: plain text; it is escaped here.
        style: CSS rules that follow the common ones.
        body: HTML, with every text from outside escaped.
    """
    return _HEAD.format(title=html.escape(title), style=style) + body + "\n</body>\n</html>\n"


def fitted(picture: Image8, side_px: int) -> Image8:
    """Return the picture (H, W, 3), shrunk where it is larger than `side_px` on its longer side."""
    height, width = picture.shape[:2]
    ratio = side_px / max(height, width)
    if ratio >= 1:
        return picture
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def data_url(picture: Image8, *, quality: int = JPEG_QUALITY) -> str:
    """Return RGB (H, W, 3) uint8 as the text of a JPEG that a page can hold itself."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
