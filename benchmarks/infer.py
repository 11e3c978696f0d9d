"""Prediction: photos on disk to all results on disk, against the bare network on the same crops.

Each stage's share is of the processor time of all threads together; `network` also stands beside the bare network.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import ROUNDS, Measurement
from benchmarks.world import World
from common.engines import default_processes
from common.image_io import list_images
from common.photo_list import Photo
from configs.schema.network import ModelSection
from face_align.detect import YuNetDetector, find_yunet
from face_align.locate import CropRule, Location, Locator, by_detector, by_landmarks
from inference.outputs import KINDS
from inference.pipeline import Pipeline
from inference.writer import PhotoWriter
from models.device import use_threads
from models.network import build_network
from models.predictor import CropPredictor
from models.runtimes import prepare_network
from models.weights import Card, make_preprocessing

SIZE = 256
NETWORKS = {
    "U-Net MobileNetV2": ModelSection(encoder="mobilenet_v2", decoder_channels=(128, 64, 32, 24, 16)),
    "U-Net ResNet-18": ModelSection(encoder="resnet18"),
}


class Round(NamedTuple):
    """Seconds of one round: wall time and processor time of the stages, and both of the bare network."""

    wall_s: float
    stages_s: dict[str, float]
    bare_wall_s: float
    bare_s: float


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return photos per second of whole runs with random weights, and crops per second of the networks alone.

    Prints the share of each stage.
    """
    landmarks = _photos(world, n)
    photos = [Photo(path.name, path) for path in landmarks]
    threads = default_processes()
    use_threads(1)
    found = []
    for name, section in NETWORKS.items():
        predictor = _predictor(section)
        pipeline = Pipeline(
            predictor,
            new_locator=functools.partial(_locator, predictor, {path.stem: landmarks[path] for path in landmarks}),
            write=PhotoWriter(scratch / name.replace(" ", "-"), KINDS, model=predictor),
            threads=threads,
            batch_size=1,
        )
        crops = [opened.crops for opened in map(pipeline.open, photos)]
        list(pipeline.run(photos[:threads]))  # warm
        rounds = [_round(pipeline, photos, predictor, crops, threads) for _ in range(ROUNDS)]
        _print_stages(name, rounds, len(photos))
        speed = len(photos) / statistics.median(one.wall_s for one in rounds)
        bare = len(photos) / statistics.median(one.bare_wall_s for one in rounds)
        found.append(Measurement("infer", f"{name}, {SIZE} px", round(speed, 2), round(bare, 2), len(photos), threads))
    return found


def _photos(world: World, n: int) -> dict[Path, Path]:
    """Return photos and their landmarks: of landmarks68/ beside the data set where it is, else of the data set."""
    mixed = world.faces.parent / "landmarks68"
    if not mixed.is_dir():
        return {record.image: record.landmarks for record in world.records(n)}
    return {path: mixed / "pts68" / f"{path.stem}.txt" for path in list_images(mixed / "images")[:n]}


def _predictor(section: ModelSection) -> CropPredictor:
    network, spec = build_network(section.model_copy(update={"outputs": ("visible", "full"), "encoder_weights": None}))
    card = Card(spec, make_preprocessing("imagenet", size=SIZE, method="pos3d", template="faceocc256"))
    return CropPredictor(prepare_network(network.eval(), card, device="cpu", precision="32"), card, device="cpu")


def _locator(model: CropPredictor, landmarks: dict[str, Path]) -> Locator:
    """Return a locator of one face a photo: the one that YuNet finds, where its file is, else that of the landmarks.

    So that all rounds do the same work, whatever a drawn face looks like to a detector.
    """
    rule = CropRule.of(model)
    path = find_yunet()
    detect = by_detector(YuNetDetector(path), rule, max_faces=1) if path else None

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        seen = detect(photo, name) if detect else []
        source = landmarks[name]
        return seen or by_landmarks(source.parent, rule)(photo, source.stem)

    return locate


def _round(
    pipeline: Pipeline, photos: list[Photo], predictor: CropPredictor, crops: list[NDArray[np.uint8]], threads: int
) -> Round:
    pipeline.times.seconds.clear()
    start_s = time.perf_counter()
    for _ in pipeline.run(photos):
        pass
    wall_s = time.perf_counter() - start_s
    stages_s = dict(pipeline.times.seconds)
    start_s = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        bare_s = sum(pool.map(_timed(predictor), crops))
    return Round(wall_s, stages_s, time.perf_counter() - start_s, bare_s)


def _timed(predictor: CropPredictor) -> Callable[[NDArray[np.uint8]], float]:
    def call(crops: NDArray[np.uint8]) -> float:
        start_s = time.thread_time()
        predictor.predict_crops(crops)
        return time.thread_time() - start_s

    return call


def _print_stages(name: str, rounds: list[Round], n: int) -> None:
    """Print the processor time of each stage a photo, its share, and the network's beside the bare network's."""
    stages = {stage: statistics.median(one.stages_s[stage] for one in rounds) for stage in rounds[0].stages_s}
    whole_s = sum(stages.values())
    print(f"{name}: processor time a photo")
    for stage, seconds in stages.items():
        print(f"  {stage:8} {1000 * seconds / n:7.1f} ms {seconds / whole_s:6.1%}")
    ratio = statistics.median(one.stages_s["network"] / one.bare_s for one in rounds)
    print(f"  {'all':8} {1000 * whole_s / n:7.1f} ms; network / bare network: {ratio:.2f}")
