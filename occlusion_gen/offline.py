"""An occluded data set on disk: images, labels with parts, labels before occlusion, alphas and a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.image_io import (
    FileContent,
    read_image,
    read_label,
    write_bytes,
    write_grey,
    write_image,
    write_label,
    write_zero_one,
)
from common.labels import FacePolicy, still_visible_mask
from common.manifest import Row, read_checked, read_samples
from common.seeding import generator
from common.visualize import blend, colour_labels, contact_sheet
from configs.schema import OcclusionJob
from occlusion_gen.face import OccludedFace, Points
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
    label_format: str = "parts"

    def __call__(self, record: FaceRecord) -> Row:
        """Return the manifest row after writing image, label, label before occlusion and alpha.

        Raises:
            RecordError: an input file cannot be read, or is not the one that its manifest tells of.
        """
        files = {
            kind: read_checked(self.prepared / record.row["files"][kind], record.row["sha256"][kind])
            for kind in ("image", "label")
        }
        image, label = read_image(files["image"]), read_label(files["label"])
        rng = generator(self.seed, self.set_index, record.index)
        sample = self.synthesiser(rng, image=image, label=label, landmarks=landmarks_of(record.row))
        written, digests = self._write(sample, record.id, label_file=files["label"])
        return {
            "id": record.id,
            "outcome": "ok",
            "split": record.row["split"],
            "subject": record.row["subject"],
            "crop": record.row["crop"],
            "source": record.row["files"]["image"],
            "source_sha256": source_digest(record),
            "files": written,
            "sha256": digests,
            "key": [self.seed, self.set_index, record.index],
            "coverage": round(sample.coverage, 5),
            **({} if sample.full_known else {"full_known": False}),
            "params": sample.params,
        }

    def _write(
        self, sample: OccludedFace, name: str, *, label_file: FileContent
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Write the files of a sample; return their paths, relative to the output folder, and SHA-256 by kind."""
        files = {
            "image": f"images/{name}.{self.image_format}",
            "label": f"labels/{name}.png",
            "parts": f"parts/{name}.png",
            "occluder": f"occluder/{name}.png",
        }
        soft = bool(np.any((sample.hidden > 0) & (sample.hidden < 255)))
        if soft:
            files["hidden"] = f"hidden/{name}.png"
        paths = {kind: self.output / path for kind, path in files.items()}
        digests = {"image": write_image(paths["image"], sample.image)}
        if self.label_format == "zero_one":
            digests["label"] = write_zero_one(paths["label"], sample.visible > 127)
        else:
            digests["label"] = write_label(paths["label"], sample.label)
        if sample.params["flip"] or "real" in sample.params:
            digests["parts"] = write_label(paths["parts"], sample.parts)
        else:  # the source's own bytes: nothing to encode
            digests["parts"] = write_bytes(paths["parts"], label_file.content)
        digests["occluder"] = write_grey(paths["occluder"], sample.alpha)
        if soft:
            digests["hidden"] = write_grey(paths["hidden"], sample.hidden)
        return files, digests


def read_faces(job: OcclusionJob) -> list[FaceRecord]:
    """Return the faces to occlude, in the order of the prepared set.

    Raises:
        ManifestError: the manifest cannot be read, or holds no face of the split.
    """
    rows = read_samples(job.data.prepared, split=job.split)[: job.limit]
    return [FaceRecord(id=row["id"], index=index, row=row) for index, row in enumerate(rows)]


def source_digest(record: FaceRecord) -> str:
    """Return the SHA-256 of the face that a sample is made from, as its row keeps it."""
    return str(record.row["sha256"]["image"])


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
        label_format=job.label_format,
    )


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Return statistics of the coverage (hidden share of the full face) and how often each generator worked.

    A set of random shapes alone is put beside the published run.
    """
    samples = [row for row in rows if row["outcome"] == "ok"]
    coverage = np.array([row["coverage"] for row in samples])
    if coverage.size == 0:
        return {}
    layers = [row["params"]["layers"] for row in samples]
    names = [layer["generator"] for found in layers for layer in found]
    counts = [len(found) for found in layers]
    shapes_only = all(len(found) == 1 and "shape" in found[0]["drawn"] for found in layers)
    skipped = [name for row in samples for name in row["params"].get("without_landmarks", [])]
    return {
        "coverage": {
            "mean": round(float(coverage.mean()), 4),
            "std": round(float(coverage.std()), 4),
            **{f"p{at}": round(float(np.percentile(coverage, at)), 4) for at in (5, 50, 95)},
        },
        **({"published_randocc_coverage": PUBLISHED_RANDOCC_COVERAGE} if shapes_only else {}),
        "coverage_histogram": np.histogram(coverage, bins=10, range=(0, 1))[0].tolist(),
        "generators": {name: names.count(name) for name in sorted(set(names))},
        "occluders": {str(count): counts.count(count) for count in sorted(set(counts))},
        **({"without_landmarks": {name: skipped.count(name) for name in sorted(set(skipped))}} if skipped else {}),
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
        label, parts = (read_label(output / row["files"][kind]) for kind in ("label", "parts"))
        strips.append([image, colour_labels(label), blend(image, still_visible_mask(label, parts, policy))])
    rows_of_two = [strips[at] + (strips[at + 1] if at + 1 < len(strips) else []) for at in range(0, len(strips), 2)]
    path = output / "contact_sheet.jpg"
    write_image(path, contact_sheet(rows_of_two), quality=88)
    return path


def landmarks_of(row: Row) -> Points | None:
    """Return the 68 points (68, 2) of a prepared crop, None where its manifest row has none."""
    return np.array(row["landmarks"], np.float64) if row.get("scheme") == "ibug68" else None
