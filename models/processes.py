"""One training over one or more processes: device, precision and launch by Lightning Fabric.

`torchrun --nproc_per_node=N train.py CONFIG` starts N processes; without torchrun there is one.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric, seed_everything
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy
from timm.layers.norm_act import convert_sync_batchnorm

from common.errors import UserError
from configs.schema import TrainSection
from models.device import pick_precision

PATIENCE = timedelta(minutes=20)  # a process that is not heard of for longer counts as dead; saving takes less
LOST_PEER = ("connection closed by peer", "connection reset by peer", "broken pipe", "socket timeout", "remote process")
Item = TypeVar("Item")


def start_fabric(section: TrainSection) -> Fabric:
    """Return Fabric on this process's device, joined with the other processes of torchrun.

    Raises:
        UserError: there are more processes than GPUs, or the batch cannot be shared out.
    """
    if section.threads is not None:
        torch.set_num_threads(section.threads)
    set_deterministic(section.deterministic)
    device_type = "cuda" if torch.cuda.is_available() else "cpu"
    precision = pick_precision(section.precision, device_type)
    if not torch.distributed.is_torchelastic_launched():
        # Named, because Fabric would otherwise take the variables of a SLURM shell for orders to start more.
        return Fabric(accelerator=device_type, devices=1, precision=precision, plugins=[LightningEnvironment()])
    ranks, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    micro_batch(section, ranks)
    if device_type == "cuda" and here > torch.cuda.device_count():
        raise UserError(
            f"torchrun started {here} processes here, but there are {torch.cuda.device_count()} GPUs; "
            f"use --nproc_per_node={torch.cuda.device_count()}"
        )
    fabric = Fabric(
        accelerator=device_type,
        devices=here,
        num_nodes=ranks // here,
        precision=precision,
        strategy=DDPStrategy(timeout=PATIENCE, gradient_as_bucket_view=True),
    )
    fabric.launch()
    signal.signal(signal.SIGTERM, _stop)
    return fabric


def micro_batch(section: TrainSection, ranks: int) -> int:
    """Return how many images a process takes in one pass, so that a step sees `batch_size` whatever the processes.

    Raises:
        UserError: the batch cannot be shared out evenly.
    """
    passes = ranks * section.accumulate
    if section.batch_size % passes:
        raise UserError(
            f"train.batch_size {section.batch_size} cannot be shared out over {ranks} processes x "
            f"{section.accumulate} passes (train.accumulate); choose a multiple of {passes}"
        )
    return section.batch_size // passes


def set_deterministic(deterministic: bool) -> None:
    """Choose between kernels that repeat themselves and the fastest ones; matters on GPUs."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    # Filling memory that was never written would cost time, and nothing here reads such memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not deterministic


def share_statistics(network: torch.nn.Module, fabric: Fabric, *, wanted: bool) -> torch.nn.Module:
    """Return the network with batch statistics over all GPUs, where that is wanted and there are several."""
    if wanted and fabric.world_size > 1 and fabric.device.type == "cuda":
        return convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return network


def seed_process(seed: int, rank: int) -> None:
    """Seed all global generators; equal seeds and ranks give equal draws (dropout), ranks differ from each other."""
    seed_everything((seed + 7919 * rank) % 2**32, verbose=False)


def generator_states() -> dict[str, Any]:
    """Return the states of all global generators of this process, in plain numbers and tensors."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": [str(kind), [int(key) for key in keys], int(position), int(has_gauss), float(gauss)],
        "python": random.getstate(),
    }


def restore_generators(states: dict[str, Any]) -> None:
    """Set all global generators of this process to what `generator_states` returned."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))


def gather(item: Item, ranks: int) -> list[Item]:
    """Return the items of all processes, in the order of their ranks; all of them must call it."""
    if ranks == 1:
        return [item]
    items: list[Any] = [None] * ranks
    torch.distributed.all_gather_object(items, item)
    return items


@torch.no_grad()
def share_buffers(network: torch.nn.Module, ranks: int) -> None:
    """Give all processes the first one's buffers: batch statistics of their own would judge by other networks."""
    if ranks > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


def _stop(number: int, frame: FrameType | None) -> None:
    raise UserError(
        "stopped from outside (SIGTERM): another process of this training died, whose own message stands above or in "
        "the log of its machine, or the cluster's time is up. Run the same command again to go on from the last state"
    )


@contextmanager
def explained_failures() -> Iterator[None]:
    """Turn failures that a user can mend, and that PyTorch tells in its own words, into `UserError`."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"the GPU's memory is full ({str(error).splitlines()[0]}); raise train.accumulate (same batch in more "
            "passes), or lower train.batch_size or size"
        ) from error
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            "a pass of one image leaves batch normalisation a single value; raise train.batch_size to 2 or more a "
            "process and pass, or size"
        ) from error
    except RuntimeError as error:
        if str(error).startswith("DataLoader worker"):
            raise UserError(
                f"a loader process was killed, most often for want of memory ({str(error).splitlines()[0]}); lower "
                "train.workers or train.batch_size, and run the same command again: it goes on from the last state"
            ) from error
        lost = isinstance(error, torch.distributed.DistError) or any(sign in str(error).lower() for sign in LOST_PEER)
        if not (torch.distributed.is_available() and torch.distributed.is_initialized() and lost):
            raise
        raise UserError(
            f"another process of this training died or went silent ({str(error).splitlines()[0]}); its own message "
            "stands above or in the log of its machine. Run the same command again: it goes on from the last state"
        ) from error
