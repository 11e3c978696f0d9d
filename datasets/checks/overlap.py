"""What two sides of an experiment share, though they must not: photos, subjects, occluder files.

Compared is what can be: the pixels of photos; subjects within one data set, and between prepared folders, where an id
means the same person when it comes from the same raw set; the files of occluders that manifests name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from common.manifest import Row, read_samples
from datasets.checks.inspect import Finding
from datasets.checks.jobs import NamedSet
from datasets.test_sets import Problem, TestImage

# Layouts whose subjects are named alike, beside those of one layout.
FAMILIES = {
    "celebamask_hq": "CelebA-HQ", "celebamask_hq_wo": "CelebA-HQ", "celebamask_hq_o": "CelebA-HQ",
    "faceocc_celebahq": "CelebA-HQ", "lfw": "LFW", "lfw_pl": "LFW", "mlfw": "LFW",
}  # fmt: skip
# Folder that a prepared crop was cut from -> family.
SOURCES = {"CelebA-HQ-img": "CelebA-HQ", "lfw": "LFW"}
OCCLUDER_KEYS = ("occluder", "file", "template", "texture")


class Traits(NamedTuple):
    """What must not be shared, by kind: name of the kind -> key -> ids of records that have it."""

    photos: Mapping[str, list[str]]
    subjects: Mapping[str, list[str]]
    occluders: Mapping[str, list[str]]


def overlaps(entries: Sequence[tuple[NamedSet, Sequence[TestImage], Sequence[Finding]]]) -> list[Problem]:
    """Return one problem for each pair of sides, of different roles, and each kind of thing that both have.

    Args:
        entries: a set, its records and, where files were read, what that showed.
    """
    traits = [(named, _traits(named, records, findings)) for named, records, findings in entries]
    problems: list[Problem] = []
    for (first, left), (second, right) in combinations(traits, 2):
        if "source" in (first.side, second.side) or first.side == second.side:
            continue
        for kind, what, fix in (
            ("photos", "photos", "take one of each out (leave_out)"),
            ("subjects", "subjects", "split by subject, or give each set its own split"),
            ("occluders", "occluder files", "make the test set with occluder_split: validation"),
        ):
            shared = getattr(left, kind).keys() & getattr(right, kind).keys()
            names = tuple(sorted(_told(getattr(left, kind)[key], getattr(right, kind)[key]) for key in shared))
            if names:
                told = f"{what} that {first.name} ({first.side}) and {second.name} ({second.side}) share"
                problems.append(Problem(told, names, fix))
    return problems


def _told(first: list[str], second: list[str]) -> str:
    return first[0] if first[0] == second[0] else f"{first[0]} = {second[0]}"


def _traits(named: NamedSet, records: Sequence[TestImage], findings: Sequence[Finding]) -> Traits:
    photos = _grouped((finding.digest, finding.name) for finding in findings if finding.digest)
    section = named.section
    if section.layout != "prepared":
        family = FAMILIES.get(section.layout, section.layout)
        subjects = ((f"{family}:{record.subject}", record.id) for record in records if record.subject is not None)
        return Traits(photos, _grouped(subjects), {})
    taken = {record.id for record in records}
    rows = [row for row in read_samples(section.root, split=section.split) if row["id"] in taken]
    digests = ((digest, row["id"]) for row in rows for digest in _sources(row))
    subjects = ((f"{_family(row)}:{row['subject']}", row["id"]) for row in rows if row.get("subject") is not None)
    occluders = ((file, file) for row in rows for file in _occluder_files(row.get("params", {})))
    return Traits(photos | _grouped(digests), _grouped(subjects), _grouped(occluders))


def _sources(row: Row) -> Iterator[str]:
    """Yield the digests of a prepared photo and of what it was made from."""
    yield from (str(value) for value in (row.get("sha256", {}).get("image"), row.get("source_sha256")) if value)


def _family(row: Row) -> str:
    """Return the family of a crop's raw set; crops of crops do not tell, and count as CelebA-HQ, the common case."""
    folder = Path(str(row.get("source", ""))).parts[:1]
    return SOURCES.get(folder[0], folder[0]) if folder and folder[0] != "images" else "CelebA-HQ"


def _occluder_files(params: Any) -> Iterator[str]:
    """Yield the names of files in the parameters of a sample, wherever they stand."""
    if isinstance(params, dict):
        for key, value in params.items():
            if key in OCCLUDER_KEYS and isinstance(value, str):
                yield value
            else:
                yield from _occluder_files(value)
    elif isinstance(params, list):
        for value in params:
            yield from _occluder_files(value)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for key, name in pairs:
        grouped[key].append(name)
    return dict(grouped)
