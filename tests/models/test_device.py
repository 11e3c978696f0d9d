from __future__ import annotations

import pytest
import torch

from models.device import trying_kernels


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_kernels_are_tried_with_cudnn_as_it_was_set(before: bool, fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "benchmark", before)
    others = (cudnn.enabled, cudnn.deterministic, cudnn.allow_tf32)
    try:
        with trying_kernels():
            assert cudnn.benchmark
            assert (cudnn.enabled, cudnn.deterministic, cudnn.allow_tf32) == others
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    assert cudnn.benchmark is before
