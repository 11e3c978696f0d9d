"""COCO: everyday objects with polygons or run lengths.

    annotations/instances_train2017.json    images, annotations, categories, licenses
    train2017/000000000009.jpg              also images/train2017/; likewise for val2017

Occluders are named {category}_{image id}_{annotation id}; all of one photo stay on one side of a split.

Source: Lin et al., "Microsoft COCO: common objects in context", 2014.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError
from occlusion_gen.occluders.importing.outlines import coco_outline
from occlusion_gen.occluders.importing.records import CutoutRecord, require

TREE = """
annotations/instances_train2017.json   (any instances_*.json)
train2017/000000000009.jpg             (or images/train2017/)
"""
PERSON = "person"
BORDER_PX = 2.0  # a box this close to a border was cut off by it
KEYS = ("images", "annotations", "categories")


def read_coco(
    source: Path,
    *,
    categories: Sequence[str] = (),
    min_area_px: float = 4096,
    max_borders: int = 1,
    people: bool = False,
) -> list[CutoutRecord]:
    """Return one record an object, in the order of photos and annotations; crowds are left out.

    Args:
        categories: names to take; none means all.
        min_area_px: objects with a smaller area are left out.
        max_borders: objects cut off by more borders of the photo are left out.
        people: take persons, too: they carry faces and hands of their own.

    Raises:
        UserError: files are missing or are no COCO annotations, a category is unknown, or nothing is left.
    """
    tables = sorted((source / "annotations").glob("instances_*.json"))
    require(source, layout="COCO", tree=TREE, missing=[] if tables else ["annotations/instances_*.json"])
    records: list[CutoutRecord] = []
    known: set[str] = set()
    for table in tables:
        content = _read_json(table)
        names = {category["id"]: category["name"] for category in content["categories"]}
        known |= set(names.values())
        wanted = {key for key, name in names.items() if (not categories or name in categories)}
        wanted -= {key for key, name in names.items() if name == PERSON and not people}
        fitting = _fitting(content, wanted, min_area_px=min_area_px, max_borders=max_borders)
        records += [_record(table, content, photo, note, names) for photo, note in fitting]
    unknown = sorted(set(categories) - known)
    if unknown:
        raise UserError(f"{source}: unknown categories {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if not records:
        raise UserError(f"{source}: no object is left; lower --min-area, raise --max-borders or name other categories")
    return _with_photos(source, records)


def _fitting(
    content: dict[str, Any], wanted: set[int], *, min_area_px: float, max_borders: int
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (image, annotation) of the objects to take, sorted by their ids."""
    photos = {photo["id"]: photo for photo in content["images"]}
    for note in sorted(content["annotations"], key=lambda note: (note["image_id"], note["id"])):
        if note["category_id"] not in wanted or note.get("iscrowd") or note["area"] < min_area_px:
            continue
        photo = photos.get(note["image_id"])
        if photo is not None and _borders(note["bbox"], photo) <= max_borders:
            yield photo, note


def _borders(box: Sequence[float], photo: dict[str, Any]) -> int:
    x, y, width, height = box
    gaps = (x, y, photo["width"] - x - width, photo["height"] - y - height)
    return sum(gap < BORDER_PX for gap in gaps)


def _record(
    table: Path, content: dict[str, Any], photo: dict[str, Any], note: dict[str, Any], names: dict[int, str]
) -> CutoutRecord:
    category = names[note["category_id"]]
    licences = {licence["id"]: licence.get("url") or licence.get("name", "") for licence in content.get("licenses", [])}
    return CutoutRecord(
        id=f"{category.replace(' ', '_')}_{photo['id']}_{note['id']}",
        # The folder is found when all records are known; until then the table tells it.
        image=Path(table.stem.removeprefix("instances_")) / photo["file_name"],
        outline=coco_outline(note["segmentation"], source=f"{table}, annotation {note['id']}"),
        group=f"image {photo['id']}",
        category=category,
        licence=licences.get(photo.get("license"), ""),
    )


def _with_photos(source: Path, records: Sequence[CutoutRecord]) -> list[CutoutRecord]:
    """Return the records with paths of photos that exist."""
    paths: dict[Path, Path] = {}
    missing = []
    for short in sorted({record.image for record in records}):
        candidates = [source / short, source / "images" / short, source / "images" / short.name, source / short.name]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            missing.append(short.as_posix())
        else:
            paths[short] = path
    shown = missing[:5] + ([f"and {len(missing) - 5} more photos"] if len(missing) > 5 else [])
    require(source, layout="COCO", tree=TREE, missing=shown)
    return [
        CutoutRecord(record.id, paths[record.image], record.outline, record.group, record.category, record.licence)
        for record in records
    ]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); download it again") from error
    lacking = [key for key in KEYS if not isinstance(content, dict) or key not in content]
    if lacking:
        raise UserError(f"{path}: is no table of COCO instances, it has no {', '.join(lacking)}")
    return content
