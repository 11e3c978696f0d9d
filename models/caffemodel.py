"""Caffe's weights without Caffe: a reader of .caffemodel files, and the FCN-8s made from one.

A .caffemodel is a protocol buffer. Of its wire format three kinds of fields are enough: numbers, byte strings (nested
messages, texts, packed arrays) and fixed 32 bits. Source of the field numbers: caffe.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import UserError
from models.architectures.fcn8s import FCN8s

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
OLD_LAYERS, LAYERS = 2, 100  # NetParameter.layers (V1LayerParameter) and .layer (LayerParameter)
NAME_AND_BLOBS = {OLD_LAYERS: (4, 6), LAYERS: (1, 7)}
OLD_SHAPE = (1, 2, 3, 4)  # BlobProto.num, .channels, .height, .width
FLOATS, SHAPE, DOUBLES, DIMENSIONS = 5, 7, 8, 1
FIXED_LAYERS = ("upscore2", "upscore_pool4", "upscore8")  # bilinear in every file, so a file may leave them out

Blobs = dict[str, list[NDArray[np.float32]]]


class Field(NamedTuple):
    """One field of a message: its number, how it is written, and its content."""

    number: int
    kind: int
    value: int | memoryview


def read_caffemodel(path: Path) -> Blobs:
    """Return the blobs of each layer that has some, float32, by the layer's name.

    Raises:
        UserError: the file is missing, cut off, or no .caffemodel.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such .caffemodel file")
    try:
        layers = layers_of(memoryview(path.read_bytes()))
    except (IndexError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: is no whole .caffemodel ({error}; {path.stat().st_size} bytes); fetch or copy it again"
        ) from error
    if not layers:
        raise UserError(f"{path}: holds no layer with weights; a .prototxt describes a network but has none")
    return layers


def layers_of(message: memoryview) -> Blobs:
    """Return the blobs of each layer of a NetParameter that has some, old form or new.

    Raises:
        ValueError, IndexError, OverflowError: see `fields_of`; or the sizes of a blob do not fit its numbers.
    """
    layers: Blobs = {}
    for field in fields_of(message):
        if field.number in NAME_AND_BLOBS and isinstance(field.value, memoryview):
            name, blobs = _layer(field.value, *NAME_AND_BLOBS[field.number])
            if blobs:
                layers[name] = blobs
    return layers


def fields_of(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a protocol buffer message in order.

    Raises:
        ValueError: the message ends within a field, or has a kind of field that Caffe does not write.
        IndexError: it ends within a number.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield Field(number, kind, value)
            continue
        if kind == BYTES:
            length, at = _varint(message, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a field of kind {kind} at byte {at}")
        if at + length > len(message):
            raise ValueError(f"a field of {length} bytes at byte {at} of {len(message)}")
        yield Field(number, kind, message[at : at + length])
        at += length


def fcn8s_state(layers: Mapping[str, list[NDArray[np.float32]]]) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Return a state dict of `FCN8s` made from Caffe's layers, and the names of layers that it has no place for.

    Raises:
        UserError: a layer is missing or of another shape.
    """
    if "score_fr" not in layers:
        raise UserError(f"no layer score_fr; found: {', '.join(layers)}. Name it with --rename FOUND=score_fr")
    if "fc7" not in layers:
        raise UserError(f"no layer fc7; found: {', '.join(layers)}")
    deep_width = layers["fc7"][-1].size
    if max(blob.size for blob in layers["fc7"]) != deep_width**2:  # before a network of any size is built for it
        shapes = [blob.shape for blob in layers["fc7"]]
        raise UserError(f"fc7: expected a square of weights and a bias of its side, found {shapes}")
    network = FCN8s(layers["score_fr"][0].shape[0], deep_width=deep_width)
    state, used, problems = network.state_dict(), set[str](), []
    for key, own in state.items():
        layer, part = key.removeprefix("encoder.").rsplit(".", 1)
        blobs = layers.get(layer, [])
        index = ("weight", "bias").index(part)
        if index < len(blobs) and blobs[index].size == own.numel():  # inner products and biases come as 4-D blobs, too
            state[key] = torch.from_numpy(blobs[index].reshape(own.shape).copy())
            used.add(layer)
        elif blobs or layer not in FIXED_LAYERS:
            shapes = [blob.shape for blob in blobs]
            problems.append(f"{layer}.{part}: expected {tuple(own.shape)}, found {shapes or 'no such layer'}")
    if problems:
        raise UserError("these layers do not make an FCN-8s:\n  " + "\n  ".join(problems))
    return state, tuple(name for name in layers if name not in used)


def _layer(message: memoryview, name_number: int, blob_number: int) -> tuple[str, list[NDArray[np.float32]]]:
    name, blobs = "", []
    for field in fields_of(message):
        if field.number == name_number and isinstance(field.value, memoryview):
            name = bytes(field.value).decode()
        elif field.number == blob_number and isinstance(field.value, memoryview):
            blobs.append(_blob(field.value))
    return name, blobs


def _blob(message: memoryview) -> NDArray[np.float32]:
    old_shape = dict.fromkeys(OLD_SHAPE, 1)
    shape: list[int] | None = None
    chunks: list[NDArray[np.float32]] = []
    for field in fields_of(message):
        if field.number in OLD_SHAPE and isinstance(field.value, int):
            old_shape[field.number] = field.value
        elif field.number == FLOATS and isinstance(field.value, memoryview):  # packed, or one number at a time
            chunks.append(np.frombuffer(field.value, "<f4"))
        elif field.number == DOUBLES and isinstance(field.value, memoryview):
            chunks.append(np.frombuffer(field.value, "<f8").astype(np.float32))
        elif field.number == SHAPE and isinstance(field.value, memoryview):
            shape = _dimensions(field.value)
    values = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    return values.reshape(shape or list(old_shape.values()))


def _dimensions(message: memoryview) -> list[int]:
    sizes: list[int] = []
    for field in fields_of(message):
        if field.number != DIMENSIONS:
            continue
        if isinstance(field.value, int):
            sizes.append(field.value)
            continue
        at = 0
        while at < len(field.value):
            size, at = _varint(field.value, at)
            sizes.append(size)
    return sizes


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and where the next field begins."""
    value, shift = 0, 0
    while True:
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits before byte {at}")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
