"""Alignment: photo and part masks to crop and label map, on disk."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from benchmarks.timing import Measurement, measure
from benchmarks.world import World
from common.image_io import read_image, read_label, write_image, write_label
from common.labels import FacePolicy
from face_align.align import Aligner


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return one case a crop size, against reading and writing the same files."""
    records = world.records(n)
    found = []
    for size in (256, 512):
        aligner = Aligner(
            root=world.faces,
            output=scratch / f"aligned{size}",
            method="pos3d",
            template="faceocc256",
            size=size,
            fill="reflect_blur",
            image_format="jpg",
            policy=FacePolicy(),
        )
        rows = [aligner(record) for record in records]
        crops = [read_image(aligner.output / row["files"]["image"]) for row in rows]
        labels = [read_label(aligner.output / row["files"]["label"]) for row in rows]

        def job(index: int, aligner: Aligner = aligner) -> None:
            aligner(records[index])

        def floor(index: int, size: int = size, crops: list = crops, labels: list = labels) -> None:
            for path in (records[index].image, *records[index].parts.values()):
                with Image.open(path) as image:
                    image.load()
            write_image(scratch / f"floor{size}.jpg", crops[index])
            write_label(scratch / f"floor{size}.png", labels[index])

        case = f"pos3d to {size} px"
        found.append(measure(bench="align", case=case, job=job, floor=floor, n=len(records)))
    return found
