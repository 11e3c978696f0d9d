from __future__ import annotations

from pathlib import Path

import pytest

from datasets.sample_world.published import PUBLISHED_SETS, write_published_set

FACES, PHOTO_PX = 6, 64
CELEBA_FACES = 10  # the fourth of those for training is the first that is occluded


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every published layout with a few small drawn photos; never written to."""
    folder = tmp_path_factory.mktemp("published")
    for name in PUBLISHED_SETS:
        faces = CELEBA_FACES if name == "CelebAMask-HQ" else FACES
        write_published_set(name, folder, faces=faces, photo_size=PHOTO_PX)
    return folder
