from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common.checkpoint import load_last_state, load_state, save_state, tensor_bytes
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


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "latest.pt"
    save_state(path, {"weights": torch.zeros(1000)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="does not fit its checksum"):
        load_state(path)


def test_free_space_is_checked_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "latest.pt"
    save_state(path, {"images": 1})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 3_000_000))
    save_state(path, {"weights": torch.zeros(100_000)})
    with pytest.raises(UserError, match=r"it needs 5 MB\); 3 MB are free there"):
        save_state(path, {"weights": torch.zeros(1_000_000)})
    assert load_state(path)["weights"].numel() == 100_000


def test_tensors_are_counted_wherever_they_are() -> None:
    state = {"a": torch.zeros(10), "b": [{"c": torch.zeros(3, dtype=torch.uint8)}, "text", 5], "d": None}
    assert tensor_bytes(state) == 43


WRITE_TWO = """
import sys, torch
from pathlib import Path
from common.checkpoint import save_state
from common.errors import UserError
path = Path(sys.argv[1])
save_state(path, {"number": 1, "weights": torch.zeros(1000)}, older=path.with_name("previous.pt"))
try:
    save_state(path, {"number": 2, "weights": torch.zeros(1000000)}, older=path.with_name("previous.pt"))
except UserError as error:
    print(error)
"""


def test_a_disk_that_fills_up_while_writing_keeps_the_last_state(tmp_path: Path) -> None:
    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    path = tmp_path / "latest.pt"
    done = subprocess.run(
        [sys.executable, "-c", WRITE_TWO, str(path)], capture_output=True, text=True, timeout=120,
        preexec_fn=small_disk, cwd=Path(__file__).resolve().parent.parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "latest.pt: cannot be written" in done.stdout
    assert load_state(path)["number"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["latest.pt"]


def write_three(folder: Path) -> tuple[Path, Path]:
    path, older = folder / "latest.pt", folder / "previous.pt"
    assert load_last_state(path, older=older) is None
    for number in (1, 2, 3):
        save_state(path, {"number": number, "weights": torch.zeros(1000)}, older=older)
    return path, older


def test_the_last_two_states_are_kept(tmp_path: Path) -> None:
    path, older = write_three(tmp_path)
    assert (load_state(path)["number"], load_state(older)["number"]) == (3, 2)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["latest.pt", "previous.pt"]
    assert load_last_state(path, older=older)["number"] == 3  # type: ignore[index]


@pytest.mark.parametrize("damage", ["cut in half", "empty", "code", "never renamed"])
def test_a_damaged_state_gives_way_to_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, older = write_three(tmp_path)
    match damage:
        case "cut in half":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "empty":
            path.write_bytes(b"")
        case "code":
            torch.save({"a": Evil()}, path)
        case "never renamed":
            path.replace(path.with_name(".latest.pt.partial"))
    assert load_last_state(path, older=older)["number"] == 2  # type: ignore[index]
    if damage != "never renamed":
        assert "damaged_latest.pt" in caplog.text
        assert (tmp_path / "damaged_latest.pt").exists()
    save_state(path, {"number": 3}, older=older)
    assert load_last_state(path, older=older)["number"] == 3  # type: ignore[index]


def test_two_damaged_states_are_told(tmp_path: Path) -> None:
    path, older = write_three(tmp_path)
    path.unlink()
    older.write_text("hello")
    with pytest.raises(UserError, match=r"previous\.pt: is no readable training state"):
        load_last_state(path, older=older)
