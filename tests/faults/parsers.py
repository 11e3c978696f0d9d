"""Every parser of files that others may have written, as a function of bytes: what random and guided fuzzing attack.

A parser may return, or raise `UserError`, whose message says what is wrong. Anything else is a finding.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors.torch import save

from common.checkpoint import load_state
from common.config import Section, load_config
from common.errors import UserError
from common.image_io import image_size, read_image, read_label, read_mask, read_rgba
from common.journal import JOURNAL_NAME, whole_rows
from common.manifest import FILE_NAME, encode_row, seal_row
from common.photo_list import Photo, find_photos
from configs.schema import AlignJob, EvalJob, PreparedSet, TrainJob
from datasets.extract import judged_members
from datasets.packed import INDEX_NAME, open_packed
from datasets.prepared import build_face_set
from evaluation.calibration import read_calibration
from evaluation.report.contents import read_rows
from evaluation.run_folder import read_run
from face_align.landmark_formats import open_landmarks, read_landmark_file
from face_align.landmark_formats.lists import CELEBA_COLUMNS, HSU_COLUMNS, WFLW_FIELDS
from inference.mask_folder import FACES_NAME, MaskFolder
from models.caffemodel import read_caffemodel
from models.card import Card, Preprocessing, decode_card, encode_card
from models.registry import REGISTRY, read_registry
from models.spec import NetworkSpec
from models.state_files import read_state
from models.weights import HEADER_KEY
from occlusion_gen.templates import user_folder

REPOSITORY = Path(__file__).resolve().parents[2]
POINTS = np.random.default_rng(0).uniform(20, 200, (68, 2)).round(2)
ROW = {
    "id": "0", "outcome": "ok", "split": "train", "subject": "7", "crop": {"method": "pos3d", "template": "faceocc256"},
    "files": {"image": "images/0.png", "label": "labels/0.png"}, "sha256": {"image": "0" * 64, "label": "0" * 64},
    "scheme": "ibug68", "landmarks": POINTS.tolist(),
}  # fmt: skip


class Parser(NamedTuple):
    """A parser and where its input goes.

    Attributes:
        file: name of the input below the folder that `read` gets.
        seeds: well-formed inputs that mutations start from; the parser takes each of them without an error or not.
        read: parses; its argument is the folder.
    """

    file: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]

    def attack(self, folder: Path, content: bytes) -> bool:
        """Return whether the parser took the content; a refusal by `UserError` is a right answer, too.

        Args:
            folder: to write the input into.
        """
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        try:
            self.read(folder)
        except UserError as error:
            if not str(error).strip():
                raise AssertionError("the message is empty") from error
            return False
        return True


def _saved(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _picture(suffix: str, pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def _pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    colour, grey = rng.integers(0, 256, (9, 7, 3), np.uint8), rng.integers(0, 2, (9, 7), np.uint8)
    suffixes = (".png", ".jpg", ".webp", ".bmp", ".tiff", ".ppm")
    return [*(_picture(suffix, colour) for suffix in suffixes), _picture(".png", grey), _picture(".pgm", grey * 255)]


def _read_picture(folder: Path) -> None:
    path = folder / "photo.png"
    image_size(path)
    for read in (read_image, read_rgba, read_mask, read_label):
        with contextlib.suppress(UserError):
            read(path, max_pixels=1_000_000)


def _one_photo(file: str) -> Callable[[Path], object]:
    return lambda folder: read_landmark_file(folder / file)


def _text(lines: list[str]) -> bytes:
    return "\n".join(lines).encode()


def _coordinates() -> list[str]:
    return [f"{x} {y}" for x, y in POINTS]


def _landmark_lines() -> bytes:
    entry = {"id": "a", "image_size": [256, 256], "scheme": "ibug68", "points": POINTS.tolist()}
    more = {"occluded": [0] * 68, "detector": "x", "score": 0.5, "box": [1, 2, 3, 4], "face_type": "0_0"}
    return _text([json.dumps(entry), json.dumps({**entry, "id": "b#0", **more})])


def _hsu_lines() -> bytes:
    values = [str(value) for value in POINTS.ravel()]
    return _text([",".join(HSU_COLUMNS), ",".join(["\\a", "b.jpg", "0_0", *values])])


def _celeba_lines() -> bytes:
    return _text(["1", " ".join(CELEBA_COLUMNS), "000001.jpg " + " ".join(["69"] * 10)])


def _wflw_lines() -> bytes:
    return _text([" ".join(["5"] * (WFLW_FIELDS - 1) + ["a/b.jpg"])])


def _points_mat(path_or_stream: io.BytesIO) -> None:
    from scipy.io import savemat

    savemat(path_or_stream, {"Points": POINTS, "Occ": np.zeros((1, 68))})


def _read_prepared(folder: Path) -> None:
    for name in ("images/0.png", "labels/0.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    build_face_set({"faces": PreparedSet(prepared=folder)})


def _read_journal(folder: Path) -> None:
    whole_rows(folder, [Photo("0", folder / "0.png")], lambda photo: "0", threads=1)


def _packed_index() -> list[bytes]:
    array = {"file": "images.npy", "shape": [1, 2, 2, 3], "bytes": 140, "sha256": "0" * 64}
    index = {
        "format": 1,
        "source_manifest_sha256": "0",
        "manifest_sha256": "0",
        "count": 1,
        "arrays": {"images": array},
    }
    return [json.dumps(index).encode()]


def _read_packed(folder: Path) -> None:
    (folder / FILE_NAME).write_text(encode_row(ROW) + "\n")
    open_packed(folder)


def _configs(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(REPOSITORY / "configs" / name).read_bytes() for name in names]


def _read_config(folder: Path, schema: type[Section]) -> None:
    (folder / "data.yaml").write_text("data: {root: /nowhere, prepared: /nowhere/too}\n")
    load_config(folder / "c.yaml", schema)


def _read_override(folder: Path) -> None:
    text = (folder / "override.txt").read_bytes().decode(errors="replace")
    load_config(REPOSITORY / "configs" / "mini" / "train.yaml", TrainJob, [text])


def _card() -> Card:
    spec = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 4, 4), ("visible", "full"))
    return Card(spec, Preprocessing(size=64, method="pos3d", template="faceocc256"), 0.5, {"run": "x"})


def _read_card(folder: Path) -> None:
    path = folder / "card.json"
    decode_card(path, path.read_bytes().decode(errors="replace"))


def _weights() -> bytes:
    return save({"a.weight": torch.arange(4.0)}, metadata={HEADER_KEY: encode_card(_card())})


def _state() -> bytes:
    return _saved(lambda stream: torch.save({"state_dict": {"module.a": torch.arange(4.0)}}, stream))


def _caffemodel() -> bytes:
    def field(number: int, content: bytes) -> bytes:
        key = number << 3 | 2
        prefix = bytes([key]) if key < 0x80 else bytes([key & 0x7F | 0x80, key >> 7])
        return prefix + bytes([len(content)]) + content

    blob = field(7, field(1, bytes([2, 2]))) + field(5, np.arange(4, dtype="<f4").tobytes())
    return field(1, b"FCN") + field(100, field(1, b"conv") + field(7, blob))


def _archives() -> list[bytes]:
    def write_zip(stream: io.BytesIO) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/b.txt", "hello " * 9)

    def write_tar(stream: io.BytesIO) -> None:
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            member = tarfile.TarInfo("a/b.txt")
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))

    return [_saved(write_zip), _saved(write_tar)]


def _read_mask_folder(folder: Path) -> None:
    (folder / "infer.json").write_text("{}\n")
    masks = MaskFolder(folder, settings={}, kinds=("visible",))
    masks.is_done(Photo("0", folder / FACES_NAME))


def _read_templates(folder: Path) -> None:
    user_folder._read_entries(folder, {"mask.png"})


CALIBRATION = {"temperature": 1.1, "threshold": 0.5, "set_name": "v", "n": 3, "set_sha256": "0", "weights_sha256": None,
               "found": {}}  # fmt: skip

PARSERS: dict[str, Parser] = {
    "npy": Parser("a.npy", lambda: [_saved(lambda s: np.save(s, POINTS))], _one_photo("a.npy")),
    "npz": Parser("a.npz", lambda: [_saved(lambda s: np.savez_compressed(s, landmarks=POINTS))], _one_photo("a.npz")),
    "pickle": Parser("a.pkl", lambda: [pickle.dumps(POINTS, p) for p in (0, 2, 4, 5)], _one_photo("a.pkl")),
    "text": Parser("a.txt", lambda: [_text(_coordinates())], _one_photo("a.txt")),
    "pts": Parser(
        "a.pts", lambda: [_text(["version: 1", "n_points: 68", "{", *_coordinates(), "}"])], _one_photo("a.pts")
    ),
    "points_mat": Parser("a_points.mat", lambda: [_saved(_points_mat)], _one_photo("a_points.mat")),
    "landmark_lines": Parser("l.jsonl", lambda: [_landmark_lines()], lambda folder: open_landmarks(folder / "l.jsonl")),
    "hsu_csv": Parser("l.csv", lambda: [_hsu_lines()], lambda folder: open_landmarks(folder / "l.csv")),
    "landmark_list": Parser(
        "l.txt", lambda: [_celeba_lines(), _wflw_lines()], lambda folder: open_landmarks(folder / "l.txt")
    ),
    "manifest": Parser(FILE_NAME, lambda: [encode_row(ROW).encode() + b"\n"], _read_prepared),
    "journal": Parser(JOURNAL_NAME, lambda: [seal_row(ROW).encode() + b"\n"], _read_journal),
    "masks_of_photos": Parser(FACES_NAME, lambda: [seal_row(ROW).encode() + b"\n"], _read_mask_folder),
    "packed": Parser(INDEX_NAME, _packed_index, _read_packed),
    "config": Parser(
        "c.yaml", _configs("mini/train.yaml", "faceocc_improved.yaml"), lambda folder: _read_config(folder, TrainJob)
    ),
    "config_align": Parser("c.yaml", _configs("mini/align.yaml"), lambda folder: _read_config(folder, AlignJob)),
    "config_eval": Parser("c.yaml", _configs("mini/eval.yaml"), lambda folder: _read_config(folder, EvalJob)),
    "override": Parser("override.txt", lambda: [b"train.images=2000", b"train.schedule={kind: poly}"], _read_override),
    "registry": Parser("r.yaml", lambda: [REGISTRY.read_bytes()], lambda folder: read_registry(folder / "r.yaml")),
    "card": Parser("card.json", lambda: [encode_card(_card()).encode()], _read_card),
    "weights": Parser("w.safetensors", lambda: [_weights()], lambda folder: read_state(folder / "w.safetensors")),
    "checkpoint": Parser("w.pth", lambda: [_state()], lambda folder: read_state(folder / "w.pth")),
    "training_state": Parser("latest.pt", lambda: [_state()], lambda folder: load_state(folder / "latest.pt")),
    "caffemodel": Parser("n.caffemodel", lambda: [_caffemodel()], lambda f: read_caffemodel(f / "n.caffemodel")),
    "picture": Parser("photo.png", _pictures, _read_picture),
    "photo_list": Parser("list.txt", lambda: [b"a.png\r\nb/c.png\n"], lambda f: find_photos(str(f / "list.txt"))),
    "archive": Parser("a.zip", _archives, lambda folder: judged_members(folder / "a.zip", folder / "out")),
    "calibration": Parser(
        "c.json", lambda: [json.dumps(CALIBRATION).encode()], lambda folder: read_calibration(folder / "c.json")
    ),
    "summary": Parser("summary.json", lambda: [b'[{"set": "a", "n": 1, "format": 2}]'], read_run),
    "per_image": Parser(
        "p.csv", lambda: [b"id,face_iou,tp,fp,fn\na,0.5,1,1,9\n"], lambda folder: read_rows(folder / "p.csv")
    ),
    "templates": Parser(user_folder.KEYPOINTS, lambda: [b"mask.png: {view: frontal}\n"], _read_templates),
}

# SciPy's own reader of MATLAB files ends the process on some damaged ones. It runs in a worker process, whose death
# costs the one photo; nothing is gained by finding such files one by one.
CRASHING_LIBRARIES = ("points_mat",)

# What parsers meet seldom by chance: limits of numbers, deep nesting, names of other objects, ends of files.
TOKENS = (
    b"[" * 3000, b"{" * 3000, b"- " * 3000, b'{"a":' * 3000, b"9" * 5000, b"1e999", b"-1", b"NaN", b"Infinity",
    b"\x00", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x80" * 64, b"../../etc/passwd", b"/etc/passwd", b"\n", b"\r\n",
    b'"', b"'", b"&a [*a]", b"*a", b"!!python/object/apply:os.system [true]", b"!!timestamp 2001-01-01", b"!!binary aa",
    b"!!set {a, b}", b"${a}", b"${", b"null", b"true", b"{}", b"[]", b'"x"', b"99999999999999999999", b"\xed\xa0\x80",
    b"<<: *a", b"? [a]\n: b", b"\xef\xbb\xbf", b"\x1b", b"cos\nsystem\n(S'true'\ntR.",
)  # fmt: skip


def mutations(seeds: list[bytes], *, number: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Yield `number` damaged copies of the seeds: cut, flipped, overwritten, doubled, or with a token put in."""
    for _ in range(number):
        content = bytearray(seeds[rng.integers(len(seeds))])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(content) + 1))
            span = int(rng.integers(1, 1 + max(1, min(len(content), 40))))
            match rng.integers(6):
                case 0:
                    del content[at:]
                case 1:
                    del content[at : at + span]
                case 2 if at < len(content):
                    content[at] ^= 1 << int(rng.integers(8))
                case 3:
                    content[at : at + span] = rng.bytes(span)
                case 4:
                    content[at:at] = content[at : at + span] * int(rng.integers(1, 5))
                case _:
                    token = TOKENS[rng.integers(len(TOKENS))]
                    content[at : at + (span if rng.integers(2) else 0)] = token
        yield bytes(content)
