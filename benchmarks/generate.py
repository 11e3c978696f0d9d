"""Occlusion synthesis beside its floor: on disk at 1024 px and 256 px, in memory at 112 px, in the training loader."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from benchmarks.timing import Measurement, measure
from benchmarks.world import World, write_crops
from common.config import load_config
from common.geometry import apply_to_points, scaling
from common.image_io import image_size, read_image, read_label, write_bytes, write_grey, write_image, write_label
from common.labels import FacePolicy
from common.manifest import Row, sha256, write_manifest
from common.seeding import TRAIN_STREAM, generator
from configs.schema import AugmentSection, OcclusionJob, OcclusionSection, PreparedSet
from datasets.augment import build_augmenter, warp
from datasets.faces import FaceOcclusionDataset
from datasets.pack import pack
from datasets.prepared import build_face_set
from face_align.celebamask_hq import PhotoRecord, read_parts, resize_label
from face_align.landmarks import read_landmarks
from occlusion_gen.offline import FaceRecord, Occluder
from occlusion_gen.synthesiser import build_synthesiser

MASK_SIDE_PX = 112
LOADER_SIDE_PX = 256
LOADER_BATCH, LOADER_SAMPLES = 32, 320
WARM_UP_SAMPLES = 4000  # each of some hundred occluders is read, as it is in the first minutes of a training
# As the published generators work: nothing is fitted to the photo, or its colours alone.
PLAIN = ("harmony=null",)
SOT = (
    "harmony.color_transfer=sot", "harmony.color_transfer_share=1",
    *(f"harmony.{step}_share=0" for step in ("light", "white_balance", "sharpness", "noise", "motion_blur", "shadow")),
)  # fmt: skip
# case -> (file of configs/occlude, generator in it, overrides); `fitted`: with all that the file asks for
ON_DISK: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "natocc_hand": ("natocc", "hands", PLAIN),
    "natocc_objects": ("natocc", "objects", PLAIN),
    "randocc": ("randocc", "shapes", PLAIN),
    "natocc_hand_sot": ("natocc", "hands", SOT),
    "natocc_hand_fitted": ("natocc", "hands", ()),
    "natocc_hand_published": ("natocc_published", "hands", ()),
    "randocc_published": ("randocc_published", "shapes", ()),
}
IN_MEMORY: dict[str, tuple[str, tuple[str, ...]]] = {
    "mask_polygon_112": ("mask_polygon_published", ("blurred_share=0",)),
    "mask_polygon_blurred_112": ("mask_polygon_published", ("blurred_share=1",)),
    "mask_template_112": ("mask_template", ("textures=null", *PLAIN)),
    "mask_template_fitted_112": ("mask_template", ("textures=null",)),
}


class AlignedFace(NamedTuple):
    """A crop in memory: image (S, S, 3), label (S, S), landmarks (68, 2)."""

    image: np.ndarray
    label: np.ndarray
    landmarks: np.ndarray


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return one case a generator, against what no code can do without: see the functions below."""
    records = world.records(n)
    found = []
    for side_px, names in ((1024, list(ON_DISK)), (256, ["natocc_hand", "natocc_objects", "randocc"])):
        crops = scratch / f"crops{side_px}"
        rows = write_prepared(records, crops, side_px=side_px)
        for name in names:
            config, only, overrides = ON_DISK[name]
            section = occlusion(world, config, only=only, overrides=overrides)
            found.append(time_on_disk(f"{name}_{side_px}", section, rows, crops, scratch / f"{name}_{side_px}"))
    faces = [small_face(record, MASK_SIDE_PX) for record in records]
    for name, (config, overrides) in IN_MEMORY.items():
        found.append(time_in_memory(name, occlusion(world, config, only="masks", overrides=overrides), faces))
    mix, prepared = occlusion(world, "mix"), scratch / f"crops{LOADER_SIDE_PX}"
    found.append(time_loader("online_mix_256", mix, prepared))
    found.append(time_loader("online_mix_one_by_one_256", mix, prepared, batch=1))
    pack(prepared, packed := scratch / f"packed{LOADER_SIDE_PX}")
    found.append(time_loader("online_mix_packed_256", mix, packed))
    plain = {name: section.model_copy(update={"harmony": None}) for name, section in mix.generators.items()}
    one = mix.model_copy(update={"generators": plain, "count": (1, 1)})
    return [*found, time_loader("online_mix_plain_one_256", one, prepared)]


def occlusion(world: World, config: str, *, only: str | None = None, overrides: Sequence[str] = ()) -> OcclusionSection:
    """Return the `occlusion` of a file in configs/occlude on the world's occluders.

    Args:
        only: the one generator to keep.
        overrides: keys of that generator to set.
    """
    keys = [f"occlusion.generators.{only}.{key}" for key in overrides]
    path = Path(__file__).resolve().parent.parent / "configs" / "occlude" / f"{config}.yaml"
    patterns = world.textures.parent / "maskface_patterns"
    if config == "mix" and not patterns.is_dir():
        keys.append(f"occlusion.generators.masks.textures={world.textures}")
    section = load_config(path, OcclusionJob, [f"data.root={world.faces}", *keys]).occlusion
    places = {
        name: generator.model_copy(update={"textures": world.textures})
        if getattr(generator, "textures", None) is not None and generator.kind == "randocc"
        else generator
        for name, generator in section.generators.items()
        if only in (None, name)
    }
    return section.model_copy(update={"generators": places})


def write_prepared(records: list[PhotoRecord], folder: Path, *, side_px: int) -> list[Row]:
    """Return the rows of a prepared set in `folder` with the photos as crops of `side_px`, landmarks included."""
    rows = []
    for record, (image, label) in zip(records, write_crops(records, folder, side_px=side_px), strict=True):
        rows.append(
            {
                "id": record.id,
                "outcome": "ok",
                "split": "train",
                "subject": record.id,
                "crop": {"method": "none", "template": "faceocc256"},
                "files": {"image": image.name, "label": label.name},
                "sha256": {"image": sha256(image), "label": sha256(label)},
                "landmarks": landmarks_of(record, side_px).tolist(),
                "scheme": "ibug68",
            }
        )
    write_manifest(folder, rows)
    return rows


def landmarks_of(record: PhotoRecord, side_px: int) -> np.ndarray:
    """Return the 68 points (68, 2) of a photo in pixels of the photo stretched to a square of `side_px`."""
    to_crop = scaling(image_size(record.image), (side_px, side_px))
    return np.round(apply_to_points(to_crop, read_landmarks(record.landmarks)), 3)


def small_face(record: PhotoRecord, side_px: int) -> AlignedFace:
    """Return a photo and its parts as a crop in memory."""
    size = (side_px, side_px)
    image = cv2.resize(read_image(record.image), size, interpolation=cv2.INTER_AREA)
    return AlignedFace(image, resize_label(read_parts(record), size), landmarks_of(record, side_px))


def time_on_disk(case: str, section: OcclusionSection, rows: list[Row], prepared: Path, output: Path) -> Measurement:
    """Time crop to occluded sample, on disk, against reading the crop and writing what comes out."""
    side_px = max(image_size(prepared / rows[0]["files"]["image"]))
    occluder = Occluder(
        prepared=prepared,
        output=output,
        synthesiser=build_synthesiser(section, policy=FacePolicy(), split="train", max_side_px=side_px),
        seed=0,
        set_index=0,
        image_format="jpg",
    )
    records = [FaceRecord(row["id"], index, row) for index, row in enumerate(rows)]
    made = [occluder(record) for record in records]  # reads every occluder once; a long run does so, too
    paths = [{kind: output / path for kind, path in row["files"].items()} for row in made]
    images = [read_image(files["image"]) for files in paths]
    labels = [read_label(files["label"]) for files in paths]
    parts = [files["parts"].read_bytes() for files in paths]
    alphas = [read_label(files["occluder"]) for files in paths]

    def job(index: int) -> None:
        # A file system may flush a file when another takes its name, which no first run meets.
        for path in paths[index].values():
            path.unlink()
        occluder(records[index])

    def floor(index: int) -> None:
        for path in records[index].row["files"].values():
            with Image.open(prepared / path) as image:
                image.load()
        folder = output / "floor"
        for name in ("image.jpg", "label.png", "parts.png", "occluder.png"):
            (folder / name).unlink(missing_ok=True)
        write_image(folder / "image.jpg", images[index])
        write_label(folder / "label.png", labels[index])
        write_bytes(folder / "parts.png", parts[index])
        write_grey(folder / "occluder.png", alphas[index])

    return measure(bench="generate", case=case, job=job, floor=floor, n=len(records))


def time_in_memory(case: str, section: OcclusionSection, faces: list[AlignedFace]) -> Measurement:
    """Time image, label and landmarks to occluded sample against filling one polygon and one blend of that size."""
    synthesiser = build_synthesiser(section, policy=FacePolicy(), split="train", max_side_px=MASK_SIDE_PX)

    def job(index: int) -> None:
        face = faces[index]
        synthesiser(generator(0, index), image=face.image, label=face.label, landmarks=face.landmarks)

    def floor(index: int) -> None:
        image, _, landmarks = faces[index]
        alpha = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(alpha, [np.rint(landmarks[1:16]).astype(np.int32)], 255)
        share = alpha.astype(np.float32) * np.float32(1 / 255)
        cv2.blendLinear(image, np.zeros_like(image), 1 - share, share)

    return measure(bench="generate", case=case, job=job, floor=floor, n=len(faces))


def time_loader(case: str, section: OcclusionSection, prepared: Path, *, batch: int = LOADER_BATCH) -> Measurement:
    """Time training samples, face on disk to uint8 tensors, against reading the faces and one warp each.

    Args:
        batch: samples that a loader asks for at once.
    """
    records = build_face_set({"faces": PreparedSet(prepared=prepared)}).records
    policy = FacePolicy()
    faces = FaceOcclusionDataset(
        records,
        size=LOADER_SIDE_PX,
        policy=policy,
        seed=0,
        stream=TRAIN_STREAM,
        synthesise=build_synthesiser(section, policy=policy, split="train", max_side_px=LOADER_SIDE_PX),
        augment=build_augmenter(AugmentSection()),
    )
    position = itertools.count()

    def next_batch(count: int) -> list[tuple[int, int]]:
        return [divmod(place, len(records)) for place in itertools.islice(position, count)]  # a new draw in each epoch

    for _ in range(0, WARM_UP_SAMPLES, batch):
        faces.__getitems__(next_batch(batch))

    def floor(start: int) -> None:
        for index in range(start, start + batch):
            image, label, _, _ = records[index % len(records)].read()
            warp(np.eye(2, 3), image=image, masks=np.dstack([label, label]), size=LOADER_SIDE_PX)

    def job(_: int) -> None:
        faces.__getitems__(next_batch(batch))

    return measure(bench="generate", case=case, job=job, floor=floor, n=LOADER_SAMPLES, batch=batch)
