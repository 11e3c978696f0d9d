from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from common.errors import UserError
from models.state_files import read_state

TENSORS = {"encoder.conv1.weight": torch.arange(60_000.0).reshape(3, 4, 5000), "head.bias": torch.ones(2)}
PARALLEL = {f"module.{name}": tensor for name, tensor in TENSORS.items()}


class Malicious:
    """Leaves a mark when a pickle that holds it is loaded the careless way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "content",
    [TENSORS, PARALLEL, {"state_dict": PARALLEL, "epoch": 3}, {"model": {"state_dict": TENSORS}, "best": 0.9}],
    ids=["plain", "parallel", "trainer", "nested"],
)
def test_wrappings_of_trainers_are_taken_off(content: dict[str, object], zipped: bool, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=zipped)
    state = read_state(tmp_path / "a.ckpt")
    assert state.keys() == TENSORS.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in TENSORS.items())


def test_a_prefix_that_not_all_names_have_is_part_of_the_names(tmp_path: Path) -> None:
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.pth")
    assert set(read_state(tmp_path / "a.pth")) == {"module.a", "b"}


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors")
    assert read_state(tmp_path / "a.safetensors").keys() == TENSORS.keys()


@pytest.mark.parametrize("form", ["zip", "old", "pickle"])
def test_a_checkpoint_with_code_is_refused_and_nothing_of_it_is_run(form: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    content = {"state_dict": TENSORS, "extra": Malicious(mark)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(Malicious(mark), protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UserError, match=r"evil\.pth: holds more than tensors \(posix\.system\).*nothing of it was run"):
        read_state(path)
    assert not mark.exists()
    if form == "pickle":
        pickle.loads(path.read_bytes())
        assert mark.exists()  # it would have been


def test_objects_of_trainers_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"state_dict": TENSORS, "args": argparse.Namespace(lr=1)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"holds more than tensors \(argparse\.Namespace\).*plain state dict"):
        read_state(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_files_that_are_cut_off_are_told(zipped: bool, share: float, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    kept = path.stat().st_size
    with pytest.raises(UserError, match=rf"a\.ckpt: is no whole checkpoint of PyTorch \({kept} bytes; .*fetch or copy"):
        read_state(path)


def test_files_of_something_else_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with pytest.raises(UserError, match=r"a\.pth: no such weights file; `python -m models list`"):
        read_state(path)
    path.write_text("<html>Google Drive cannot scan this file for viruses</html>")
    with pytest.raises(UserError, match="is no whole checkpoint"):
        read_state(path)
    torch.save([torch.ones(1)], path)
    with pytest.raises(UserError, match="expected a state dict, names to tensors, found list"):
        read_state(path)
    torch.save({"epoch": 3, "lr": 0.1}, path)
    with pytest.raises(UserError, match="found a mapping with epoch, lr"):
        read_state(path)
    (tmp_path / "a.safetensors").write_bytes(b"hello")
    with pytest.raises(UserError, match="is no whole safetensors file"):
        read_state(tmp_path / "a.safetensors")
