"""Training from a packed set with occluders put on in the workers, against the bare steps on one fixed batch.

Both take turns in one process, window by window, so that a busy machine slows both alike.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks.generate import occlusion
from benchmarks.timing import ROUNDS, Measurement
from benchmarks.world import World
from common.engines import default_processes
from common.jobs import run_job
from common.labels import FacePolicy
from common.sample import Sample
from common.seeding import TRAIN_STREAM
from configs.schema import (
    AlignJob,
    AlignSection,
    AugmentSection,
    DataSection,
    LossSection,
    ModelSection,
    PreparedSet,
    TrainSection,
)
from datasets.augment import build_augmenter
from datasets.batches import ImageStream, collate, start_worker
from datasets.faces import FaceOcclusionDataset
from datasets.pack import pack
from datasets.prepared import build_face_set
from face_align.align import build_aligner
from models.learner import Learner, build_learner
from models.losses import segmentation_losses
from models.network import build_network
from models.processes import start_fabric
from models.training import to_device
from models.weights import Preprocessing, normalisation
from occlusion_gen.synthesiser import build_synthesiser

PHOTOS = 40


class Setting(NamedTuple):
    """What suits a device: on a CPU the network and the loader get a core each."""

    size: int
    batch_size: int
    workers: int
    threads: int | None


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return the speed of the loop and of the bare steps: medians over windows of about `n` images each."""
    cores, cuda = default_processes(), torch.cuda.is_available()
    setting = Setting(256, 64, max(1, cores - 2), None) if cuda else Setting(128, 8, 1, 1)
    packed = write_packed(world, scratch, processes=cores)
    section = TrainSection(
        images=10**9, batch_size=setting.batch_size, threads=setting.threads, ema_half_life_images=1000
    )
    fabric = start_fabric(section)
    network, _ = build_network(ModelSection())
    learner = build_learner(fabric, network, section, seed=0, origin={})
    preprocessing = Preprocessing(setting.size, "", "", *normalisation("imagenet"))
    batches = iter(make_loader(world, packed, setting))
    fixed = to_device(next(batches), fabric.device)

    def loop() -> None:
        learner.take_step([next(batches)], preprocessing=preprocessing, loss=LossSection(), gradient_clip=1.0)

    def bare() -> None:
        bare_step(learner, fixed, preprocessing)

    steps = max(1, n // setting.batch_size)
    seconds: dict[Callable[[], None], list[float]] = {loop: [], bare: []}
    for _ in range(ROUNDS):
        for call in (loop, bare):
            ahead = 2 * setting.workers + 1 if call is loop else 1  # made in the other's turn
            for _ in itertools.repeat(None, ahead):
                call()
            seconds[call].append(time_steps(call, steps))
    count = steps * setting.batch_size
    speed, floor = (count / float(np.median(seconds[call])) for call in (loop, bare))
    case = f"loop, {setting.size} px, batch {setting.batch_size}, {fabric.device.type}"
    threads = setting.threads or cores
    return [Measurement("train", case, round(speed, 2), round(floor, 2), count, threads)]


def time_steps(step: Callable[[], None], count: int) -> float:
    """Return the seconds that `count` steps take, the device's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start_s = time.perf_counter()
    for _ in range(count):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start_s


def bare_step(learner: Learner, sample: Sample, preprocessing: Preprocessing) -> None:
    """Do forward pass, loss, backward pass and optimiser step, and nothing else."""
    learner.model.train()
    learner.optimiser.zero_grad(set_to_none=True)
    terms = segmentation_losses(learner.model(preprocessing.normalise(sample.image)), sample, LossSection())
    learner.fabric.backward(torch.stack(list(terms.values())).sum())
    learner.optimiser.step()


def write_packed(world: World, scratch: Path, *, processes: int) -> Path:
    """Return a packed set of aligned photos of 256 px."""
    prepared, packed = scratch / "aligned", scratch / "packed"
    job = AlignJob(data=DataSection(root=world.faces, prepared=prepared), align=AlignSection(size=256), output=prepared)
    run_job(build_aligner(job), world.records(PHOTOS), folder=prepared, title="align", processes=processes)
    pack(prepared, packed, threads=processes)
    return packed


def make_loader(world: World, packed: Path, setting: Setting) -> DataLoader[Sample]:
    """Return endless batches with the occluders of configs/occlude/mix.yaml put on."""
    faces, policy = build_face_set({"faces": PreparedSet(prepared=packed)}), FacePolicy()
    dataset = FaceOcclusionDataset(
        faces.records,
        size=setting.size,
        policy=policy,
        seed=0,
        stream=TRAIN_STREAM,
        synthesise=build_synthesiser(occlusion(world, "mix"), policy=policy, split="train", max_side_px=faces.side_px),
        augment=build_augmenter(AugmentSection()),
    )
    return DataLoader(
        dataset,
        sampler=ImageStream(len(dataset), seed=0, start=0, stop=10**9),
        batch_size=setting.batch_size,
        num_workers=setting.workers,
        collate_fn=collate,
        worker_init_fn=start_worker,
        pin_memory=torch.cuda.is_available(),
    )
