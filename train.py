"""`python train.py CONFIG`: train a segmenter of visible faces.

Everything that a run makes lies in its run folder: resolved configuration, environment, log, metrics, TensorBoard,
previews and checkpoints. The same command again goes on where the run stopped. All durations are images seen.
`torchrun --nproc_per_node=N train.py CONFIG` trains on N GPUs; see docs/training.md.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from common.checkpoint import load_last_state, save_state
from common.cli import add_config, parse, parser, print_dry_run
from common.config import differing_keys, load_config, to_yaml
from common.errors import UserError, exit_on_user_error
from common.folder_lock import hold_folder
from common.run_dir import append_bad_step, new_run_dir, open_run_dir, origin_of, rewind_metrics
from common.run_log import Pace, RunLog
from common.sample import Sample
from common.seed_scores import print_seed_scores, write_seed_scores
from common.seeding import TRAIN_STREAM, VALIDATION_STREAM
from configs.schema import TrainJob
from datasets.augment import build_augmenter
from datasets.batches import ImageStream, collate, fixed_keys, start_worker
from datasets.faces import FaceOcclusionDataset
from datasets.prepared import FaceSet, build_face_set
from datasets.scenes import build_scenes
from models.cost import estimate_cost
from models.learner import Learner, Progress, build_learner
from models.network import NetworkSpec, build_network, build_spec
from models.optimiser import learning_rate
from models.processes import explained_failures, gather, micro_batch, seed_process, share_buffers, start_fabric
from models.training import VALIDATION_THRESHOLD, grouped, validate, write_previews
from models.weights import Card, Preprocessing, make_preprocessing, save_weights, start_from
from occlusion_gen.synthesiser import build_synthesiser

LATEST, OLDER = "checkpoints/latest.pt", "checkpoints/previous.pt"
EXAMPLES = """  python train.py configs/sample/train.yaml
  python train.py configs/mini/train.yaml train.images=8000 run_dir=runs/try
  python train.py configs/mini/train.yaml --seeds 0 1 2
  torchrun --standalone --nproc_per_node=8 train.py configs/mini/train.yaml
  python train.py configs/mini/train.yaml --dry-run"""
log = logging.getLogger("occface")


@exit_on_user_error
def main() -> None:
    """Parse the command line, then train, once or with several seeds."""
    arguments = parser("Train a network that tells the visible face from what hides it.", EXAMPLES)
    add_config(arguments)
    arguments.add_argument(
        "--seeds", type=int, nargs="+", metavar="K", help="train once a seed, one after the other, into RUN_DIR/seed_K"
    )
    options = parse(arguments)
    config = load_config(options.config, TrainJob, options.overrides)
    faces = build_face_set(config.train_sets)
    held_out = build_face_set({"validation": config.validation.set}, judges=True)
    _check_split(faces, held_out)
    run_dir = config.run_dir or new_run_dir(Path("runs"), config.name)
    if options.dry_run:
        if os.environ.get("RANK", "0") == "0":
            print_dry_run(config, _plan(config, faces, held_out, run_dir, seeds=options.seeds))
        return
    with explained_failures():
        fabric = start_fabric(config.train)
        run_dir = fabric.broadcast(run_dir)  # the clock in its name may differ between processes
        if options.seeds is None:
            train_alone(config, run_dir, fabric=fabric, faces=faces, held_out=held_out)
            return
        scores = {}
        for seed in options.seeds:
            folder = run_dir / f"seed_{seed}"
            one = config.model_copy(update={"seed": seed, "run_dir": folder})
            fabric = start_fabric(config.train)  # anew: a gradient scaler would remember the seed before
            scores[seed] = train_alone(one, folder, fabric=fabric, faces=faces, held_out=held_out).best_face_iou
        if fabric.is_global_zero:
            print_seed_scores(write_seed_scores(run_dir, scores))


def train_alone(config: TrainJob, run_dir: Path, *, fabric: Fabric, faces: FaceSet, held_out: FaceSet) -> Progress:
    """Train, and meanwhile let no other run into the folder; loader processes write nothing and do not hold it."""
    held = hold_folder(run_dir, None, with_children=False) if fabric.is_global_zero else nullcontext()
    with held:
        return train(config, run_dir, fabric=fabric, faces=faces, held_out=held_out)


def train(config: TrainJob, run_dir: Path, *, fabric: Fabric, faces: FaceSet, held_out: FaceSet) -> Progress:
    """Train until `train.images` were seen, from the beginning or from the run's last state."""
    section, ranks = config.train, fabric.world_size
    manifests = {**faces.manifests, **held_out.manifests}
    state = fabric.broadcast(_last_state(config, run_dir, manifests) if fabric.is_global_zero else None)
    if state is not None and state["progress"]["images"] + section.batch_size > section.images:
        fabric.print(f"{run_dir}: this run is finished ({state['progress']['images']} images); nothing is left to do")
        return Progress(**state["progress"])

    seed_process(config.seed, rank=0)
    network, spec = build_network(config.model, policy=config.face.policy())
    if config.model.initial_weights is not None:
        start_from(config.model.initial_weights, network, spec)
    preprocessing = make_preprocessing(
        config.model.normalisation,
        size=config.size,
        method=faces.crop.method,
        template=faces.crop.template,
        options=faces.crop.options,
    )
    learner = build_learner(
        fabric, network, section, seed=config.seed, origin=origin_of(run=config.name, seed=config.seed)
    )
    progress = learner.progress
    if state is not None:
        learner.load_state_dict(state)
    batches, held_out_batches = _loaders(config, faces, held_out, start=progress.images, fabric=fabric)
    # Only now: a folder made before a mistake was found would belong to the mistaken configuration.
    if fabric.is_global_zero:
        open_run_dir(run_dir, config=config, manifests=manifests)
        rewind_metrics(run_dir, progress.images)

    with RunLog(run_dir, active=fabric.is_global_zero, total=section.images, initial=progress.images) as run:
        log.info(
            "%d faces, validation on %d, %s on %d x %s, %s, images %d to %d, run folder %s",
            len(faces.records), len(held_out.records), fabric.strategy.precision.precision, ranks, fabric.device,
            spec.encoder, progress.images, section.images, run_dir,
        )  # fmt: skip
        pace = Pace()
        for passes in grouped(pace.timed(batches), section.accumulate):
            before = progress.images
            rate = learning_rate(
                before, peak=section.optimiser.learning_rate, total=section.images, section=section.schedule
            )
            learner.set_learning_rate(rate)
            step = learner.take_step(
                passes, preprocessing=preprocessing, loss=config.loss, spec=spec, gradient_clip=section.gradient_clip
            )
            progress.images += section.batch_size
            progress.bad_in_a_row = 0 if step.taken else progress.bad_in_a_row + 1
            if not step.taken:
                _note_bad_step(run_dir, learner, passes, step.loss, limit=section.max_bad_steps)
            run.advance(section.batch_size)
            pace.add(section.batch_size, loss=step.loss if step.taken else None)

            if _passed(before, progress.images, section.log_every_images):
                terms = {name: term.item() for name, term in step.terms.items()}
                run.metrics(progress.images, "train", {**pace.report(), "learning_rate": rate, **terms})

            finished = progress.images + section.batch_size > section.images
            if _passed(before, progress.images, config.validation.every_images) or finished:
                share_buffers(learner.judged, ranks)
                found = validate(
                    learner.judged, held_out_batches, preprocessing=preprocessing, loss=config.loss, spec=spec,
                    device=fabric.device, autocast=fabric.autocast, previews=config.validation.previews, ranks=ranks,
                )  # fmt: skip
                score = found.scores["face_iou"]
                run.metrics(progress.images, "validation", found.scores)
                log.info("%d images: validation face IoU %.4f", progress.images, score)
                if fabric.is_global_zero:
                    write_previews(run_dir / "previews" / f"images_{progress.images:09d}.jpg", found.previews)
                    better = score > progress.best_face_iou
                    _write_weights(run_dir, learner, spec, preprocessing, found.scores, better=better)
                progress.best_face_iou = max(progress.best_face_iou, score)
                _save(run_dir, config, learner, manifests)
                pace.restart()  # the time of a validation is none of training
            elif section.save_every_images and _passed(before, progress.images, section.save_every_images):
                _save(run_dir, config, learner, manifests)
                pace.restart()
    best = run_dir / "checkpoints" / "best.safetensors"
    fabric.print(f"best validation face IoU {progress.best_face_iou:.4f}\n{best}")
    return progress


def _plan(config: TrainJob, faces: FaceSet, held_out: FaceSet, run_dir: Path, *, seeds: list[int] | None) -> str:
    """Return what would be done, and what it would cost."""
    section, ranks = config.train, int(os.environ.get("WORLD_SIZE", "1"))
    share = micro_batch(section, ranks)
    cost = estimate_cost(build_spec(config.model), config.size)
    petaflop = 3 * cost.forward_flops * section.images / 1e15  # a backward pass costs twice a forward pass
    return (
        f"would train for {section.images // section.batch_size} steps of {section.batch_size} on {len(faces.records)} "
        f"faces ({section.images / len(faces.records):.1f} epochs), validate on {len(held_out.records)}, into {run_dir}"
        f"{'' if seeds is None else f', once for each of the seeds {seeds}'}\n"
        f"# {cost.describe(share)}\n"
        f"# {petaflop:.3g} PFLOP in all; {ranks} processes x {section.accumulate} passes x {share} images a step"
    )


def _loaders(
    config: TrainJob, faces: FaceSet, held_out: FaceSet, *, start: int, fabric: Fabric
) -> tuple[DataLoader[Sample], DataLoader[Sample]]:
    """Return this process's training batches from `start` images on, and its batches of a validation pass."""
    policy, section = config.face.policy(), config.train
    rank, ranks = fabric.global_rank, fabric.world_size
    parts = "parts" in config.model.outputs
    trainer = FaceOcclusionDataset(
        faces.records, size=config.size, policy=policy, seed=config.seed, stream=TRAIN_STREAM, parts=parts,
        synthesise=build_synthesiser(config.occlusion, policy=policy, split="train", max_side_px=faces.side_px),
        augment=build_augmenter(config.augment), scenes=build_scenes(config.scenes),
    )  # fmt: skip
    judge = FaceOcclusionDataset(
        held_out.records, size=config.size, policy=policy, seed=config.seed, stream=VALIDATION_STREAM, parts=parts,
        synthesise=build_synthesiser(config.occlusion, policy=policy, split="validation", max_side_px=faces.side_px),
    )  # fmt: skip
    stop = section.images - (section.images - start) % section.batch_size
    stream = ImageStream(len(trainer), seed=config.seed, start=start, stop=stop, rank=rank, ranks=ranks)
    common: dict[str, Any] = {
        "batch_size": micro_batch(section, ranks), "num_workers": section.workers, "collate_fn": collate,
        "worker_init_fn": start_worker, "pin_memory": fabric.device.type == "cuda",
        "generator": torch.Generator(),  # a loader draws a number when it starts: not from what a resumed run restores
    }  # fmt: skip
    train_loader = DataLoader(trainer, sampler=stream, **common)
    return train_loader, DataLoader(judge, sampler=fixed_keys(len(judge))[rank::ranks], **common)


def _check_split(faces: FaceSet, held_out: FaceSet) -> None:
    shared = {record.subject for record in faces.records} & {record.subject for record in held_out.records}
    if shared:
        raise UserError(
            f"{len(shared)} subjects are in the training sets and in the validation set, e.g. {sorted(shared)[:5]}; "
            "choose splits that share nobody"
        )


def _last_state(config: TrainJob, run_dir: Path, manifests: dict[str, str]) -> dict[str, Any] | None:
    """Return the last state of this run, None where there is none yet.

    Raises:
        UserError: the folder holds a run of another configuration, or the data have changed since.
    """
    saved = run_dir / "config.yaml"
    if not saved.exists():
        return None
    differences = differing_keys(load_config(saved, TrainJob), config)
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise UserError(f"{run_dir}: holds a run of another configuration; choose another run_dir. Keys:\n{listed}")
    state = load_last_state(run_dir / LATEST, older=run_dir / OLDER)
    changed = [] if state is None else [path for path in manifests if state["manifests"].get(path) != manifests[path]]
    if changed:
        raise UserError(
            f"{run_dir}: these manifests have changed since the run began: {', '.join(changed)}; a run cannot go on "
            "with other data. Choose another run_dir, or put the data back"
        )
    return state


def _write_weights(
    run_dir: Path, learner: Learner, spec: NetworkSpec, preprocessing: Preprocessing, scores: dict[str, float], *,
    better: bool,
) -> None:  # fmt: skip
    """Write the weights of this moment, as `best` too if they are."""
    origin = {**learner.progress.origin, "images": learner.progress.images, "validation": scores}
    card = Card(spec, preprocessing, VALIDATION_THRESHOLD, origin)
    for name in ("latest", "best") if better else ("latest",):
        save_weights(run_dir / "checkpoints" / f"{name}.safetensors", learner.judged.state_dict(), card)


def _save(run_dir: Path, config: TrainJob, learner: Learner, manifests: dict[str, str]) -> None:
    """Write the state to go on from; every process calls it, the first one writes."""
    generators = gather(learner.generator_states(), learner.fabric.world_size)
    if learner.fabric.is_global_zero:
        about = {"generators": generators, "config": to_yaml(config), "manifests": manifests}
        save_state(run_dir / LATEST, {**learner.state_dict(), **about}, older=run_dir / OLDER)


def _note_bad_step(run_dir: Path, learner: Learner, passes: Iterable[Sample], loss: float, *, limit: int) -> None:
    """Count a step that was skipped, write its samples down, and stop after `limit` of them in a row."""
    progress = learner.progress
    progress.bad_steps += 1
    mine = [name for batch in passes for name in batch.id.split("\n")]
    names = [name for part in gather(mine, learner.fabric.world_size) for name in part]
    if learner.fabric.is_global_zero:
        append_bad_step(run_dir, images=progress.images, loss=loss, samples=names)
    log.warning("step skipped at %d images, loss %s, samples: %s", progress.images, loss, " ".join(names))
    if progress.bad_in_a_row >= limit:
        raise UserError(
            f"{limit} steps in a row had no finite loss or gradient; lower train.optimiser.learning_rate or use "
            f"train.precision=32-true. The last samples were: {' '.join(names)}"
        )


def _passed(before: int, after: int, every: int) -> bool:
    return before // every != after // every


if __name__ == "__main__":
    main()
