"""Alignment: photo and part masks to crop and label map, on disk; and the detection of faces."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.timing import Measurement, measure
from benchmarks.world import World
from common.geometry import apply_to_points, scaling
from common.image_io import image_size, read_image, read_label, read_mask, write_image, write_label
from common.labels import FacePolicy
from face_align.align import Aligner
from face_align.celebamask_hq import IMAGES, MASKS, PhotoRecord, read_celebamask_hq
from face_align.detect import DETECTION_SIDES_PX, YuNetDetector, find_yunet
from face_align.landmarks import read_landmarks

# The published sizes of CelebAMask-HQ, sides in pixels.
OFFICIAL_PHOTO_PX, OFFICIAL_MASK_PX = 1024, 512


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return crops of two sizes, the official sizes of CelebAMask-HQ, and YuNet where its weights are there."""
    records = world.records(n)
    found = [
        time_alignment(records, scratch, root=world.faces, size=size, case=f"pos3d to {size} px") for size in (256, 512)
    ]
    official = write_official_sizes(records, scratch / "official")
    case = f"celebamask_{OFFICIAL_PHOTO_PX}_to_256"
    for writes, name in ((False, case), (True, f"{case}, floor writes")):
        root = scratch / "official"
        found.append(time_alignment(official, scratch, root=root, size=256, case=name, floor_writes=writes))
    return [*found, *time_detection(records)]


def time_alignment(
    records: list[PhotoRecord], scratch: Path, *, root: Path, size: int, case: str, floor_writes: bool = False
) -> Measurement:
    """Return the speed of the aligner, disk in and out, against decoding the same files alone.

    Args:
        floor_writes: the floor writes crops and label maps, too.
    """
    aligner = Aligner(
        root=root,
        output=scratch / case.replace(" ", "_").replace(",", ""),
        method="pos3d",
        template="faceocc256",
        size=size,
        fill="reflect_blur",
        image_format="jpg",
        policy=FacePolicy(),
    )
    runs = itertools.count()

    def job(index: int) -> None:
        # A name that no file has, as in a first run: a file system may flush a file when another takes its name.
        aligner(replace(records[index], id=f"{index}_{next(runs)}"))

    rows = [aligner(record) for record in records]
    crops = [read_image(aligner.output / row["files"]["image"]) for row in rows]
    labels = [read_label(aligner.output / row["files"]["label"]) for row in rows]
    flags = [photo_flags(record.image, crop_px=size) for record in records]

    def floor(index: int) -> None:
        decode(records[index].image, flags[index])
        for path in records[index].parts.values():
            decode(path, cv2.IMREAD_GRAYSCALE)
        if floor_writes:
            name = f"{index}_{next(runs)}"
            write_image(aligner.output / "floor" / f"{name}.jpg", crops[index])
            write_label(aligner.output / "floor" / f"{name}.png", labels[index])

    return measure(bench="align", case=case, job=job, floor=floor, n=len(records))


def decode(path: Path, flags: int) -> None:
    """Read and decode a file and no more, by the library that the aligner uses and into the form that it goes on with.

    Args:
        flags: of OpenCV's `imdecode`.
    """
    cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)


def photo_flags(path: Path, *, crop_px: int = 0) -> int:
    """Return the flags to decode a photo with: to RGB, a JPEG at half its sides where that keeps twice the crop's."""
    halved = path.suffix == ".jpg" and 0 < 4 * crop_px <= min(image_size(path))
    return cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_REDUCED_GRAYSCALE_2 if halved else 0)


def time_detection(records: list[PhotoRecord]) -> list[Measurement]:
    """Return the speed of YuNet, file to points, against decoding and the bare network; nothing without weights."""
    weights = find_yunet()
    if weights is None:
        print("detect_yunet: left out, there are no weights of YuNet; see scripts/download_weights.sh")
        return []
    detector = YuNetDetector(weights)
    network = cv2.dnn.readNetFromONNX(str(weights))
    sides = [min(side, DETECTION_SIDES_PX[0]) // 32 * 32 for side in image_size(records[0].image)]
    shape = np.zeros((1, 3, *sides), np.float32)

    def job(index: int) -> None:
        detector.detect(read_image(records[index].image))

    def floor(index: int) -> None:
        decode(records[index].image, photo_flags(records[index].image))
        network.setInput(shape)
        network.forward(network.getUnconnectedOutLayersNames())

    return [measure(bench="align", case="detect_yunet", job=job, floor=floor, n=len(records))]


def write_official_sizes(records: list[PhotoRecord], root: Path) -> list[PhotoRecord]:
    """Return the records enlarged to the published sizes: photos of 1024 px, three-channel masks of 512 px."""
    photo_size, mask_size = (OFFICIAL_PHOTO_PX,) * 2, (OFFICIAL_MASK_PX,) * 2
    (root / "landmarks").mkdir(parents=True)
    lines = ["id,split\n"]
    for record in records:
        photo = cv2.resize(read_image(record.image), photo_size, interpolation=cv2.INTER_CUBIC)
        write_image(root / IMAGES / f"{record.id}.jpg", np.asarray(photo, np.uint8))
        moved = apply_to_points(scaling(image_size(record.image), photo_size), read_landmarks(record.landmarks))
        np.save(root / "landmarks" / f"{record.id}.npy", moved)
        for name, path in record.parts.items():
            mask = read_mask(path).astype(np.uint8) * np.uint8(255)
            large = cv2.resize(mask, mask_size, interpolation=cv2.INTER_NEAREST_EXACT)
            write_image(root / MASKS / "0" / f"{int(record.id):05d}_{name}.png", np.dstack([large] * 3))
        lines.append(f"{record.id},{record.split}\n")
    (root / "split.csv").write_text("".join(lines), encoding="utf-8")
    return read_celebamask_hq(root, split="split.csv")
