"""Masks of many crops from memory to memory, as fast as a GPU takes them.

Pixels travel as bytes both ways: crops are normalised and probabilities compared with the threshold on the device.
While one batch is computed the next one is on its way there and the last one on its way back, through pinned memory and
streams of their own, and nobody waits for a batch that is not the oldest on the way.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.card import Card
from models.device import pick_device, trying_kernels
from models.export import CropNetwork
from models.runtimes import Precision, prepare_network
from models.spec import map_names
from models.weights import load_weights

DEPTH = 3  # batches on the way: one there, one computed, one back
WHITE = 255


class MaskNetwork(torch.nn.Module):
    """A network from crops to masks: (N, S, S, 3) uint8 RGB -> (N, K, S, S) uint8, 0 or 255."""

    def __init__(self, network: torch.nn.Module, card: Card) -> None:
        super().__init__()
        self.crops_to_probabilities = CropNetwork(network, card)
        self._threshold = card.threshold

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return the masks of the crops."""
        return (self.crops_to_probabilities(crops) > self._threshold).to(torch.uint8) * WHITE


class MaskStream:
    """Tells for any number of crops in memory where the face is, in batches of one size.

    Args:
        network: in evaluation mode.
        card: how its input is made and its output read.
        device: auto, cpu, cuda or cuda:1.
        batch_size: crops at once.
        precision: see `models.runtimes.open_predictor`.
        compile_mode: of `torch.compile`, e.g. "default" or "reduce-overhead"; None: not compiled.

    Attributes:
        size: side of the crops in pixels.
        outputs: names of the maps.
        device: where the network is.
        network: from crops to masks, see `MaskNetwork`.

    Raises:
        UserError: the device cannot be used.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        card: Card,
        *,
        device: str = "auto",
        batch_size: int = 256,
        precision: Precision = "auto",
        compile_mode: str | None = None,
    ) -> None:
        self.size = card.preprocessing.size
        self.outputs = map_names(card.network)
        self.device = pick_device(device)
        fast = prepare_network(network, card, device=device, precision=precision)
        self.network: torch.nn.Module = MaskNetwork(fast, card).eval().to(self.device)
        if compile_mode is not None:
            self.network.compile(mode=compile_mode, dynamic=False)
        self._batch_size = batch_size
        self._slots = [_Slot(self) for _ in range(DEPTH)] if self.device.type == "cuda" else []

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        batch_size: int = 256,
        precision: Precision = "auto",
        compile_mode: str | None = None,
    ) -> MaskStream:
        """Return the stream of a weights file, see `models.weights.load_weights`."""
        network, card = load_weights(Path(path))
        return cls(network, card, device=device, batch_size=batch_size, precision=precision, compile_mode=compile_mode)

    @torch.no_grad()
    def masks(self, crops: NDArray[np.uint8], *, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return the masks (N, K, S, S) uint8, 255 where a map is above the threshold, K in the order of `outputs`.

        Args:
            crops: (N, S, S, 3) uint8 RGB, aligned; S = `size`.
            out: an array for the result, which saves the time to get the memory.

        Raises:
            ValueError: another shape or type.
        """
        _check(crops, (len(crops), self.size, self.size, 3), "crops")
        shape = (len(crops), len(self.outputs), self.size, self.size)
        result = np.empty(shape, np.uint8) if out is None else out
        _check(result, shape, "out")
        starts = range(0, len(crops), self._batch_size)
        if not self._slots:
            for start in starts:
                part = slice(start, start + self._batch_size)
                result[part] = self.network(torch.from_numpy(crops[part])).numpy()
            return result
        flying: deque[tuple[_Slot, int]] = deque()
        with torch.cuda.device(self.device), trying_kernels():
            for number, start in enumerate(starts):
                if len(flying) == DEPTH:
                    _land(flying, result)
                slot = self._slots[number % DEPTH]
                slot.launch(crops[start : start + self._batch_size])
                flying.append((slot, start))
            while flying:
                _land(flying, result)
        return result

    def empty_batch(self) -> torch.Tensor:
        """Return a batch (N, S, S, 3) uint8 of black crops on the device."""
        return torch.zeros(self._batch_size, self.size, self.size, 3, dtype=torch.uint8, device=self.device)


class _Slot:
    """The memory of one batch on its way, on both sides, and the events that tell how far it has come.

    A batch that is not full leaves older crops behind itself, whose masks nobody reads.
    """

    def __init__(self, owner: MaskStream) -> None:
        self._network = owner.network
        self._crops = owner.empty_batch()
        count, side = self._crops.shape[:2]
        self.crop_count = count
        self._masks = torch.zeros(count, len(owner.outputs), side, side, dtype=torch.uint8, device=owner.device)
        self._crops_host, self._masks_host = (
            torch.zeros(there.shape, dtype=torch.uint8, pin_memory=True) for there in (self._crops, self._masks)
        )
        self._uploads, self._downloads = torch.cuda.Stream(owner.device), torch.cuda.Stream(owner.device)  # type: ignore[no-untyped-call]
        self._arrived, self._computed, self._landed = (torch.cuda.Event() for _ in range(3))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize(owner.device)  # zeros are written before other streams use the memory

    def launch(self, crops: NDArray[np.uint8]) -> None:
        """Send crops, compute, and send masks back, without waiting for any of it."""
        self._crops_host[: len(crops)].copy_(torch.from_numpy(crops))
        with torch.cuda.stream(self._uploads):
            self._crops.copy_(self._crops_host, non_blocking=True)
            self._arrived.record(self._uploads)
        computing = torch.cuda.current_stream()
        computing.wait_event(self._arrived)
        # A CUDA graph may write over the masks of its last run; they were copied, below.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        self._masks.copy_(self._network(self._crops))
        self._computed.record(computing)
        with torch.cuda.stream(self._downloads):
            self._downloads.wait_event(self._computed)
            self._masks_host.copy_(self._masks, non_blocking=True)
            self._landed.record(self._downloads)

    def land(self, target: NDArray[np.uint8]) -> None:
        """Wait for the masks, and copy as many as `target` has room for."""
        self._landed.synchronize()
        torch.from_numpy(target).copy_(self._masks_host[: len(target)])


def _land(flying: deque[tuple[_Slot, int]], result: NDArray[np.uint8]) -> None:
    slot, start = flying.popleft()
    slot.land(result[start : start + slot.crop_count])


def _check(values: NDArray[np.uint8], shape: tuple[int, ...], name: str) -> None:
    if values.dtype != np.uint8 or values.shape != shape or not values.flags.c_contiguous:
        raise ValueError(f"expected {name} {shape} uint8 in one piece, found {values.shape} {values.dtype}")
