"""The page of an evaluation: one HTML file without a server or a network, see `write_report`."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from string import Template
from typing import Any

from common.image_io import write_bytes
from common.visualize import FACE_BLUE, INVENTED_YELLOW, MISSED_RED
from evaluation.report.charts import Chart, charts
from evaluation.report.contents import Row, SetResult, read_results, read_views
from evaluation.report.score_table import score_table
from evaluation.report.views import FACE, INVENTED, MISSED, NOT_SCORED, View

HERE = Path(__file__).parent
SCRIPTS = ("masks.js", "gallery.js", "detail.js", "page.js")  # in this order: each uses those before it
BOTH_ORANGE = (255, 140, 0)
NOT_SCORED_LILAC = (160, 140, 205)  # grey would not be told from the grey photo below the errors

# What readers call the columns of per_image.csv in the view of one image; others keep their names.
COLUMN_NAMES = {
    "pixels": "scored pixels",
    "tp": "face found, px",
    "fp": "face invented, px",
    "fn": "face missed, px",
    "tn": "background found, px",
    "dice": "Dice",
    "boundary_iou": "boundary IoU",
    "boundary_f": "boundary F-score",
    "brier": "Brier score",
    "skin_tone": "skin tone, degrees",
    "occluder_iou": "occluder IoU",
    "occlusion_ratio": "hidden share by the model",
    "occlusion_ratio_error": "error of that share",
    "face_found": "face found by the detector",
    "full_baseline_iou": "full-face baseline, IoU",
}


def write_report(output: Path) -> Path:
    """Write `report.html` from what an evaluation left in `output`, and return its path.

    Args:
        output: folder with summary.json and, for each set, {set}/per_image.csv and {set}/views/.

    Raises:
        UserError: a file is missing or damaged; every one is named.
    """
    results = read_results(output)
    pictured = [result.rows[: result.pictured] for result in results]
    views = read_views([(result.views, row.id) for result, rows in zip(results, pictured, strict=True) for row in rows])
    path = output / "report.html"
    # Names of files that are no UTF-8 are shown with their bytes escaped.
    write_bytes(path, render(results, pictured, views).encode(errors="backslashreplace"))
    return path


def render(results: Sequence[SetResult], pictured: Sequence[Sequence[Row]], views: Sequence[View]) -> str:
    """Return the page as HTML text; every text from outside is escaped.

    Args:
        results: of all sets.
        pictured: the rows of each set that have pictures.
        views: those pictures, set by set.
    """
    script = "\n" + "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = "\n" + (HERE / "page.css").read_text(encoding="utf-8")
    firsts = [0, *accumulate(map(len, pictured))]
    sections = [_charts(index, result, first=firsts[index]) for index, result in enumerate(results)]
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(title_of(results)),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        links="\n".join(
            f'<a href="#charts-{index}">{html.escape(result.name)}</a>' for index, result in enumerate(results)
        ),
        scores=score_table([result.summary for result in results]),
        charts="\n".join(sections),
        extent=html.escape(_extent(results, pictured)),
        contents=script_json(contents_of(results, pictured)),
        views="\n".join(_view(index, view) for index, view in enumerate(views)),
    )


def title_of(results: Sequence[SetResult]) -> str:
    """Return what was scored, as the summaries tell it."""
    summary = results[0].summary
    return f"Evaluation of {summary.get('weights') or summary.get('predictions') or 'predictions'}"


def contents_of(results: Sequence[SetResult], pictured: Sequence[Sequence[Row]]) -> dict[str, Any]:
    """Return what the page's script knows besides the pictures."""
    sets = [
        {
            "name": result.name,
            "threshold": result.summary["threshold"],
            "face_iou": result.summary["face_iou"],
            "curve": (result.summary.get("curves") or {}).get("iou_by_threshold"),
        }
        for result in results
    ]
    rows = [
        {
            "set": index,
            "id": row.id,
            "iou": row.face_iou,
            "types": row.occlusion_types,
            "subject": row.subject,
            "coverage": row.coverage,
            "scores": row.scores,
        }
        for index, chosen in enumerate(pictured)
        for row in chosen
    ]
    codes = {"face": FACE, "not_scored": NOT_SCORED, "missed": MISSED, "invented": INVENTED}
    colours = {
        "face": FACE_BLUE,
        "missed": MISSED_RED,
        "invented": INVENTED_YELLOW,
        "both": BOTH_ORANGE,
        "not_scored": NOT_SCORED_LILAC,
    }
    return {"sets": sets, "rows": rows, "codes": codes, "colours": colours, "columns": COLUMN_NAMES}


def script_json(content: Any) -> str:
    """Return JSON that can stand in a script element: no text in it can end the element or begin another."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _extent(results: Sequence[SetResult], pictured: Sequence[Sequence[Row]]) -> str:
    """Return how many images of each set the gallery holds."""
    parts = [
        f"{len(rows)} of {result.name}"
        if len(rows) == len(result.rows)
        else f"the first {len(rows)} of {len(result.rows)} of {result.name}"
        for result, rows in zip(results, pictured, strict=True)
    ]
    return (
        f"Images: {', '.join(parts)}. At the evaluation's own threshold IoU and errors are those of the full size; "
        "once it is moved, both are worked out anew from the reduced masks of this page, and the IoU bears a ≈. "
        "Errors are drawn a pixel wider than they are, in the large view only single ones, so that few are seen."
    )


def _charts(index: int, result: SetResult, *, first: int) -> str:
    drawn = charts(result, first=first)
    name = html.escape(result.name)
    figures = "\n".join(map(_figure, drawn))
    return (
        f'<section data-set="{index}" aria-labelledby="charts-{index}">\n'
        f'<h2 id="charts-{index}">{name} <span class="faint">n = {result.summary["n"]}</span></h2>\n'
        f'<div class="charts">\n{figures}\n</div>\n</section>'
    )


def _figure(chart: Chart) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in chart.head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in chart.lines
    )
    return (
        f"<figure><h3>{html.escape(chart.heading)}</h3>\n{chart.svg}\n"
        f"<figcaption>{html.escape(chart.caption)}</figcaption>\n"
        f"<details><summary>numbers</summary><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
        "</details></figure>"
    )


def _view(index: int, view: View) -> str:
    encoded = [base64.b64encode(view_file).decode() for view_file in view[:4]]
    return f'<script type="application/json" id="view-{index}">{script_json(encoded)}</script>'


def _hash(text: str) -> str:
    """Return the hash by which the page's security policy knows its own script and style, and lets in no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
