"""`python train.py CONFIG`: train a segmenter of visible faces.

Everything that a run makes lies in its run folder: resolved configuration, environment, log, metrics, TensorBoard,
previews and checkpoints. The same command again goes on where the run stopped. All durations are images seen.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric, seed_everything
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from common.checkpoint import load_state, save_state
from common.cli import add_config, parse, parser, print_dry_run
from common.config import differing_keys, load_config, to_yaml
from common.errors import UserError, exit_on_user_error
from common.image_io import image_size, write_image
from common.run_dir import append_metrics, git_state, new_run_dir, open_run_dir, rewind_metrics
from common.sample import Sample
from common.seeding import TRAIN_STREAM, VALIDATION_STREAM
from common.visualize import blend, contact_sheet, show_errors
from configs.schema import TrainJob
from datasets.augment import build_augmenter
from datasets.faces import FaceOcclusionDataset, ImageStream, collate, fixed_keys, start_worker
from datasets.prepared import FaceSet, build_face_set
from models.device import pick_precision
from models.losses import segmentation_losses
from models.network import NetworkSpec, build_network
from models.training import (
    VALIDATION_THRESHOLD,
    Preview,
    build_average,
    build_optimiser,
    learning_rate,
    to_device,
    validate,
)
from models.weights import Card, Preprocessing, normalisation, save_weights
from occlusion_gen.synthesiser import build_synthesiser

LOG_EVERY_IMAGES = 800
LATEST = "checkpoints/latest.pt"
EXAMPLES = """  python train.py configs/sample/train.yaml
  python train.py configs/mini/train.yaml train.images=8000 run_dir=runs/try
  python train.py configs/mini/train.yaml --dry-run"""
log = logging.getLogger("occface")


@dataclass
class Progress:
    """What of a run is not in its tensors."""

    images: int = 0
    best_face_iou: float = -1.0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    origin: dict[str, Any] = field(default_factory=dict)


@exit_on_user_error
def main() -> None:
    """Parse the command line, then train."""
    arguments = parser("Train a network that tells the visible face from what hides it.", EXAMPLES)
    add_config(arguments)
    options = parse(arguments)
    config = load_config(options.config, TrainJob, options.overrides)
    run_dir = config.run_dir or new_run_dir(Path("runs"), config.name)
    faces = build_face_set(config.train_sets)
    held_out = build_face_set({"validation": config.validation.set})
    _check_split(faces, held_out)
    if options.dry_run:
        print_dry_run(config, _plan(config, faces, held_out, run_dir))
        return
    train(config, run_dir, faces=faces, held_out=held_out)


def train(config: TrainJob, run_dir: Path, *, faces: FaceSet, held_out: FaceSet) -> None:
    """Train until `train.images` were seen, from the beginning or from the run's last state."""
    state = _resume_state(config, run_dir)
    section = config.train
    if section.threads is not None:
        torch.set_num_threads(section.threads)
    device_type = "cuda" if torch.cuda.is_available() else "cpu"
    precision = pick_precision(section.precision, device_type)
    fabric = Fabric(accelerator=device_type, devices=1, precision=precision)
    seed_everything(config.seed, verbose=False)

    network, spec = build_network(config.model)
    network = network.to(fabric.device).to(memory_format=torch.channels_last)
    mean, std = normalisation(config.model.normalisation)
    preprocessing = Preprocessing(config.size, faces.crop.method, faces.crop.template, mean, std)
    average = build_average(network, section)
    model, optimiser = fabric.setup(network, build_optimiser(network, section))
    progress = Progress(origin={"run": config.name, "seed": config.seed, **git_state()})
    if state is not None:
        _restore(state, network, average, optimiser, progress)
    batches, held_out_batches = _loaders(config, faces, held_out, start=progress.images)
    # Only now: a folder made before a mistake was found would belong to the mistaken configuration.
    open_run_dir(run_dir, config=config, manifests={**faces.manifests, **held_out.manifests})
    rewind_metrics(run_dir, progress.images)
    _open_log(run_dir)
    log.info(
        "%d faces, validation on %d, %s on %s, %s, images %d to %d, run folder %s",
        len(faces.records), len(held_out.records), precision, fabric.device, spec.encoder, progress.images,
        section.images, run_dir,
    )  # fmt: skip

    board = SummaryWriter(str(run_dir / "tensorboard"))
    bar = tqdm(total=section.images, initial=progress.images, unit="image", desc="train", smoothing=0.05)
    logged_at, logged_s, losses = progress.images, time.monotonic(), list[float]()
    for batch in batches:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(progress.images, section)
        model.train()
        statistics = [buffer.clone() for buffer in network.buffers()]
        sample = to_device(batch, fabric.device)
        logits = model(preprocessing.normalise(sample.image))  # (N, K, S, S)
        terms = segmentation_losses(logits, sample, config.loss)
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        fabric.backward(loss)
        norm = fabric.clip_gradients(model, optimiser, max_norm=section.gradient_clip, error_if_nonfinite=False)
        before, count = progress.images, len(batch.image)
        progress.images += count
        if torch.isfinite(loss) and norm is not None and torch.isfinite(norm):
            optimiser.step()
            losses.append(loss.item())
            progress.bad_in_a_row = 0
            if average is not None:
                average.update_parameters(network)
        else:
            for buffer, kept in zip(network.buffers(), statistics, strict=True):
                buffer.copy_(kept)  # one infinite activation would stay in the running means for ever
            _note_bad_step(progress, batch, loss.item(), limit=section.max_bad_steps)
        bar.update(count)

        if _passed(before, progress.images, LOG_EVERY_IMAGES):
            seen, now_s = progress.images - logged_at, time.monotonic()
            values = {
                "loss": sum(losses) / max(1, len(losses)),  # of the steps that were taken
                "learning_rate": optimiser.param_groups[0]["lr"],
                "images_per_s": seen / (now_s - logged_s),
                **{name: term.item() for name, term in terms.items()},
            }
            _write_metrics(run_dir, board, progress.images, "train", values)
            bar.set_postfix(loss=f"{values['loss']:.3f}")
            logged_at, logged_s, losses = progress.images, now_s, []

        finished = progress.images + section.batch_size > section.images
        if _passed(before, progress.images, config.validation.every_images) or finished:
            judged = network if average is None else average.module
            found = validate(
                judged, held_out_batches, preprocessing=preprocessing, loss=config.loss, device=fabric.device,
                autocast=fabric.autocast, previews=config.validation.previews,
            )  # fmt: skip
            _write_metrics(run_dir, board, progress.images, "validation", found.scores)
            _write_previews(run_dir, progress.images, found.previews)
            log.info("%d images: validation face IoU %.4f", progress.images, found.scores["face_iou"])
            better = found.scores["face_iou"] > progress.best_face_iou
            progress.best_face_iou = max(progress.best_face_iou, found.scores["face_iou"])
            _save(run_dir, config, spec, preprocessing, network, average, optimiser, progress, found.scores, better)
            logged_s = time.monotonic()  # the time of a validation is none of training
            logged_at, losses = progress.images, []
    bar.close()
    board.close()
    print(f"best validation face IoU {progress.best_face_iou:.4f}\n{run_dir / 'checkpoints' / 'best.safetensors'}")


def _plan(config: TrainJob, faces: FaceSet, held_out: FaceSet, run_dir: Path) -> str:
    network, _ = build_network(config.model)
    parameters = sum(weight.numel() for weight in network.parameters())
    steps = config.train.images // config.train.batch_size
    return (
        f"would train {parameters:,} parameters for {steps} steps of {config.train.batch_size} on {len(faces.records)} "
        f"faces, validate on {len(held_out.records)}, into {run_dir}"
    )


def _loaders(
    config: TrainJob, faces: FaceSet, held_out: FaceSet, *, start: int
) -> tuple[DataLoader[Sample], DataLoader[Sample]]:
    """Return the stream of training batches from `start` images on, and the batches of a validation pass."""
    policy, section = config.face.policy(), config.train
    side_px = max(image_size(faces.records[0].image))
    trainer = FaceOcclusionDataset(
        faces.records, size=config.size, policy=policy, seed=config.seed, stream=TRAIN_STREAM,
        synthesise=build_synthesiser(config.occlusion, policy=policy, split="train", max_side_px=side_px),
        augment=build_augmenter(config.augment),
    )  # fmt: skip
    judge = FaceOcclusionDataset(
        held_out.records, size=config.size, policy=policy, seed=config.seed, stream=VALIDATION_STREAM,
        synthesise=build_synthesiser(config.occlusion, policy=policy, split="validation", max_side_px=side_px),
    )  # fmt: skip
    stop = section.images - (section.images - start) % section.batch_size
    stream = ImageStream(len(trainer), seed=config.seed, start=start, stop=stop)
    common: dict[str, Any] = {
        "batch_size": section.batch_size, "num_workers": section.workers, "collate_fn": collate,
        "worker_init_fn": start_worker, "pin_memory": torch.cuda.is_available(),
        "generator": torch.Generator(),  # a loader draws a number when it starts: not from what a resumed run restores
    }  # fmt: skip
    train_loader = DataLoader(trainer, sampler=stream, **common)
    return train_loader, DataLoader(judge, sampler=fixed_keys(len(judge)), **common)


def _check_split(faces: FaceSet, held_out: FaceSet) -> None:
    shared = {record.subject for record in faces.records} & {record.subject for record in held_out.records}
    if shared:
        raise UserError(
            f"{len(shared)} subjects are in the training sets and in the validation set, e.g. {sorted(shared)[:5]}; "
            "choose splits that share nobody"
        )


def _resume_state(config: TrainJob, run_dir: Path) -> dict[str, Any] | None:
    """Return the last state of this run, None where there is none yet.

    Raises:
        UserError: the folder holds a run of another configuration, or one that is finished.
    """
    saved = run_dir / "config.yaml"
    if not saved.exists():
        return None
    differences = differing_keys(load_config(saved, TrainJob), config)
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise UserError(f"{run_dir}: holds a run of another configuration; choose another run_dir. Keys:\n{listed}")
    if not (run_dir / LATEST).exists():
        return None
    state = load_state(run_dir / LATEST)
    if state["progress"]["images"] + config.train.batch_size > config.train.images:
        print(f"{run_dir}: this run is finished ({state['progress']['images']} images); nothing is left to do")
        raise SystemExit(0)
    return state


def _restore(
    state: dict[str, Any], network: torch.nn.Module, average: AveragedModel | None, optimiser: Any, progress: Progress
) -> None:
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    if average is not None:
        average.load_state_dict(state["average"])
    torch.set_rng_state(state["torch_rng"])
    for name, value in state["progress"].items():
        setattr(progress, name, value)


def _save(
    run_dir: Path, config: TrainJob, spec: NetworkSpec, preprocessing: Preprocessing, network: torch.nn.Module,
    average: AveragedModel | None, optimiser: Any, progress: Progress, scores: dict[str, float], better: bool,
) -> None:  # fmt: skip
    """Write the weights of this moment, as `best` too if they are, and then the state to go on from."""
    judged = network if average is None else average.module
    origin = {**progress.origin, "images": progress.images, "validation": scores}
    card = Card(spec, preprocessing, VALIDATION_THRESHOLD, origin)
    save_weights(run_dir / "checkpoints" / "latest.safetensors", judged.state_dict(), card)
    if better:
        save_weights(run_dir / "checkpoints" / "best.safetensors", judged.state_dict(), card)
    state = {
        "network": network.state_dict(), "average": None if average is None else average.state_dict(),
        "optimiser": optimiser.state_dict(), "torch_rng": torch.get_rng_state(), "progress": asdict(progress),
        "config": to_yaml(config),
    }  # fmt: skip
    save_state(run_dir / LATEST, state)


def _note_bad_step(progress: Progress, batch: Sample, loss: float, *, limit: int) -> None:
    progress.bad_steps += 1
    progress.bad_in_a_row += 1
    names = batch.id.replace("\n", " ")
    log.warning("step skipped at %d images, loss %s, samples: %s", progress.images, loss, names)
    if progress.bad_in_a_row >= limit:
        raise UserError(
            f"{limit} steps in a row had no finite loss or gradient; lower train.learning_rate or use "
            f"train.precision=32-true. The last samples were: {names}"
        )


def _passed(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _write_metrics(run_dir: Path, board: SummaryWriter, images: int, kind: str, values: dict[str, float]) -> None:
    finite = {name: round(value, 6) for name, value in values.items() if math.isfinite(value)}  # JSON knows no NaN
    append_metrics(run_dir, {"images": images, "kind": kind, **finite})
    for name, value in values.items():
        board.add_scalar(f"{kind}/{name}", value, images)


def _write_previews(run_dir: Path, images: int, previews: list[Preview]) -> None:
    """Write input, truth, prediction and errors of the first validation samples."""
    if not previews:
        return
    rows = []
    for preview in previews:
        predicted = preview.probability > VALIDATION_THRESHOLD
        errors = show_errors(preview.image, predicted, preview.visible)
        rows.append([preview.image, blend(preview.image, preview.visible), blend(preview.image, predicted), errors])
    write_image(run_dir / "previews" / f"images_{images:09d}.jpg", contact_sheet(rows), quality=88)


def _open_log(run_dir: Path) -> None:
    log.setLevel(logging.INFO)
    for handler in (logging.FileHandler(run_dir / "log.txt"), logging.StreamHandler()):
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        log.addHandler(handler)


if __name__ == "__main__":
    main()
