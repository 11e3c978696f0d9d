"""A table as Markdown, LaTeX and CSV, with the published numbers beside ours."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

from common.image_io import write_bytes
from configs.schema import ColumnSection
from evaluation.tables.results import Entry, Published, Results

NOTHING = "–"  # noqa: RUF001 (a dash is what tables show)
ON_TEST = "†"
UNVERIFIED = "unverified"
SAMPLE = (
    "SAMPLE DATA: drawn faces, small networks and a few steps. These numbers show that the path works; they are no "
    "results and must not be compared with the published ones."
)
CSV_COLUMNS = (
    "table", "training_data", "network", "column", "set", "subset", "n", "measure", "threshold", "unit", "seeds",
    "mean", "standard_deviation", "published", "published_status", "published_selected_on_test", "published_source",
    "sample_data", "protocol",
)  # fmt: skip


class Texts(NamedTuple):
    """A table as plain texts: caption, heads (two rows), body and notes."""

    caption: str
    groups: list[tuple[str, int]]  # test set and measure, and how many columns it spans
    heads: list[str]
    body: list[list[str]]
    notes: list[str]


def write_tables(results: Results) -> list[Path]:
    """Write NAME.md, NAME.tex and NAME.csv into the output folder and return their paths."""
    stem = results.job.output / results.job.name
    content = {".md": to_markdown(results), ".tex": to_latex(results), ".csv": to_csv(results)}
    paths = []
    for suffix, text in content.items():
        path = stem.with_name(stem.name + suffix)
        write_bytes(path, text.encode())
        paths.append(path)
    return paths


def to_markdown(results: Results) -> str:
    """Return the caption, the table and its notes as Markdown."""
    texts = _texts(results)
    spread = [group for group, span in texts.groups for _ in range(span)]
    heads = [f"{group}: {head}" if group else head for group, head in zip(spread, texts.heads, strict=True)]
    names = 2
    ruler = ["---"] * names + ["--:"] * (len(heads) - names)
    lines = [heads, ruler, *texts.body]
    rows = "\n".join("| " + " | ".join(_markdown(cell) for cell in line) + " |" for line in lines)
    notes = "".join(f"\n- {_markdown(note)}" for note in texts.notes)
    return f"**{_markdown(texts.caption)}**\n\n{rows}\n" + (f"{notes}\n" if notes else "")


def to_latex(results: Results) -> str:
    """Return the table as a LaTeX `table`, which needs the package booktabs."""
    texts = _texts(results)
    groups = [rf"\multicolumn{{{span}}}{{c}}{{{_latex(group)}}}" if group else "" for group, span in texts.groups]
    caption = " ".join([texts.caption, *texts.notes])
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(caption)}}}",
        rf"\label{{tab:{results.job.name.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{ll{'r' * (len(texts.heads) - 2)}}}",
        r"\toprule",
        " & ".join(groups) + r" \\",
        " & ".join(_latex(head) for head in texts.heads) + r" \\",
        r"\midrule",
        *(" & ".join(_latex(cell) for cell in line) + r" \\" for line in texts.body),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_csv(results: Results) -> str:
    """Return one line a number, ours and published in the column's unit."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in results.rows:
        for name, entry in row.entries.items():
            if entry.values or entry.published:
                writer.writerow(_csv_row(results, (row.training, row.network), name, entry))
    return stream.getvalue()


def _csv_row(results: Results, names: tuple[str, str], key: str, entry: Entry) -> dict[str, object]:
    job, column = results.job, results.job.columns[key]
    digits = column.digits + 2
    source = entry.published.source if entry.published else None
    scale = 100 if column.percent else 1
    return {
        "table": job.name,
        "training_data": names[0],
        "network": names[1],
        "column": key,
        "set": job.test_sets[column.set].label,
        "subset": job.test_sets[column.set].subset,
        "n": entry.n,
        "measure": column.measure,
        "threshold": column.at,
        "unit": "percent" if column.percent else "share",
        "seeds": len(entry.values) or None,
        "mean": None if entry.mean is None else f"{entry.mean * scale:.{digits}f}",
        "standard_deviation": None if entry.deviation is None else f"{entry.deviation * scale:.{digits}f}",
        "published": entry.published.value if entry.published else None,
        "published_status": source.status if source else None,
        "published_selected_on_test": int(source.selected_on_test) if source else None,
        "published_source": source.source if source else None,
        "sample_data": int(job.sample_data),
        "protocol": job.protocol,
    }


def _texts(results: Results) -> Texts:
    job = results.job
    published = {name for row in results.rows for name, entry in row.entries.items() if entry.published}
    groups, heads = [("", 1), ("", 1)], [job.training_label, "network"]
    for name, column in job.columns.items():
        unit = " (%)" if column.percent else ""
        sides = ["ours", "published"] if name in published else ["ours"]
        groups.append((f"{job.test_sets[column.set].label}, {column.label}{unit}", len(sides)))
        heads += sides
    body = []
    for row in results.rows:
        line = [row.training, row.network]
        for name, entry in row.entries.items():
            line.append(_ours(entry, job.columns[name]))
            line += [_theirs(entry.published, job.columns[name])] if name in published else []
        body.append(line)
    return Texts(_caption(results), groups, heads, body, _notes(results))


def _caption(results: Results) -> str:
    job = results.job
    sets = "; ".join(_describe_set(results, name) for name in job.test_sets)
    spread = max((len(entry.values) for row in results.rows for entry in row.entries.values()), default=0)
    seeds = ", ".join(map(str, job.seeds))
    over = f"Mean ± standard deviation over the seeds {seeds}" if spread > 1 else f"Seed {seeds}"
    parts = [f"{job.title}.", *([SAMPLE] if job.sample_data else []), f"Protocol: {job.protocol}.", f"Sets: {sets}."]
    return " ".join([*parts, f"{over}."])


def _describe_set(results: Results, name: str) -> str:
    section, n = results.job.test_sets[name], results.n.get(name)
    ours = "not evaluated" if n is None else f"n = {n}"
    theirs = "" if section.published_n is None else f" (published: n = {section.published_n})"
    return f"{section.label}, subset {section.subset}, {ours}{theirs}"


def _notes(results: Results) -> list[str]:
    notes = []
    for source in results.sources:
        where = f"Published: {source.source}; protocol {source.protocol}."
        if source.status == UNVERIFIED:
            where = f"{UNVERIFIED}: {source.source}; known from memory only, protocol {source.protocol}."
        if source.selected_on_test:
            where += f" {ON_TEST} The checkpoint or threshold was selected on this very test set."
        notes.append(f"{where} {source.note}".rstrip())
    return [*notes, *results.job.notes]


def _ours(entry: Entry, column: ColumnSection) -> str:
    if entry.mean is None:
        return NOTHING
    scale = 100 if column.percent else 1
    text = f"{entry.mean * scale:.{column.digits}f}"
    return text if entry.deviation is None else f"{text} ± {entry.deviation * scale:.{column.digits}f}"


def _theirs(published: Published | None, column: ColumnSection) -> str:
    if published is None:
        return NOTHING
    text = f"{published.value:.{column.digits}f}"
    if published.source.status == UNVERIFIED:
        text += f" ({UNVERIFIED})"
    return text + (f" {ON_TEST}" if published.source.selected_on_test else "")


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", ON_TEST: r"$\dagger$", NOTHING: "--",
    "²": r"$^2$",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
