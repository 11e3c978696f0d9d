"""What a test sees of the page in a browser."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def open_page(browser: Any, path: Path, **options: Any) -> Any:
    """Return the opened page; whatever it complains about or asks the network for is noted down in `complaints`."""
    page = browser.new_page(viewport={"width": 1300, "height": 800}, **options)
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.complaints.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


def shown(page: Any) -> list[str]:
    return page.locator(".tile .id").all_text_contents()


def tile(page: Any, name: str) -> Any:
    found = page.locator(".tile").nth(shown(page).index(name))
    found.scroll_into_view_if_needed()
    return found


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.querySelector('.id')?.textContent ?? document.activeElement.id")


def pixels(canvas: Any) -> NDArray[Any]:
    """Return what a canvas shows, (h, w, 3)."""
    canvas.wait_for()
    png = base64.b64decode(canvas.evaluate("canvas => canvas.toDataURL().split(',')[1]"))
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def is_blue(canvas: Any) -> NDArray[Any]:
    shown = pixels(canvas).astype(int)
    return shown[..., 2] > shown[..., 0] + 60


def is_red(canvas: Any) -> NDArray[Any]:
    shown = pixels(canvas).astype(int)
    return (shown[..., 0] > 200) & (shown[..., 1] < 90)
