"""What a check found, as a page for the terminal, as HTML and as JSON."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from common.web_page import page
from datasets.checks.inspect import Finding
from datasets.checks.jobs import NamedSet
from datasets.test_sets import Problem, TestImage

MARK = {True: "FAULT", False: "ok   "}
STYLE = """  main { max-width: 1100px; margin: 0 auto; padding: 16px; display: grid; gap: 14px; }
  section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
  .state { font-weight: 600; color: var(--good); }
  .faulty .state { color: var(--bad); }
  table { border-collapse: collapse; }
  th, td { text-align: left; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
  th { color: var(--faint); font-weight: normal; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0; }
  dt { color: var(--faint); }
  dd { margin: 0; overflow-wrap: anywhere; }
  ul { margin: 4px 0; padding-left: 20px; overflow-wrap: anywhere; }
  .note { color: var(--faint); }"""


class Checked(NamedTuple):
    """What is known of one set or folder.

    Attributes:
        name: what the configuration calls it.
        facts: figures in words, by their names.
        faults: what must be mended.
        notes: what is odd, though it can be used.
        damaged: ids of the records that cannot be read.
        total: records.
    """

    name: str
    facts: dict[str, str]
    faults: list[Problem]
    notes: list[Problem]
    damaged: tuple[str, ...] = ()
    total: int = 0


def describe_set(
    named: NamedSet, records: Sequence[TestImage], findings: Sequence[Finding], problems: Sequence[Problem]
) -> Checked:
    """Return what names, headers and, where they were read, files tell of a set."""
    damaged = [finding for finding in findings if finding.faults]
    faults = list(problems)
    if damaged:
        messages = tuple(fault for finding in damaged for fault in finding.faults)
        faults.append(
            Problem("files that cannot be used", messages, "copy them again, or see --quarantine", damage=True)
        )
    return Checked(
        named.name,
        {"folder": str(named.section.root), "layout": named.section.layout, "for": named.side}
        | _figures(records, findings),
        faults,
        _notes(named, findings),
        tuple(finding.name for finding in damaged),
        len(records),
    )


def _figures(records: Sequence[TestImage], findings: Sequence[Finding]) -> dict[str, str]:
    figures = {"photos": f"{len(records)}, {sum(record.truth is not None for record in records)} with a mask"}
    subjects = {record.subject for record in records if record.subject is not None}
    if subjects:
        figures["subjects"] = str(len(subjects))
    types = sorted({name for record in records for name in record.occlusion_types})
    if types:
        counts = {name: sum(name in record.occlusion_types for record in records) for name in types}
        figures["occlusions"] = ", ".join(f"{name} {count}" for name, count in counts.items())
    sides = np.array([finding.size for finding in findings if finding.size is not None])
    if len(sides):
        low, high = sides[sides.prod(axis=1).argmin()], sides[sides.prod(axis=1).argmax()]
        figures["sizes"] = f"{low[0]} x {low[1]} to {high[0]} x {high[1]} (height x width)"
    shares = [finding.face_share for finding in findings if finding.face_share is not None]
    if shares:
        figures["visible face"] = f"{min(shares):.1%} to {max(shares):.1%} of the photo, median {np.median(shares):.1%}"
    return figures


def _notes(named: NamedSet, findings: Sequence[Finding]) -> list[Problem]:
    notes = []
    empty = tuple(finding.name for finding in findings if finding.face_share == 0)
    if empty:
        notes.append(Problem("photos without any visible face in their mask", empty))
    first: dict[str, str] = {}
    equal = []
    for finding in findings:
        if finding.digest and first.setdefault(finding.digest, finding.name) != finding.name:
            equal.append(f"{first[finding.digest]} = {finding.name}")
    if equal:
        notes.append(Problem("photos that stand twice in the set", tuple(equal)))
    if named.section.layout == "realocc_wild" and named.section.crop == "resize":
        notes.append(Problem("the faces are about a third of these photos", fix="set crop: detect"))
    return notes


def as_text(checked: Sequence[Checked], shared: Sequence[Problem]) -> str:
    """Return the report for a terminal."""
    lines = []
    for entry in checked:
        lines.append(f"{MARK[bool(entry.faults)]}  {entry.name}")
        lines += [f"         {name}: {value}" for name, value in entry.facts.items()]
        lines += [f"    FAULT {problem}" for problem in entry.faults]
        lines += [f"    note  {problem}" for problem in entry.notes]
    if len(checked) > 1:
        lines.append(f"{MARK[bool(shared)]}  between the sets: no photo, subject or occluder file on two sides"
                     if not shared else f"{MARK[True]}  between the sets")  # fmt: skip
        lines += [f"    FAULT {problem}" for problem in shared]
    count = len(shared) + sum(len(entry.faults) for entry in checked)
    lines.append(f"{count} fault{'s' if count > 1 else ''}" if count else "nothing is wrong")
    return "\n".join(lines)


def as_json(checked: Sequence[Checked], shared: Sequence[Problem]) -> dict[str, Any]:
    """Return the report as plain values; lists of names are whole."""

    def plain(problems: Sequence[Problem]) -> list[dict[str, Any]]:
        return [{"what": item.what, "names": list(item.names), "fix": item.fix} for item in problems]

    return {
        "sets": [
            {
                "name": entry.name,
                "facts": entry.facts,
                "faults": plain(entry.faults),
                "notes": plain(entry.notes),
                "damaged": list(entry.damaged),
                "count": entry.total,
            }
            for entry in checked
        ],
        "shared": plain(shared),
    }


def as_html(checked: Sequence[Checked], shared: Sequence[Problem], *, title: str) -> str:
    """Return the report as a page of one file; every name is listed."""
    between = Checked("between the sets", {}, list(shared), [])
    entries = [*checked, between] if len(checked) > 1 else list(checked)
    entries.sort(key=lambda entry: not entry.faults)  # what must be mended stands first
    body = f"<h1>{html.escape(title)}</h1>{_overview(entries)}{''.join(_section(entry) for entry in entries)}"
    return page(title=title, style=STYLE, body=f"<main>{body}</main>")


def _overview(entries: Sequence[Checked]) -> str:
    rows = "".join(
        f'<tr class="{_state_class(entry)}"><td>{html.escape(entry.name)}</td>'
        f"<td>{html.escape(entry.facts.get('layout', ''))}</td><td>{html.escape(entry.facts.get('for', ''))}</td>"
        f'<td>{entry.total or ""}</td><td class="state">{_state(entry)}</td></tr>'
        for entry in entries
    )
    return f"<table><tr><th>set</th><th>layout</th><th>for</th><th>photos</th><th></th></tr>{rows}</table>"


def _state(entry: Checked) -> str:
    return f"{len(entry.faults)} fault{'s' if len(entry.faults) > 1 else ''}" if entry.faults else "ok"


def _state_class(entry: Checked) -> str:
    return "faulty" if entry.faults else "whole"


def _section(entry: Checked) -> str:
    facts = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in entry.facts.items())
    problems = "".join(_listed(problem) for problem in entry.faults)
    notes = "".join(_listed(problem) for problem in entry.notes)
    return (
        f'<section class="{_state_class(entry)}"><h2>{html.escape(entry.name)}</h2>'
        f'<p class="state">{_state(entry)}</p><dl>{facts}</dl>{problems}'
        + (f'<div class="note">{notes}</div>' if notes else "")
        + "</section>"
    )


def _listed(problem: Problem) -> str:
    fix = f"; {html.escape(problem.fix)}" if problem.fix else ""
    what = html.escape(problem.what) + fix
    if not problem.names:
        return f"<p>{what}</p>"
    names = "".join(f"<li>{html.escape(name)}</li>" for name in problem.names)
    return f"<details><summary>{len(problem.names)} {what}</summary><ul>{names}</ul></details>"
