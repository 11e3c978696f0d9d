"""Files that are made to harm: programs in pickles, bombs, tags, paths that lead out."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from common.checkpoint import load_state, save_state
from common.config import ConfigError, Section, load_config
from common.errors import UserError
from common.image_io import UnreadableImageError, image_size, read_image, read_label, read_mask, read_rgba
from common.labels import FacePolicy
from common.manifest import FILE_NAME, read_manifest, sha256, unseal_row
from common.photo_list import find_photos
from datasets.extract import judged_members
from datasets.packed import open_packed
from datasets.test_sets import TestImage, read_truth
from evaluation.predictions import PredictionFolder
from face_align.landmark_formats import open_landmarks, read_landmark_file
from models.card import decode_card, encode_card
from models.state_files import read_state
from models.weights import load_weights, save_weights
from tests.stand_ins import save_tiny_weights

BOMB_SIDE = 50_000


class Program:
    """Makes a file when it is unpickled carelessly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def as_pickle(path: Path, program: Program) -> None:
    path.write_bytes(pickle.dumps({"landmarks": program}))


def as_array(path: Path, program: Program) -> None:
    np.save(path, np.array([program], dtype=object), allow_pickle=True)


def as_archive(path: Path, program: Program) -> None:
    np.savez(path, landmarks=np.array([program], dtype=object))


def as_checkpoint(path: Path, program: Program) -> None:
    torch.save({"state_dict": {"a": program}}, path)


def careless(path: Path) -> None:
    """Do what readers must not do."""
    if path.suffix in (".pth", ".pt", ".ckpt"):
        torch.load(path, weights_only=False)
    elif path.suffix == ".pkl":
        pickle.loads(path.read_bytes())
    elif path.suffix == ".npz":
        dict(np.load(path, allow_pickle=True))
    else:
        np.load(path, allow_pickle=True)


def read_label_map(path: Path) -> object:
    return read_truth(TestImage("a", path, path, coding="faceocc"), FacePolicy())


READERS: dict[str, tuple[str, Callable[[Path, Program], None], Callable[[Path], object]]] = {
    "landmarks .pkl": ("a.pkl", as_pickle, read_landmark_file),
    "landmarks .npy": ("a.npy", as_array, read_landmark_file),
    "landmarks .npz": ("a.npz", as_archive, read_landmark_file),
    "label map": ("a.pkl", as_pickle, read_label_map),
    "prediction": ("a.npy", as_array, lambda path: PredictionFolder(path.parent, kind="probability").read("a")),
    "weights": ("a.pth", as_checkpoint, load_weights),
    "encoder weights": ("a.ckpt", as_checkpoint, read_state),
    "training state": ("a.pt", as_checkpoint, load_state),
    "weights that are a bare pickle": ("a.pth", as_pickle, read_state),
}


@pytest.mark.parametrize("name", READERS)
def test_no_program_in_a_file_is_run(name: str, tmp_path: Path) -> None:
    file, write, read = READERS[name]
    mark = tmp_path / "mark"
    write(tmp_path / file, Program(mark))
    with pytest.raises(UserError, match=file):
        read(tmp_path / file)
    assert not mark.exists()
    if name != "weights that are a bare pickle":  # of which PyTorch's own reader makes nothing
        careless(tmp_path / file)
        assert mark.exists()  # the file does what is tested here


def test_a_pickle_cannot_ask_for_more_memory_than_it_has_bytes(tmp_path: Path) -> None:
    long_memo = b"\x80\x04]r\xff\xff\xff\x7f."  # LONG_BINPUT: the place 2**31 of the memo
    long_bytes = b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"."  # BYTEARRAY8 of a terabyte
    for content in (long_memo, long_bytes):
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(UserError, match=r"a\.pkl: a pickle may hold nothing but NumPy arrays"):
            read_landmark_file(tmp_path / "a.pkl")


def test_an_archive_of_arrays_cannot_unpack_to_gigabytes(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (100_000_000,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("landmarks.npy", header.getvalue() + bytes(100_000_000))
    assert (tmp_path / "a.npz").stat().st_size < 200_000
    with pytest.raises(UserError, match="unpacks to more than"):
        read_landmark_file(tmp_path / "a.npz")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


SIDES = (BOMB_SIDE, BOMB_SIDE)
PNG_HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", *SIDES, 8, 2, 0, 0, 0))
JPEG_FRAME = struct.pack(">HBHHB", 17, 8, *SIDES, 3) + b"\x01\x11\0\x02\x11\0\x03\x11\0"
BMP_HEADER = struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, *SIDES, 1, 24, 0, 0, 1, 1, 0, 0)
GIF_SCREEN = struct.pack("<HHBBB", *SIDES, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, *SIDES, 0)
BOMBS = {
    "png": b"\x89PNG\r\n\x1a\n" + PNG_HEADER + chunk(b"IDAT", b"x\x9c"),
    "jpg": b"\xff\xd8\xff\xc0" + JPEG_FRAME + b"\xff\xd9",
    "bmp": b"BM" + BMP_HEADER,
    "ppm": b"P6 50000 50000 255\n",
    "gif": b"GIF89a" + GIF_SCREEN + b"\x02\0;",
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("name", ["own", "png"])
def test_a_bomb_of_pixels_is_refused_by_its_header(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"bomb.{kind if name == 'own' else name}"
    path.write_bytes(BOMBS[kind])
    for read in (read_image, read_rgba, read_mask, read_label):
        with pytest.raises(UnreadableImageError, match=r"bomb\.\w+: .*(limit|not an image of a known format)"):
            read(path)
    if kind != "gif":
        with pytest.raises(UnreadableImageError):
            image_size(path)


def test_a_png_in_a_png_is_a_picture_and_no_more(tmp_path: Path) -> None:
    """What stands in a text or behind the end is not looked at."""
    small = bytes(cv2.imencode(".png", np.full((3, 4, 3), 7, np.uint8))[1])
    nested = small[:33] + chunk(b"teXt", BOMBS["png"]) + small[33:] + BOMBS["png"]
    (tmp_path / "a.png").write_bytes(nested)
    assert read_image(tmp_path / "a.png").shape == (3, 4, 3)


class Settings(Section):
    """Any configuration."""

    a: Any = None


def bomb_of_aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


YAML = {
    "object": ("a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [MARK]]", "tag"),
    "name": ("a: !!python/name:os.system ''", "tag"),
    "module": ("a: !!python/module:os ''", "tag"),
    "set": ("a: !!set {b, c}", "tag"),
    "time": ("a: !!timestamp 2001-01-01", "tag"),
    "bytes": ("a: !!binary aGVsbG8=", "tag"),
    "unfit": ("a: !!bool maybe", "does not fit its tag"),
    "long": (f"a: {'9' * 5000}", "does not fit its tag"),
    "deep lists": (f"a: {'[' * 5000}", "nested deeper"),
    "deep mappings": ("a: " + "{b: " * 5000, "nested deeper"),
    "aliases": (bomb_of_aliases(9), "more than 100000 values once its aliases are written out"),
    "itself": ("a: &a [*a]", "an alias stands inside what it is an alias of"),
    "twice": ("a: 1\na: 2", "stands twice"),
    "size": ("a: " + "x" * 1_000_001, "larger than 1000000 bytes"),
    "circle": ("a: ${b}\nb: ${a}", "c.yaml: "),
    "grammar": ("a: ${", "c.yaml: "),
    "zero": ("a: \0", "not valid YAML"),
    "list": ("[1, 2]", "expected a mapping"),
}


@pytest.mark.parametrize("kind", YAML)
def test_yaml_that_means_harm_is_refused(kind: str, tmp_path: Path) -> None:
    text, message = YAML[kind]
    mark = tmp_path / "mark"
    (tmp_path / "c.yaml").write_text(text.replace("MARK", str(mark)))
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(tmp_path / "c.yaml", Settings)
    assert "c.yaml" in str(caught.value)
    assert not mark.exists()


def test_aliases_that_do_not_explode_stay_allowed(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: {first: &x {b: 1}, second: *x}")
    assert load_config(tmp_path / "c.yaml", Settings).a == {"first": {"b": 1}, "second": {"b": 1}}


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.npy", "a/../../b.npy", "a\0.npy"])
def test_an_index_cannot_lead_out_of_its_folder(name: str, tmp_path: Path) -> None:
    entry = {"file": name, "shape": [1, 2, 2, 3], "bytes": 1, "sha256": ""}
    (tmp_path / FILE_NAME).write_text("")
    digest = sha256(tmp_path / FILE_NAME)
    index = {"format": 1, "source_manifest_sha256": "", "manifest_sha256": digest, "arrays": {"images": entry}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"index\.json: cannot be read"):
        open_packed(tmp_path)


@pytest.mark.parametrize(
    "row",
    ['{"id": "a", "outcome": "ok", "files": ["x"]}', '{"id": "a", "outcome": "ok", "files": {"image": 5}}',
     '{"id": "a", "outcome": "ok", "files": {"image": "a\\u0000"}}', '{"a":' * 5000],
    ids=["list", "number", "zero", "deep"],
)  # fmt: skip
def test_rows_of_another_shape_are_refused(row: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(row + "\n")
    with pytest.raises(UserError, match=r"manifest\.jsonl:1: "):
        read_manifest(tmp_path)


def test_weights_with_a_changed_number_or_card_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_tiny_weights(path, size=64)
    whole = path.read_bytes()
    network, card = load_weights(path)
    damaged = {"number": bytearray(whole), "card": whole.replace(b'threshold\\": 0.5', b'threshold\\": 0.7')}
    damaged["number"][-9] ^= 1
    for content in damaged.values():
        assert content != whole
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"w\.safetensors: is not what was written"):
            load_weights(path)
    save_weights(path, network.state_dict(), card)
    assert path.read_bytes() == whole  # the same weights are the same bytes


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("network", "encoder", 5), ("network", "outputs", []), ("preprocessing", "size", "x"),
     ("preprocessing", "mean", [1]), ("network", "more", 1), ("", "threshold", "high"), ("", "threshold", 7)],
)  # fmt: skip
def test_a_card_of_other_types_is_refused(part: str, key: str, value: object, tmp_path: Path) -> None:
    save_tiny_weights(tmp_path / "w.safetensors", size=64)
    content = json.loads(encode_card(load_weights(tmp_path / "w.safetensors")[1]))
    (content[part] if part else content)[key] = value
    with pytest.raises(UserError, match="the card in its header is damaged"):
        decode_card(tmp_path / "w.safetensors", json.dumps(content))


def test_what_the_fuzzer_found_in_lists_and_states(tmp_path: Path) -> None:
    """Each of these once ended in a traceback; the others that were found stand with their kind above."""
    (tmp_path / "list.txt").write_text("a.png\n/\n")
    with pytest.raises(UserError, match=r"list\.txt: expected the path of a photo on each line, found \['/'\]"):
        find_photos(str(tmp_path / "list.txt"))
    (tmp_path / "list.txt").write_bytes(b"a\0.png\n")
    with pytest.raises(UserError, match=r"list\.txt: expected the path of a photo"):
        find_photos(str(tmp_path / "list.txt"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", b"")
    content = (tmp_path / "a.zip").read_bytes().replace(b"\x01\0", b"\0\0").replace(b"x", b"")  # a name of no byte
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip: "):
        judged_members(tmp_path / "a.zip", tmp_path / "out")
    save_state(tmp_path / "latest.pt", {"a": torch.zeros(3)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: (_ for _ in ()).throw(EOFError()))  # an error without a text
        with pytest.raises(UserError, match=r"latest\.pt: is no readable training state \(EOFError: \)"):
            load_state(tmp_path / "latest.pt")


def test_numbers_that_are_none_do_not_stop_a_reader(tmp_path: Path) -> None:
    line = '{"id": "a", "outcome": "ok", "files": {}, "sha256": {}, "share": NaN, "crc32": "00000000"}'
    assert unseal_row(line) is None
    wflw = " ".join(["5"] * 196 + ["x", "1", "2", "3"] + ["0"] * 6 + ["a.jpg"])
    (tmp_path / "l.txt").write_text(wflw)
    with pytest.raises(UserError, match="expected numbers as corners of the box"):
        open_landmarks(tmp_path / "l.txt").get("a")
    for size, message in (("[1e999, 5]", "expected numbers"), ("[" * 5000, "expected a JSON object")):
        (tmp_path / "l.jsonl").write_text('{"id": "a", "scheme": "five", "points": [], "image_size": ' + size + "}")
        with pytest.raises(UserError, match=message):
            open_landmarks(tmp_path / "l.jsonl").get("a")
    (tmp_path / "a.pts").write_text(f"version: 1\nn_points: {'9' * 5000}\n{{\n}}\n")
    with pytest.raises(UserError, match="n_points: 68"):
        read_landmark_file(tmp_path / "a.pts")
