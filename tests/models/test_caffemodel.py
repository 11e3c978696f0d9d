from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from models.architectures.fcn8s import FCN8s
from models.caffemodel import fcn8s_state, fields_of, layers_of, read_caffemodel
from models.predictor import CropPredictor
from models.weights import load_weights

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "scripts" / "convert_caffe_fcn8s.py"


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def bytes_field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def blob(values: np.ndarray, *, form: str) -> bytes:
    """Encode a BlobProto: with a shape message, with four old sizes, unpacked, or in doubles."""
    floats = values.astype("<f4").ravel()
    shape = bytes_field(7, bytes_field(1, b"".join(varint(size) for size in values.shape)))
    if form == "old":
        sizes = (1,) * (4 - values.ndim) + values.shape
        numbers = [number_field(number, size) for number, size in enumerate(sizes, 1) if size != 1]
        return b"".join(numbers) + bytes_field(5, floats.tobytes())
    if form == "unpacked":
        return shape + b"".join(varint(5 << 3 | 5) + value.tobytes() for value in floats)
    if form == "double":
        return bytes_field(8, values.astype("<f8").tobytes()) + shape
    return shape + bytes_field(5, floats.tobytes())


def caffemodel(layers: Iterable[tuple[str, list[np.ndarray]]], *, old: bool = False, form: str = "packed") -> bytes:
    """Encode a NetParameter with a name, a state, and layers that also say type, bottom and top."""
    network, name, blobs, kind = (2, 4, 6, 5) if old else (100, 1, 7, 2)
    encoded = bytes_field(1, b"FCN") + number_field(5, 1)
    for layer, values in layers:
        typed = number_field(kind, 4) if old else bytes_field(kind, b"Convolution")
        content = bytes_field(name, layer.encode()) + typed + bytes_field(3, b"top")
        content += b"".join(bytes_field(blobs, blob(value, form=form)) for value in values)
        encoded += bytes_field(network, content)
    return encoded


RANDOM = np.random.default_rng(0)
FORMS = st.sampled_from(["packed", "old", "unpacked", "double"])
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(
    st.lists(SHAPES, min_size=1, max_size=3), st.booleans(), st.sampled_from(["packed", "old", "unpacked", "double"])
)
def test_what_is_encoded_is_read_back(shapes: list[list[int]], old: bool, form: str) -> None:
    layers = [(f"layer {index}", [RANDOM.normal(size=shape).astype(np.float32)]) for index, shape in enumerate(shapes)]
    found = layers_of(memoryview(caffemodel([*layers, ("relu", [])], old=old, form=form)))
    assert found.keys() == {name for name, _ in layers}
    for name, (expected,) in layers:
        (values,) = found[name]
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values.reshape(expected.shape), expected)
        wanted = (1,) * (4 - expected.ndim) + expected.shape if form == "old" else expected.shape
        assert values.shape == wanted


def network_layers(network: FCN8s, *, old: bool = False) -> list[tuple[str, list[np.ndarray]]]:
    """Return Caffe's layers of a network, those of fc6 and fc7 as inner products."""
    layers: dict[str, list[np.ndarray]] = {}
    for name, tensor in network.state_dict().items():
        values = tensor.numpy()
        if old and name.endswith("bias"):
            values = values.reshape(1, 1, 1, -1)
        layers.setdefault(name.removeprefix("encoder.").rsplit(".", 1)[0], []).append(values)
    layers["fc6"][0] = layers["fc6"][0].reshape(len(layers["fc6"][0]), -1)
    return list(layers.items())


@pytest.fixture(scope="module")
def network() -> FCN8s:
    torch.manual_seed(0)
    made = FCN8s(21, deep_width=4).eval()
    for score in (made.score_fr, made.score_pool4, made.score_pool3):
        torch.nn.init.normal_(score.weight)
    return made


@pytest.mark.parametrize("old", [False, True])
def test_the_layers_of_a_network_become_it_again(network: FCN8s, old: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.caffemodel"
    path.write_bytes(caffemodel(network_layers(network, old=old), old=old))
    state, unused = fcn8s_state(read_caffemodel(path))
    assert unused == ()
    again = FCN8s(21, deep_width=4).eval()
    again.load_state_dict(state)
    images = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        assert torch.equal(again(images), network(images))


def test_what_is_missing_or_left_over_is_told(network: FCN8s) -> None:
    layers = dict(network_layers(network))
    without = {name: blobs for name, blobs in layers.items() if not name.startswith("upscore")}
    state, unused = fcn8s_state({**without, "loss": [np.zeros(3, np.float32)]})
    assert unused == ("loss",)
    assert torch.equal(state["upscore8.weight"], network.upscore8.weight)
    with pytest.raises(UserError, match=r"no layer score_fr; found: .* --rename FOUND=score_fr"):
        fcn8s_state({name: blobs for name, blobs in layers.items() if name != "score_fr"})
    short = {**layers, "conv3_2": [np.zeros((2, 2), np.float32)]}
    del short["conv1_1"]
    with pytest.raises(UserError, match=r"conv1_1\.weight: expected \(64, 3, 3, 3\), found no such layer") as error:
        fcn8s_state(short)
    assert "conv3_2.weight: expected (256, 256, 3, 3), found [(2, 2)]" in str(error.value)


def test_damaged_files_are_told(network: FCN8s, tmp_path: Path) -> None:
    path = tmp_path / "a.caffemodel"
    with pytest.raises(UserError, match=r"no such \.caffemodel file"):
        read_caffemodel(path)
    whole = caffemodel([("conv", [np.ones((3, 4), np.float32)])])
    for kept in range(13, len(whole)):
        path.write_bytes(whole[:kept])
        with pytest.raises(UserError, match=rf"is no whole \.caffemodel \(.*; {kept} bytes\)"):
            read_caffemodel(path)
    path.write_bytes(b"\x0b\x0c")
    with pytest.raises(UserError, match="a field of kind 3"):
        read_caffemodel(path)
    path.write_bytes(caffemodel([("relu", [])]))
    with pytest.raises(UserError, match="holds no layer with weights"):
        read_caffemodel(path)


def test_fixed_numbers_are_stepped_over() -> None:
    message = varint(9 << 3 | 1) + b"12345678" + varint(10 << 3 | 5) + b"1234" + number_field(300, 70_000)
    assert [(field.number, field.kind) for field in fields_of(memoryview(message))] == [(9, 1), (10, 5), (300, 0)]
    assert list(fields_of(memoryview(message)))[-1].value == 70_000


def convert(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


def test_the_script_writes_weights_that_know_their_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real script on a narrow network, whose width the network of the card is then given."""
    torch.manual_seed(0)
    network = FCN8s(2, deep_width=4).eval()
    torch.nn.init.normal_(network.score_pool3.weight)
    source, target = tmp_path / "a.caffemodel", tmp_path / "a.safetensors"
    layers = [("score_face" if name == "score_fr" else name, blobs) for name, blobs in network_layers(network)]
    source.write_bytes(caffemodel(layers))
    done = convert(source, target, "--size", 301, "--rename", "score_face=score_fr")
    assert done.returncode == 0, done.stderr
    assert "2 classes, face is class 1; unused: none" in done.stdout
    monkeypatch.setattr("models.network.FCN8s", lambda classes: FCN8s(classes, deep_width=4))
    _, card = load_weights(target)
    assert (card.preprocessing.colour_order, card.preprocessing.size, card.network.classes) == ("BGR", 301, 2)
    photo = np.random.default_rng(0).integers(0, 256, (1, 301, 301, 3), dtype=np.uint8)
    found = CropPredictor.from_file(target, device="cpu").predict_crops(photo)
    caffe_input = photo[..., ::-1].astype(np.float32) - np.array([104.00699, 116.66877, 122.67892], np.float32)
    with torch.no_grad():
        logits = network(torch.from_numpy(caffe_input.transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(found[:, 0], torch.softmax(logits, dim=1)[:, 1].numpy(), atol=2e-3)


def test_mistakes_of_the_script_end_with_2(tmp_path: Path) -> None:
    done = convert(tmp_path / "none.caffemodel", tmp_path / "a.safetensors")
    assert done.returncode == 2
    assert "none.caffemodel: no such .caffemodel file" in done.stderr
    assert not (tmp_path / "a.safetensors").exists()
