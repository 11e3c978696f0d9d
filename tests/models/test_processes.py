from __future__ import annotations

import random
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.errors import UserError
from configs.schema import TrainSection
from models import processes
from models.network import NetworkSpec, make_network
from models.processes import (
    explained_failures,
    gather,
    generator_states,
    micro_batch,
    restore_generators,
    share_statistics,
)


def test_a_batch_is_shared_out_over_processes_and_passes() -> None:
    section = TrainSection(images=64, batch_size=24, accumulate=3)
    assert [micro_batch(section, ranks) for ranks in (1, 2, 4, 8)] == [8, 4, 2, 1]
    with pytest.raises(UserError, match=r"train.batch_size 24 cannot be shared out over 5 processes x 3 passes.*15"):
        micro_batch(section, 5)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "4")
    with pytest.raises(UserError, match=r"4 processes here, but there are 2 GPUs; use --nproc_per_node=2"):
        processes.start_fabric(TrainSection(images=64, precision="32-true"))


def test_a_slurm_shell_does_not_make_a_single_process_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_JOB_NAME", "training")
    fabric = processes.start_fabric(TrainSection(images=64, precision="32-true", threads=1))
    assert fabric.world_size == 1


def test_generators_go_on_where_they_were() -> None:
    def draw() -> tuple[float, ...]:
        return torch.rand(1).item(), float(np.random.rand()), random.random(), float(np.random.standard_normal())

    np.random.seed(3)
    np.random.standard_normal()  # leaves half of a pair behind
    states = generator_states()
    first = draw()
    assert draw() != first
    restore_generators(states)
    assert draw() == first


def test_shared_batch_statistics_keep_the_network_what_it_is() -> None:
    torch.manual_seed(0)
    network = make_network(NetworkSpec("unet", "tu-resnet10t", (8, 8, 8, 8, 4), ("visible",))).eval()
    images = torch.randn(1, 3, 64, 64)
    before, names = network(images), list(network.state_dict())
    several = SimpleNamespace(world_size=2, device=torch.device("cuda"))
    changed = share_statistics(network, several, wanted=True).eval()  # type: ignore[arg-type]
    kinds = {type(module).__name__ for module in changed.modules()}
    assert "BatchNorm2d" not in kinds
    assert any("Sync" in kind for kind in kinds)
    assert list(changed.state_dict()) == names
    assert torch.equal(changed(images), before)


def test_one_process_gathers_from_itself() -> None:
    assert gather({"a": 1}, 1) == [{"a": 1}]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried"), "raise train.accumulate"),
        (ValueError("Expected more than 1 value per channel when training, got"), "raise train.batch_size to 2"),
    ],
)
def test_failures_that_can_be_mended_are_explained(error: Exception, message: str) -> None:
    with pytest.raises(UserError, match=message), explained_failures():
        raise error


@pytest.mark.parametrize("error", [RuntimeError("Connection reset by peer"), ValueError("else"), KeyError("x")])
def test_other_failures_keep_their_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, explained_failures():
        raise error
    assert caught.value is error


def test_a_lost_process_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(UserError, match="another process of this training died or went silent"), explained_failures():
        raise RuntimeError("[pair.cc:545] Read error [127.0.0.1]:1: Connection reset by peer")
    with pytest.raises(UserError, match="Run the same command again"):
        processes._stop(signal.SIGTERM, None)
