from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch
from hypothesis import HealthCheck, settings

from common.jobs import run_job
from configs.schema import AlignJob, AlignSection, DataSection
from face_align.align import build_aligner
from face_align.celebamask_hq import read_celebamask_hq
from tests.tiny_world import World, draw_world

settings.register_profile(
    "suite", max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
cv2.setNumThreads(1)  # as the scripts do
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _occluder_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what occluder libraries share between processes out of the machine's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OCCFACE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Six drawn faces and a few occluders in the published layouts; never written to."""
    return draw_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def prepared(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The faces of `world` aligned to 64 px; never written to."""
    folder = tmp_path_factory.mktemp("prepared")
    job = AlignJob(
        data=DataSection(root=world.root, prepared=folder),
        align=AlignSection(size=64),
        output=folder,
        image_format="png",
    )
    records = read_celebamask_hq(world.root, split="split.csv")
    run_job(build_aligner(job), records, folder=folder, title="align", max_failed_share=0)
    return folder
