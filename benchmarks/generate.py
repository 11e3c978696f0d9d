"""Occlusion synthesis at 1024 px and 256 px: crop to occluded sample, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.timing import Measurement, measure
from benchmarks.world import World, write_crops
from common.image_io import read_image, read_label, read_mask, write_grey, write_image, write_label, write_mask
from common.labels import FacePolicy
from configs.schema import NatOccSection, OcclusionSection, RandOccSection
from occlusion_gen.offline import FaceRecord, Occluder
from occlusion_gen.synthesiser import build_synthesiser


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return one case a generator and size, against reading and writing the same files."""
    sections: dict[str, NatOccSection | RandOccSection] = {
        "natocc hands": NatOccSection(occluders=world.hands, part="hand", rotate_toward_face=True),
        "natocc objects": NatOccSection(occluders=world.objects, part="object"),
        "randocc": RandOccSection(textures=world.textures),
    }
    found = []
    for side_px in (1024, 256):
        folder = scratch / f"crops{side_px}"
        pairs = write_crops(world.records(n), folder, side_px=side_px)
        records = [FaceRecord(image.stem, index, _row(image, label)) for index, (image, label) in enumerate(pairs)]
        for name, section in sections.items():
            occluder = Occluder(
                prepared=folder,
                output=scratch / f"{name}{side_px}",
                synthesiser=build_synthesiser(
                    OcclusionSection(generators={"only": section}),
                    policy=FacePolicy(),
                    split="train",
                    max_side_px=side_px,
                ),
                seed=0,
                set_index=0,
                image_format="jpg",
            )
            found.append(_measure(f"{name}, {side_px} px", occluder, records))
    return found


def _measure(case: str, occluder: Occluder, records: list[FaceRecord]) -> Measurement:
    rows = [occluder(record) for record in records]  # reads every occluder once; a long run does so too
    samples = [{kind: occluder.output / path for kind, path in row["files"].items()} for row in rows]
    images = [read_image(paths["image"]) for paths in samples]
    labels = [read_label(paths["label"]) for paths in samples]
    parts = [paths["parts"].read_bytes() for paths in samples]
    alphas = [read_image(paths["occluder"])[..., 0].copy() for paths in samples]

    def job(index: int) -> None:
        occluder(records[index])

    def floor(index: int) -> None:
        for path in records[index].row["files"].values():
            with Image.open(occluder.prepared / path) as image:
                image.load()
        folder = occluder.output / "floor"
        write_image(folder / "image.jpg", images[index])
        write_label(folder / "label.png", labels[index])
        write_bytes(folder / "parts.png", parts[index])
        write_grey(folder / "occluder.png", alphas[index])

    return measure(bench="generate", case=case, job=job, floor=floor, n=len(records))


def _row(image: Path, label: Path) -> dict[str, Any]:
    return {
        "files": {"image": image.name, "label": label.name},
        "sha256": {"image": ""},
        "split": "train",
        "subject": image.stem,
        "crop": {},
    }
