from __future__ import annotations

import hashlib
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import models.weights
from common.config import validate
from common.errors import UserError
from common.manifest import sha256
from models.__main__ import main
from models.network import make_network
from models.registry import (
    REGISTRY,
    Entry,
    Registry,
    fetch,
    identify,
    problem_of,
    read_registry,
    require,
    weights_folder,
)
from models.spec import NetworkSpec
from models.weights import load_weights

REPOSITORY = Path(__file__).resolve().parents[2]
CONTENT = b"weights of a network"
KEYS = {
    "about": "a test", "file": "a.ckpt", "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(),
    "url": None, "source": "https://example.org/page", "licence": "MIT",
    "network": {"encoder": "mobilenet_v2", "decoder_channels": [16, 8, 8, 8, 4], "outputs": ["visible"]},
    "preprocessing": {"size": 64, "method": "pos3d", "template": "faceocc256", "normalisation": "none"},
}  # fmt: skip


def entry_of(**changes: object) -> Entry:
    return validate({"entries": {"a": {**KEYS, **changes}}}, Registry, source="registry").entries["a"]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "a.ckpt").write_bytes(CONTENT)
    return folder


def test_the_shipped_registry_holds_the_published_facts() -> None:
    registry = read_registry()
    released, retrained = registry["faceocc_released"], registry["faceocc_retrained_2026"]
    assert (released.bytes, released.sha256) == (
        57_430_037, "01d3c3939c28e47a45acb9a5ea8f8ee460e5ecf046c0caa8404e05915e10901b",
    )  # fmt: skip
    assert (retrained.bytes, retrained.sha256) == (57_377_516, None)
    images = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    assert torch.allclose(released.card().preprocessing.normalise(images), images / 255)  # no mean, no deviation
    assert retrained.card().preprocessing.mean == (0.485, 0.456, 0.406)
    for entry in (released, retrained):
        assert entry.card().network == NetworkSpec("unet", "resnet18", (256, 128, 64, 32, 16), ("visible",))
        assert entry.source.startswith("https://")


def test_the_registry_knows_the_file_that_is_shipped() -> None:
    entry = read_registry()["occface_mobile"]
    path = REPOSITORY / "weights" / entry.file
    assert (path.stat().st_size, sha256(path)) == (entry.bytes, entry.sha256)
    card = load_weights(path)[1]
    assert (card.network, card.preprocessing) == (entry.card().network, entry.card().preprocessing)


def test_the_size_of_the_published_file_is_that_of_its_network() -> None:
    """Weights and statistics of 32 bits and 64-bit counters, with a header or a zip's overhead of at most 100 kB."""
    network = make_network(NetworkSpec("unet", "resnet18", (256, 128, 64, 32, 16), ("visible",)))
    expected = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    for name in ("faceocc_released", "faceocc_retrained_2026"):
        entry = read_registry()[name]
        assert 0 < entry.bytes - expected < 100_000


def test_a_file_is_fetched_once_and_known_by_its_content(mirror: Path, tmp_path: Path) -> None:
    entry = entry_of()
    path = fetch(entry, tmp_path / "to", mirror=str(mirror))
    assert path.read_bytes() == CONTENT
    (mirror / "a.ckpt").unlink()
    assert fetch(entry, tmp_path / "to") == path  # there and whole: nothing is asked
    renamed = path.rename(tmp_path / "renamed.pth")
    assert identify(renamed, {"a": entry}) == entry
    renamed.write_bytes(CONTENT[:-1] + b"!")
    assert identify(renamed, {"a": entry}) is None


def test_an_address_serves_as_mirror_and_as_source(mirror: Path, tmp_path: Path) -> None:
    assert fetch(entry_of(), tmp_path / "one", mirror=mirror.as_uri()).read_bytes() == CONTENT
    direct = entry_of(url=(mirror / "a.ckpt").as_uri())
    assert fetch(direct, tmp_path / "two").read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_again(mirror: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.ckpt").write_bytes(CONTENT[:5])
    assert fetch(entry_of(), tmp_path, mirror=str(mirror)).read_bytes() == CONTENT
    assert "expected 20 bytes, found 5; fetched again" in caplog.text


@pytest.mark.parametrize("content", [CONTENT[:7], CONTENT[:-1] + b"!", CONTENT + b"!"])
def test_what_is_not_the_file_is_not_kept(content: bytes, mirror: Path, tmp_path: Path) -> None:
    (mirror / "a.ckpt").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.ckpt: expected (20 bytes|SHA-256 \w+), found .*not kept"):
        fetch(entry_of(), tmp_path / "to", mirror=str(mirror))
    assert list((tmp_path / "to").iterdir()) == []


def test_files_that_cannot_be_had_are_told(mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.ckpt has no address .* get it from https://example\.org/page"):
        fetch(entry_of(), tmp_path)
    with pytest.raises(UserError, match=r"cannot be fetched .* give --mirror"):
        fetch(entry_of(url="http://127.0.0.1:9/a.ckpt"), tmp_path)
    with pytest.raises(UserError, match=r"cannot be fetched .* give --mirror"):
        fetch(entry_of(url=(tmp_path / "none").as_uri()), tmp_path)
    with pytest.raises(UserError, match=r"nowhere/a\.ckpt: no such file; --mirror names"):
        fetch(entry_of(), tmp_path, mirror=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="'b' is no known weights file; known: a"):
        require("b", {"a": entry_of()})
    assert [path.name for path in tmp_path.iterdir()] == ["mirror"]


def test_without_a_published_sha256_the_size_decides_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * len(CONTENT))
    with caplog.at_level(logging.WARNING):
        assert problem_of(path, entry_of(sha256=None)) is None
    assert "its content is not verified" in caplog.text
    assert problem_of(path, entry_of(sha256=None, bytes=3)) == "expected 3 bytes, found 20"


def test_a_registry_with_mistakes_is_refused() -> None:
    with pytest.raises(UserError, match=r"sha265: unknown key; did you mean 'sha256'"):
        entry_of(sha265="0")
    with pytest.raises(UserError, match=r"entries\.a\.bytes"):
        entry_of(bytes=0)


@pytest.mark.parametrize("form", ["parallel checkpoint", "safetensors"])
def test_published_weights_are_used_as_they_are(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the FaceOcc checkpoint, saved inside DataParallel, and as bare safetensors."""
    torch.manual_seed(0)
    network = make_network(NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 8, 4), ("visible",))).eval()
    if form == "safetensors":
        path = tmp_path / "model.safetensors"
        save_file(network.state_dict(), path)
    else:
        path = tmp_path / "epoch_16_best.ckpt"
        torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, path)
    with pytest.raises(UserError, match="holds no card of this project, so its preprocessing is unknown; refused"):
        load_weights(path)
    entry = entry_of(bytes=path.stat().st_size, sha256=sha256(path))
    monkeypatch.setattr(models.weights, "read_registry", lambda: {"a": entry})
    loaded, card = load_weights(path)
    assert card == entry.card()
    assert card.origin["licence"] == "MIT"
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))


def test_published_weights_become_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = make_network(NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 8, 4), ("visible",)))
    source, target = tmp_path / "a.ckpt", tmp_path / "ours.safetensors"
    torch.save(network.state_dict(), source)
    entry = entry_of(bytes=source.stat().st_size, sha256=sha256(source))
    with monkeypatch.context() as patch:
        patch.setattr(models.weights, "read_registry", lambda: {"a": entry})
        patch.setattr(sys, "argv", ["models/__main__.py", "convert", str(source), str(target), "--dry-run"])
        main()
        assert not target.exists()
        patch.setattr(sys, "argv", sys.argv[:-1])
        main()
    assert capsys.readouterr().out.splitlines()[-1] == str(target)
    assert load_weights(target)[1] == entry.card()  # without the registry


def test_the_folder_is_the_variable_s_or_the_repository_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCCFACE_WEIGHTS", "/models")
    assert weights_folder() == Path("/models")
    monkeypatch.delenv("OCCFACE_WEIGHTS")
    assert weights_folder() == REGISTRY.parents[1] / "weights"


# ---------------------------------------------------------------- the command


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "models", *map(str, words)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_lists_verifies_and_counts(tmp_path: Path) -> None:
    listed = run("list").stdout
    assert re.search(r"faceocc_released\n.*\n +file +epoch_16_best\.ckpt, 57\.4 MB", listed)
    name = read_registry()["faceocc_released"].file
    (tmp_path / name).write_bytes(b"cut off")
    checked = run("verify", "--to", tmp_path)
    assert checked.returncode == 2
    assert f"{tmp_path / name}: expected 57430037 bytes, found 7; fetch or copy again" in checked.stderr
    assert "faceocc_retrained_2026, not there" in checked.stdout
    counted = run("cost", "encoder=resnet18", "outputs=[visible]", "--size", 256)
    assert "14,328,209 parameters, 10.80 GFLOP an image forward" in counted.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fetch", "nothing"], "'nothing' is no known weights file; known: occface_mobile"),
        (["convert", "a.ckpt", "b.pth"], "expected a name that ends in .safetensors"),
        (["convert", "none.ckpt", "b.safetensors"], "none.ckpt: no such weights file"),
        (["cost", "encoder"], "'encoder': expected key=value"),
        (["cost", "--size", "250"], "size: unet takes multiples of 16 from 32 px on, found 250"),
        (["cost", "encodr=resnet18"], "did you mean 'encoder'"),
    ],
)
def test_mistakes_of_the_command_end_with_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["models/__main__.py", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_dry_run_fetches_nothing(tmp_path: Path) -> None:
    done = run("fetch", "faceocc_released", "faceocc_retrained_2026", "--dry-run", "--to", tmp_path / "to")
    assert done.returncode == 0, done.stderr
    assert "nowhere: get it by hand from https://github.com/face3d0725/FaceExtraction" in done.stdout
    assert "would fetch faceocc_retrained_2026.safetensors, 57377516 bytes, from https://" in done.stdout
    assert not (tmp_path / "to").exists()
