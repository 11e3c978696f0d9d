from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from common.checkpoint import load_state, save_state
from common.errors import UserError


def test_state_comes_back(tmp_path: Path) -> None:
    state = {"weights": {"a": torch.arange(5.0)}, "images": 7, "name": "x", "best": None, "list": [1, 2.5]}
    save_state(tmp_path / "deep" / "latest.pt", state)
    again = load_state(tmp_path / "deep" / "latest.pt")
    assert torch.equal(again["weights"].pop("a"), state["weights"].pop("a"))
    assert again == state
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["latest.pt"]


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "latest.pt"
    save_state(path, {"images": 1})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=r"latest\.pt: cannot be written \(No space left.*MB are free"):
        save_state(path, {"images": 2})
    assert load_state(path) == {"images": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["latest.pt"]


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("true",)


@pytest.mark.parametrize("content", ["truncated", "text", "code", "no mapping"])
def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "latest.pt"
    match content:
        case "truncated":
            save_state(path, {"weights": torch.zeros(1000)})
            path.write_bytes(path.read_bytes()[:900])
        case "text":
            path.write_text("hello")
        case "code":
            torch.save({"a": Evil()}, path)
        case "no mapping":
            torch.save([1, 2], path)
    with pytest.raises(UserError, match=r"latest\.pt: "):
        load_state(path)
