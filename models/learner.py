"""What learns: network, averaged network, optimiser and how far they are, with one step and their state on disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric

from common.sample import Sample
from configs.schema import LossSection, TrainSection
from models.averaging import Average, build_average
from models.losses import segmentation_losses
from models.optimiser import build_optimiser
from models.processes import generator_states, restore_generators, seed_process, share_statistics
from models.spec import NetworkSpec
from models.training import to_device
from models.weights import Preprocessing


@dataclass
class Progress:
    """What of a run is not in its tensors.

    Attributes:
        images: seen, over all processes.
        best_face_iou: of the validations so far; -1 before the first.
        bad_steps: steps that were skipped because loss or gradient was not finite.
        bad_in_a_row: how many of them came last.
        origin: run, seed and code, for the weights' card.
    """

    images: int = 0
    best_face_iou: float = -1.0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    origin: dict[str, Any] = field(default_factory=dict)


class Step(NamedTuple):
    """What a step found.

    Attributes:
        loss: mean over all images of the step, whichever process had them.
        terms: each weighted term of the loss, of this process's last pass; on the device.
        taken: False where loss or gradient was not finite, and nothing was changed.
    """

    loss: float
    terms: dict[str, torch.Tensor]
    taken: bool


@dataclass
class Learner:
    """See the module; made by `build_learner`.

    Attributes:
        fabric: device, precision, processes.
        network: the bare network, whose state is saved.
        model: the same weights as Fabric wraps them (precision, processes, compiled).
        average: None where nothing is averaged.
        optimiser: wrapped by Fabric.
        progress: how far it is.
    """

    fabric: Fabric
    network: torch.nn.Module
    model: torch.nn.Module
    average: Average | None
    optimiser: Any
    progress: Progress

    @property
    def judged(self) -> torch.nn.Module:
        """The network that is validated and shipped."""
        return self.network if self.average is None else self.average.module

    def set_learning_rate(self, rate: float) -> None:
        """Use `rate` from the next step on."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def take_step(
        self,
        passes: Sequence[Sample],
        *,
        preprocessing: Preprocessing,
        loss: LossSection,
        spec: NetworkSpec | None = None,
        gradient_clip: float | None,
    ) -> Step:
        """Learn from one batch and return what was found; a step without finite loss and gradient leaves no trace.

        The gradient is the mean over passes and processes, which all have equally many images. Terms that pool over a
        batch (Dice, hard examples, means over valid pixels) pool over a pass of a process.

        Args:
            passes: the batch of this process in parts.
            spec: the network's, see `segmentation_losses`.
            gradient_clip: largest norm of the gradient; None leaves it as it is.
        """
        self.model.train()
        buffers = list(self.network.buffers())
        statistics = [torch.empty_like(buffer) for buffer in buffers]
        _copy(buffers, into=statistics)
        self.optimiser.zero_grad(set_to_none=True)
        total, terms = self._gradients(passes, preprocessing=preprocessing, loss=loss, spec=spec)
        norm = self.fabric.clip_gradients(
            self.model, self.optimiser, max_norm=gradient_clip or math.inf, error_if_nonfinite=False
        )
        found = torch.stack([total, norm])
        if self.fabric.world_size > 1:
            found = self.fabric.all_reduce(found, reduce_op="mean")
        value, norm_value = found.tolist()  # the one time in a step that the CPU waits for the device
        taken = math.isfinite(value) and math.isfinite(norm_value)
        if taken or self._scaler is not None:  # a scaler skips the step by itself, and must learn of it
            self.optimiser.step()
        if not taken:  # one infinite activation would stay in the running means for ever
            _copy(statistics, into=buffers)
        elif self.average is not None:
            self.average.update(self.network)
        return Step(value, terms, taken)

    def state_dict(self) -> dict[str, Any]:
        """Return all that going on bit by bit needs, save the generators of other processes."""
        return {
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": None if self._scaler is None else self._scaler.state_dict(),
            "progress": asdict(self.progress),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; its `generators` are those of every process, by rank."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self._scaler is not None and state["scaler"] is not None:
            self._scaler.load_state_dict(state["scaler"])
        for name, value in state["progress"].items():
            setattr(self.progress, name, value)
        if len(state["generators"]) == self.fabric.world_size:
            restore_generators(state["generators"][self.fabric.global_rank])

    def generator_states(self) -> dict[str, Any]:
        """Return the states of this process's global generators."""
        return generator_states()

    @property
    def _scaler(self) -> Any:
        """The gradient scaler of 16-mixed, None elsewhere."""
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def _gradients(
        self, passes: Sequence[Sample], *, preprocessing: Preprocessing, loss: LossSection, spec: NetworkSpec | None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        total = torch.zeros((), device=self.fabric.device)
        terms: dict[str, torch.Tensor] = {}
        for index, batch in enumerate(passes):
            sample = to_device(batch, self.fabric.device)
            with self.fabric.no_backward_sync(self.model, enabled=index + 1 < len(passes)):
                predicted = self.model(preprocessing.normalise(sample.image))  # (N, K, S, S), or all heads
                terms = segmentation_losses(predicted, sample, loss, spec)
                value = torch.stack(list(terms.values())).sum() / len(passes)
                self.fabric.backward(value)
            total += value.detach()
        return total, {name: term.detach() for name, term in terms.items()}


def _copy(tensors: list[torch.Tensor], *, into: list[torch.Tensor]) -> None:
    if tensors:  # a network without batch statistics has none
        torch._foreach_copy_(into, tensors)


def build_learner(
    fabric: Fabric, network: torch.nn.Module, section: TrainSection, *, seed: int, origin: dict[str, Any]
) -> Learner:
    """Return the learner around `network` on Fabric's device, at the beginning of a run."""
    network = share_statistics(network, fabric, wanted=section.sync_batchnorm)
    network = network.to(fabric.device).to(memory_format=torch.channels_last)
    average = build_average(network, batch_size=section.batch_size, half_life_images=section.ema_half_life_images)
    optimiser = build_optimiser(network, section.optimiser)
    model, wrapped = fabric.setup(torch.compile(network) if section.compile else network, optimiser)
    if fabric.global_rank > 0:  # all had one seed to make one network; from here on they draw apart
        seed_process(seed, fabric.global_rank)
    return Learner(fabric, network, model, average, wrapped, Progress(origin=origin))
