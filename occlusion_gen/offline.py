"""An occluded data set on disk: images, labels with parts, full faces, alphas and a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.image_io import read_image, read_label, write_grey, write_image, write_label, write_mask
from common.labels import FacePolicy, visible_mask
from common.manifest import Row, sha256
from common.seeding import generator
from common.visualize import blend, colour_labels, contact_sheet
from configs.schema import OcclusionJob
from occlusion_gen.synthesiser import Synthesiser, build_synthesiser

SHEET_FACES = 24
# Occluded share of the face over a real run of the published RandOcc code on CelebAMask-HQ: what ours should be near.
PUBLISHED_RANDOCC_COVERAGE = {"mean": 0.304, "std": 0.148, "p5": 0.091, "p50": 0.286, "p95": 0.580}


@dataclass(frozen=True)
class FaceRecord:
    """A face of a prepared set, with its place in it.

    Attributes:
        id: its id in the prepared set.
        index: its place among the faces to occlude; the random numbers hang on it.
        row: its manifest row.
    """

    id: str
    index: int
    row: Row


@dataclass(frozen=True)
class Occluder:
    """Writes the occluded sample of a face and returns its manifest row. Picklable."""

    prepared: Path
    output: Path
    synthesiser: Synthesiser
    seed: int
    set_index: int
    image_format: str

    def __call__(self, record: FaceRecord) -> Row:
        """Return the manifest row after writing image, label, full face and alpha.

        Raises:
            RecordError: an input file cannot be read.
        """
        image = read_image(self.prepared / record.row["files"]["image"])
        label = read_label(self.prepared / record.row["files"]["label"])
        rng = generator(self.seed, self.set_index, record.index)
        sample = self.synthesiser(rng, image=image, label=label)
        files = {
            "image": f"images/{record.id}.{self.image_format}",
            "label": f"labels/{record.id}.png",
            "full": f"full/{record.id}.png",
            "occluder": f"occluder/{record.id}.png",
        }
        write_image(self.output / files["image"], sample.image)
        write_label(self.output / files["label"], sample.label)
        write_mask(self.output / files["full"], sample.full)
        write_grey(self.output / files["occluder"], sample.alpha)
        return {
            "id": record.id,
            "outcome": "ok",
            "split": record.row["split"],
            "subject": record.row["subject"],
            "crop": record.row["crop"],
            "source": record.row["files"]["image"],
            "source_sha256": record.row["sha256"]["image"],
            "files": files,
            "sha256": {name: sha256(self.output / path) for name, path in files.items()},
            "key": [self.seed, self.set_index, record.index],
            "coverage": round(sample.coverage, 5),
            "params": sample.params,
        }


def build_occluder(job: OcclusionJob, *, side_px: int) -> Occluder:
    """Return the writer that the configuration describes.

    Args:
        side_px: side of the prepared crops.
    """
    return Occluder(
        prepared=job.data.prepared,
        output=job.output,
        synthesiser=build_synthesiser(
            job.occlusion, policy=job.face.policy(), split=job.occluder_split, max_side_px=side_px
        ),
        seed=job.seed,
        set_index=job.set,
        image_format=job.image_format,
    )


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Return statistics of the coverage (hidden share of the full face) and how often each generator worked.

    A set of random shapes alone is put beside the published run.
    """
    samples = [row for row in rows if row["outcome"] == "ok"]
    coverage = np.array([row["coverage"] for row in samples])
    if coverage.size == 0:
        return {}
    names = [str(row["params"]["generator"]) for row in samples]
    shapes_only = all("shape" in row["params"]["drawn"] for row in samples)
    return {
        "coverage": {
            "mean": round(float(coverage.mean()), 4),
            "std": round(float(coverage.std()), 4),
            **{f"p{at}": round(float(np.percentile(coverage, at)), 4) for at in (5, 50, 95)},
        },
        **({"published_randocc_coverage": PUBLISHED_RANDOCC_COVERAGE} if shapes_only else {}),
        "generators": {name: names.count(name) for name in sorted(set(names))},
    }


def write_contact_sheet(output: Path, rows: Sequence[Row], policy: FacePolicy) -> Path | None:
    """Write faces spread over the set (composite, labels, visible face) and return the path."""
    samples = [row for row in rows if row["outcome"] == "ok"]
    if not samples:
        return None
    chosen = samples[:: max(1, len(samples) // SHEET_FACES)][:SHEET_FACES]
    strips = []
    for row in chosen:
        image = read_image(output / row["files"]["image"])
        label = read_label(output / row["files"]["label"])
        strips.append([image, colour_labels(label), blend(image, visible_mask(label, policy))])
    rows_of_two = [strips[at] + (strips[at + 1] if at + 1 < len(strips) else []) for at in range(0, len(strips), 2)]
    path = output / "contact_sheet.jpg"
    write_image(path, contact_sheet(rows_of_two), quality=88)
    return path
