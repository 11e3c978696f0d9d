"""Reader of prepared folders: manifest.jsonl, images/, labels/ [parts/ hidden/], or the same packed into arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.manifest import Row, read_samples
from datasets.packed import Packed, is_packed, open_packed
from datasets.test_sets.record import Problems, Request, TestImage


def read_prepared(request: Request, problems: Problems) -> list[TestImage]:
    """Return the samples of a folder written by `python -m face_align` or `python -m occlusion_gen`.

    Raises:
        ManifestError: there is no manifest, or it is damaged: without it nothing is known of the folder.
        UserError: the packed arrays are damaged.
    """
    packed = open_packed(request.root) if is_packed(request.root) else None
    rows = read_samples(request.root, split=request.split)
    return [_record(request.root, row, packed) for row in rows]


def _record(root: Path, row: Row, packed: Packed | None) -> TestImage:
    files = {kind: root / path for kind, path in row["files"].items()}
    return TestImage(
        row["id"],
        files["image"],
        files["label"],
        coding="parts",
        subject=_text(row.get("subject")),
        split=_text(row.get("split")),
        occlusion_types=_types(row),
        before=files.get("parts"),
        hidden=files.get("hidden"),
        full_known=bool(row.get("full_known", True)),
        packed=None if packed is None else (packed, packed.rows[row["id"]]),
        sha256=row.get("sha256", {}),
    )


def _types(row: Row) -> tuple[str, ...]:
    """Return the names of the generators that worked on a sample, as its configuration calls them."""
    layers = row.get("params", {}).get("layers", [])
    return tuple(dict.fromkeys(str(layer["generator"]) for layer in layers))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
