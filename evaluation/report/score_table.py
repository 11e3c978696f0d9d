"""The table of scores: one column a set, one line a score, each with the protocol it was reached by."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Summary = dict[str, Any]
DIGITS = 12  # of a SHA-256, enough to tell files apart


class Score(NamedTuple):
    """A line of the table: the key in the summary, with a dot into an inner one, and what readers call it."""

    key: str
    name: str


GROUPS: dict[str, tuple[Score, ...]] = {
    "mean over images": (
        Score("face_iou", "face IoU"),
        Score("face_iou_p10", "face IoU, 10th percentile"),
        Score("face_iou_median", "face IoU, median"),
        Score("face_iou_p90", "face IoU, 90th percentile"),
        Score("dice", "Dice"),
        Score("precision", "precision"),
        Score("recall", "recall"),
        Score("accuracy", "pixel accuracy"),
        Score("boundary_iou", "boundary IoU"),
        Score("boundary_f", "boundary F-score"),
    ),
    "pixels summed over the set": (
        Score("miou", "mIoU"),
        Score("mdice", "mDice"),
        Score("mfscore", "mFscore"),
        Score("pixel_accuracy", "pixel accuracy"),
        Score("pooled_cofw.miou", "COFW protocol: mIoU"),
        Score("pooled_cofw.accuracy", "COFW protocol: accuracy"),
        Score("pooled_cofw.face_recall", "COFW protocol: face recall"),
        Score("pooled_cofw.mean_face_recall", "COFW protocol: mean face recall"),
    ),
    "probabilities": (Score("ece", "expected calibration error"), Score("brier", "Brier score")),
    "occluders": (
        Score("full_face_baseline_iou", "full-face baseline, IoU"),
        Score("occluder_iou", "occluder IoU"),
        Score("occlusion_ratio_error", "occlusion ratio error"),
    ),
}

# What is known of a set besides its scores.
FACTS = (
    Score("n", "n"),
    Score("role", "role"),
    Score("threshold", "threshold"),
    Score("temperature", "temperature"),
    Score("calibrated_on.set", "threshold and temperature chosen on"),
    Score("calibrated_on.n", "of n images"),
    Score("no_face", "images without a found face"),
    Score("crop", "crop"),
    Score("weights_sha256", "SHA-256 of the weights"),
    Score("set_sha256", "SHA-256 of the set"),
)


def score_table(summaries: Sequence[Summary]) -> str:
    """Return the scores of several sets as an HTML table; lines that no set has a value for are left out."""
    sets = "".join(f'<th scope="col">{html.escape(str(summary["set"]))}</th>' for summary in summaries)
    told: set[str] = set()
    bodies = [_body("", [_line(score, summaries, _fact, told=told) for score in FACTS], columns=len(summaries) + 2)]
    for heading, scores in GROUPS.items():
        lines = [_line(score, summaries, _cell, told=told) for score in scores]
        bodies.append(_body(heading, lines, columns=len(summaries) + 2))
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="table of scores"><table>\n'
        "<caption>Scores with 95 % bootstrap intervals over images where given; how each is reached stands beside it. "
        "IoU and the other shares lie between 0 and 1.</caption>\n"
        f'<thead><tr><th scope="col">score</th>{sets}<th scope="col">protocol</th></tr></thead>\n'
        + "\n".join(filter(None, bodies))
        + "\n</table></div>"
    )


def value_of(summary: Summary, key: str) -> Any:
    """Return the value at `key`, "a.b" being b in a; None where there is none."""
    found: Any = summary
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _body(heading: str, lines: list[str], *, columns: int) -> str:
    lines = [line for line in lines if line]
    if not lines:
        return ""
    head = f'<tr><th class="group" colspan="{columns}" scope="rowgroup">{html.escape(heading)}</th></tr>\n'
    return "<tbody>\n" + (head if heading else "") + "\n".join(lines) + "\n</tbody>"


def _line(score: Score, summaries: Sequence[Summary], cell: Callable[[Summary, str], str], *, told: set[str]) -> str:
    """Return a line of the table, or nothing where no set has the score; protocols in `told` are not told again."""
    if all(value_of(summary, score.key) is None for summary in summaries):
        return ""
    cells = "".join(f"<td>{cell(summary, score.key)}</td>" for summary in summaries)
    protocol = "; ".join(dict.fromkeys(text for summary in summaries if (text := _protocol(summary, score.key))))
    words = "as above" if protocol in told else protocol
    told |= {protocol} - {""}
    return (
        f'<tr><th scope="row">{html.escape(score.name)}</th>{cells}<td class="protocol">{html.escape(words)}</td></tr>'
    )


def _protocol(summary: Summary, key: str) -> str:
    """Return the protocol of a score, that of its group where it has none of its own, or nothing."""
    protocols = summary.get("protocol") or {}
    return str(protocols.get(key) or protocols.get(key.split(".")[0]) or "")


def _fact(summary: Summary, key: str) -> str:
    value = value_of(summary, key)
    if value is None:
        return "-"
    if key.endswith("sha256"):
        return f"<code>{html.escape(str(value)[:DIGITS])}</code>"
    return html.escape(f"{value:g}" if isinstance(value, float) else str(value))


def _cell(summary: Summary, key: str) -> str:
    value = value_of(summary, key)
    if value is None:
        return "-"
    interval = value_of(summary, f"intervals.{key}") or summary.get(f"{key}_interval")
    count = summary.get(f"{key}_n")
    more = [f"{interval[0]:.4f} to {interval[1]:.4f}"] if interval else []
    more += [f"n = {count}"] if count is not None else []
    return f"{value:.4f}" + (f' <span class="more">{", ".join(more)}</span>' if more else "")
