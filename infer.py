"""Masks for photos, a video or a webcam: `python infer.py INPUT OUTPUT`.

    OUTPUT/{kind}/{name}.png|jpg    the results, see `inference/outputs.py`; sub-folders of INPUT are kept
    OUTPUT/{kind}/{name}.mkv|mp4    those of a video, see `inference/video_run.py`
    OUTPUT/faces.jsonl              one line a photo: outcome, files, and each face with its crop and occlusion ratio
    OUTPUT/infer.json               the settings; the same command goes on where it stopped

Of several faces in a photo all are marked, in one mask; `--per-face` keeps them apart, too. Exit codes: 0 all photos
done, 2 a mistake in the command or nothing could be used, 3 done, but some photos could not be used (they are listed).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.errors import UserError, exit_on_user_error
from common.manifest import Row, sha256
from inference.locators import FaceFinder, build_finder
from inference.mask_folder import FACES_NAME, MaskFolder
from inference.open_model import OpenModel, default_weights, open_model
from inference.options import chosen_kinds, parse_arguments
from inference.pipeline import Pipeline
from inference.sources import find_inputs
from inference.video import VideoReader, is_video
from inference.video_run import run_video, video_kinds, video_of
from inference.video_segmenter import Smoothing, VideoSegmenter
from inference.writer import PhotoWriter

SHOWN = 10
SOME_UNUSABLE = 3


@exit_on_user_error
def main() -> None:
    """Write masks for every photo of a file, folder, pattern or list, or for a video."""
    options = parse_arguments()
    if is_video(options.input):
        segment_video(options)
    else:
        segment_photos(options)


def segment_photos(options: argparse.Namespace) -> None:
    """Write masks for every photo."""
    found = find_inputs(options.input, leave_out=options.output)
    weights = options.weights or default_weights()
    opened = open_from(options, weights, threads=1)  # a call; as many calls at once as there are threads
    finder = finder_from(options, opened)
    kinds = chosen_kinds(options.save, opened.model.outputs)
    settings = settings_from(options, source=found.root, weights=weights, finder=finder, kinds=kinds)
    if options.dry_run:
        print_plan(settings, weights, f"{', '.join(kinds)} of {len(found.photos)} photos into {options.output}")
        return
    folder = MaskFolder(options.output, settings=settings, kinds=kinds)
    pipeline = Pipeline(
        opened.model,
        new_locator=finder.new_locator,
        write=PhotoWriter(folder.path, kinds, model=opened.model, per_face=options.per_face),
        threads=options.threads,
        batch_size=options.batch_size or opened.batch_size,
        on_gpu=opened.on_gpu,
        refiner=opened.refiner,
    )
    with folder.held():
        todo = [photo for photo in found.photos if not folder.is_done(photo)]
        reused = len(found.photos) - len(todo)
        rows = folder.record(pipeline.run(todo))
        for _ in tqdm(rows, desc="infer", total=len(found.photos), initial=reused, unit="photo"):
            pass
    report((folder.rows[photo.id] for photo in found.photos), reused=reused, folder=folder.path, kinds=kinds)


def segment_video(options: argparse.Namespace) -> None:
    """Write videos of the results of one video or webcam."""
    video = video_of(options.input)
    weights = options.weights or default_weights()
    opened = open_from(options, weights, threads=options.threads)
    finder = finder_from(options, opened)
    kinds = video_kinds(chosen_kinds(options.save, opened.model.outputs), asked=options.save is not None)
    settings = settings_from(options, source=video.path, weights=weights, finder=finder, kinds=kinds)
    settings |= {"smoothing": not options.no_smoothing, "max_frames": options.max_frames}
    if options.dry_run:
        print_plan(settings, weights, f"{', '.join(kinds)} of {options.input} into {options.output}")
        return
    with VideoReader(options.input) as reader:
        folder = MaskFolder(options.output, settings=settings, kinds=kinds)
        with folder.held():
            if folder.is_done(video):
                print(f"{video.id}: done by an earlier run")
                return
            segmenter = VideoSegmenter(
                opened.model,
                finder.new_locator(),
                fps=reader.fps,
                smoothing=None if options.no_smoothing else Smoothing(),
                refiner=opened.refiner,
            )
            row = run_video(
                reader, segmenter, video=video, folder=folder.path, kinds=kinds, max_frames=options.max_frames
            )
            list(folder.record([row]))
    report_video(row, folder.path)


def print_plan(settings: Mapping[str, Any], weights: Path, what: str) -> None:
    """Print what a run would do."""
    print(json.dumps({**settings, "weights": str(weights)}, indent=2))
    print(f"# dry run: would write {what}")


def open_from(options: argparse.Namespace, weights: Path, *, threads: int) -> OpenModel:
    """Return the model that the options ask for; one call of it uses so many threads."""
    return open_model(
        weights,
        runtime=options.runtime,
        device=options.device,
        threads=threads,
        precision=options.precision,
        compiled=options.compile,
        flip=options.flip,
        multi_scale=options.multi_scale,
        refine=options.refine,
    )


def finder_from(options: argparse.Namespace, opened: OpenModel) -> FaceFinder:
    """Return how the options say that faces are found, after telling the reader."""
    finder = build_finder(
        opened.model,
        detector=options.detector,
        aligned=options.aligned,
        landmarks=options.landmarks,
        max_faces=options.max_faces,
        min_size_px=options.min_size,
    )
    print(finder.why)
    return finder


def settings_from(
    options: argparse.Namespace, *, source: Path, weights: Path, finder: FaceFinder, kinds: Sequence[str]
) -> dict[str, Any]:
    """Return what decides the results, as plain values."""
    return {
        "input": str(source.resolve()),
        "weights_sha256": sha256(weights),
        "faces_by": finder.name,
        "max_faces": options.max_faces,
        "min_size_px": options.min_size,
        "precision": options.precision,
        "flip": options.flip,
        "multi_scale": options.multi_scale,
        "refine": list(options.refine),
        "per_face": options.per_face,
        "save": list(kinds),
    }


def report(rows: Iterable[Row], *, reused: int, folder: Path, kinds: Sequence[str]) -> None:
    """Print what came out, and the first photos that could not be used; exit with 3 if there is one.

    Args:
        rows: of all photos; read once, so that none needs to be held.
        reused: how many are from an earlier run.
        folder: with the results.
        kinds: of results.

    Raises:
        UserError: no photo could be used.
    """
    counts: Counter[str] = Counter()
    failed: list[str] = []
    faces = 0
    for row in rows:
        counts[row["outcome"]] += 1
        faces += len(row.get("faces", ()))
        if "reason" in row:
            failed.append(row["reason"])
    reasons = "".join(f"\n  {reason}" for reason in failed[:SHOWN])
    more = f"\n  and {len(failed) - SHOWN} more, see {folder / FACES_NAME}" if len(failed) > SHOWN else ""
    if len(failed) == counts.total():
        raise UserError(f"none of the {counts.total()} photos could be used:{reasons}{more}")
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    print(f"{counts.total()} photos ({reused} from an earlier run): {outcomes}; {faces} faces")
    for kind in kinds:
        print(folder / kind)
    print(folder / FACES_NAME)
    if failed:
        print(f"{len(failed)} photos could not be used:{reasons}{more}", file=sys.stderr)
        sys.exit(SOME_UNUSABLE)


def report_video(row: Row, folder: Path) -> None:
    """Print what came out; exit with 3 if the end of the video is missing."""
    print(f"{row['id']}: {row['frames']} frames")
    for path in row["files"].values():
        print(folder / path)
    if row["problem"]:
        print(row["problem"], file=sys.stderr)
        sys.exit(SOME_UNUSABLE)


if __name__ == "__main__":
    main()
