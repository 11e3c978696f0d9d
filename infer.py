"""Masks for photos: `python infer.py INPUT OUTPUT`.

    OUTPUT/visible/{name}.png       where the face can be seen, 0/255, at the photo's own size
    OUTPUT/probability/{name}.png   its probability, 0..255
    OUTPUT/overlay/{name}.jpg       the photo with the visible face in blue
    OUTPUT/full/{name}.png          the face as if nothing stood in front of it       (models that predict it)
    OUTPUT/occluder/{name}.png      the part of it that is hidden                     (models that predict it)
    OUTPUT/faces.jsonl              one line a photo: outcome, and each face with its crop and occlusion ratio
    OUTPUT/infer.json               the settings; the same command goes on where it stopped

Sub-folders of INPUT are kept. Of several faces in a photo all are marked, in one mask.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.cli import parser
from common.errors import RecordError, UserError, exit_on_user_error
from common.geometry import apply_to_image
from common.image_io import read_image
from common.manifest import Row, sha256
from common.photo_list import Photo, find_photos
from face_align.detect import YuNetDetector, find_yunet, yunet_folders
from face_align.locate import CropRule, Location, Locator, by_detector, by_landmarks, whole_photo
from inference.mask_folder import FACES_NAME, MaskFolder
from inference.photo_masks import KINDS_OF_FULL, SAVED_KINDS, occlusion_ratio, save_photo, to_patch, to_photo
from models.predictor import CropPredictor

DEFAULT_WEIGHTS = Path(__file__).resolve().parent / "weights" / "occface_default.safetensors"
PENDING_PIXELS = 64_000_000  # photos that wait for a full batch are held in memory up to this size
SHOWN = 10

EXAMPLES = """  python infer.py photos runs/masks --weights runs/sample/train/checkpoints/best.safetensors
  python infer.py portrait.jpg runs/masks --largest --save visible,overlay
  python infer.py 'photos/*.png' runs/masks --aligned --device cuda --batch-size 64"""


class Pending(NamedTuple):
    """A photo whose crops wait for the network."""

    photo: Photo
    image: NDArray[np.uint8]
    digest: str
    locations: list[Location]


@exit_on_user_error
def main() -> None:
    """Write masks for every photo of a file, folder or pattern."""
    options = parse_arguments()
    found = find_photos(options.input, leave_out=options.output)
    weights = options.weights or default_weights()
    alignment = check_alignment(options)
    predictor = CropPredictor.from_file(weights, device=options.device)
    kinds = chosen_kinds(options.save, predictor)
    settings = {
        "input": str(found.root.resolve()),
        "weights_sha256": sha256(weights),
        "alignment": alignment,
        "max_faces": options.max_faces,
        "save": list(kinds),
    }
    if options.dry_run:
        print(json.dumps({**settings, "weights": str(weights)}, indent=2))
        print(f"# dry run: would write {', '.join(kinds)} of {len(found.photos)} photos into {options.output}")
        return
    folder = MaskFolder(options.output, settings=settings, kinds=kinds)
    locate = build_locator(options, predictor)
    todo = [photo for photo in found.photos if not folder.is_done(photo)]
    work = segment(todo, folder=folder, predictor=predictor, locate=locate, batch_size=options.batch_size)
    reused = len(found.photos) - len(todo)
    rows = folder.record(work)
    for _ in tqdm(rows, desc="infer", total=len(found.photos), initial=reused, unit="photo"):
        pass
    report([folder.rows[photo.id] for photo in found.photos], reused=reused, folder=folder, kinds=kinds)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    arguments = parser("Write masks of the visible face for photos.", EXAMPLES)
    arguments.add_argument("input", metavar="INPUT", help="a photo, a folder (with sub-folders) or a pattern in quotes")
    arguments.add_argument("output", metavar="OUTPUT", type=Path, help="folder to write into")
    arguments.add_argument("--weights", type=Path, help=f"a .safetensors file of train.py (default: {DEFAULT_WEIGHTS})")
    source = arguments.add_mutually_exclusive_group()
    source.add_argument("--detector", choices=["yunet"], default="yunet", help="how faces are found (%(default)s)")
    source.add_argument("--aligned", action="store_true", help="each image is a face crop already; nothing is searched")
    source.add_argument(
        "--landmarks", type=Path, metavar="DIR", help="DIR/{name}.npy holds the landmarks of each photo"
    )
    number = arguments.add_mutually_exclusive_group()
    number.add_argument("--largest", dest="max_faces", action="store_const", const=1, help="only the largest face")
    number.add_argument("--max-faces", type=positive, metavar="N", help="only the N largest faces (default: all)")
    arguments.add_argument(
        "--save", type=kinds_from, metavar="KIND,...", help=f"of {', '.join(SAVED_KINDS)} (default: all)"
    )
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (%(default)s)")
    arguments.add_argument("--batch-size", type=positive, default=8, metavar="N", help="faces at once (%(default)s)")
    arguments.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    return arguments.parse_args()


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def kinds_from(text: str) -> tuple[str, ...]:
    """Return the kinds named in "visible,overlay", in the order of `SAVED_KINDS`."""
    names = {name.strip() for name in text.split(",")}
    if unknown := sorted(names - set(SAVED_KINDS)):
        raise argparse.ArgumentTypeError(f"unknown {unknown}; known: {', '.join(SAVED_KINDS)}")
    return tuple(kind for kind in SAVED_KINDS if kind in names)


def default_weights() -> Path:
    """Return the weights that lie in the repository.

    Raises:
        UserError: there are none.
    """
    if not DEFAULT_WEIGHTS.is_file():
        raise UserError(
            f"no weights: {DEFAULT_WEIGHTS} does not exist; give a file with --weights, or train one: "
            "`bash scripts/quickstart.sh` makes a small one in minutes and says where it lies"
        )
    return DEFAULT_WEIGHTS


def check_alignment(options: argparse.Namespace) -> str:
    """Return how crops are found, in words that go into the settings.

    Raises:
        UserError: the landmarks' folder or the detector is missing.
    """
    if options.aligned:
        return "aligned"
    if options.landmarks is not None:
        if not options.landmarks.is_dir():
            raise UserError(f"{options.landmarks}: expected a folder with the landmarks of each photo, {{name}}.npy")
        return f"landmarks in {options.landmarks.resolve()}"
    if find_yunet() is None:
        folders = " and ".join(str(folder) for folder in yunet_folders())
        raise UserError(
            f"no YuNet face detector in {folders}, so faces in photos cannot be found. Either\n"
            "  put yunet_n_640_640.onnx or face_detection_yunet_2023mar.onnx (OpenCV Zoo) there, or into a folder "
            "that the variable OCCFACE_WEIGHTS names,\n"
            "  or add --landmarks DIR with a .npy file of landmarks for each photo,\n"
            "  or add --aligned if the images are face crops already"
        )
    return "yunet"


def build_locator(options: argparse.Namespace, predictor: CropPredictor) -> Locator:
    """Return what says where the crops of a photo lie."""
    rule = CropRule(predictor.method, predictor.template, predictor.size)
    if options.aligned:
        return whole_photo(size=predictor.size)
    if options.landmarks is not None:
        return by_landmarks(options.landmarks, rule)
    path = find_yunet()
    assert path is not None  # see check_alignment
    return by_detector(YuNetDetector(path), rule, max_faces=options.max_faces)


def chosen_kinds(asked: tuple[str, ...] | None, predictor: CropPredictor) -> tuple[str, ...]:
    """Return what is written for each photo.

    Raises:
        UserError: a kind was asked for that the model does not predict.
    """
    possible = tuple(kind for kind in SAVED_KINDS if "full" in predictor.outputs or kind not in KINDS_OF_FULL)
    if asked and (missing := sorted(set(asked) - set(possible))):
        raise UserError(f"--save {','.join(missing)}: these weights predict {', '.join(predictor.outputs)} only")
    return asked or possible


def segment(
    photos: Sequence[Photo], *, folder: MaskFolder, predictor: CropPredictor, locate: Locator, batch_size: int
) -> Iterator[Row]:
    """Yield the row of each photo after writing its results; faces of several photos share a batch.

    A photo that cannot be used gets a row with the reason, and the rest goes on.
    """
    pending: list[Pending] = []
    for photo in photos:
        try:
            image = read_image(photo.path)
            pending.append(Pending(photo, image, sha256(photo.path), locate(image, photo.name)))
        except RecordError as error:
            yield {"id": photo.id, "outcome": error.outcome, "reason": str(error)}
        faces = sum(len(waiting.locations) for waiting in pending)
        if faces >= batch_size or sum(waiting.image[..., 0].size for waiting in pending) >= PENDING_PIXELS:
            yield from finish(pending, folder=folder, predictor=predictor, batch_size=batch_size)
            pending = []
    yield from finish(pending, folder=folder, predictor=predictor, batch_size=batch_size)


def finish(
    pending: Sequence[Pending], *, folder: MaskFolder, predictor: CropPredictor, batch_size: int
) -> Iterator[Row]:
    """Yield the rows of photos whose faces were found, after predicting and writing their masks."""
    crop_size = (predictor.size, predictor.size)
    crops = [
        apply_to_image(location.photo_to_crop, waiting.image, size=crop_size)
        for waiting in pending
        for location in waiting.locations
    ]
    batches = [np.stack(crops[start : start + batch_size]) for start in range(0, len(crops), batch_size)]
    answers = (answer for batch in batches for answer in predictor.predict_crops(batch))  # each (K, S, S)
    for waiting in pending:
        size = waiting.image.shape[:2]
        patches = [to_patch(next(answers), location.photo_to_crop, size) for location in waiting.locations]
        merged = to_photo(patches, size, outputs=len(predictor.outputs))
        save_photo(folder.paths_of(waiting.photo), waiting.image, merged, threshold=predictor.threshold)
        ratios = [occlusion_ratio(patch.probabilities, threshold=predictor.threshold) for patch in patches]
        yield {
            "id": waiting.photo.id,
            "outcome": "ok" if patches else "no_face",
            "sha256": waiting.digest,
            "photo_size": list(size),
            "faces": [face_row(*pair) for pair in zip(waiting.locations, ratios, strict=True)],
        }


def face_row(location: Location, ratio: float | None) -> Row:
    """Return one face of a photo as plain numbers; what is not known is None."""
    face, points = location.face, location.points
    return {
        "box": None if face is None else [round(value, 2) for value in face.box],
        "score": None if face is None else round(face.score, 4),
        "points": None if points is None else points.round(3).tolist(),
        "photo_to_crop": location.photo_to_crop.round(8).tolist(),
        "occlusion_ratio": None if ratio is None else round(ratio, 4),
    }


def report(rows: Sequence[Row], *, reused: int, folder: MaskFolder, kinds: Sequence[str]) -> None:
    """Print what came out, and every photo that could not be used.

    Raises:
        UserError: no photo could be used.
    """
    failed = [row for row in rows if "reason" in row]
    reasons = "".join(f"\n  {row['reason']}" for row in failed[:SHOWN])
    more = f"\n  and {len(failed) - SHOWN} more, see {folder.path / FACES_NAME}" if len(failed) > SHOWN else ""
    if len(failed) == len(rows):
        raise UserError(f"none of the {len(rows)} photos could be used:{reasons}{more}")
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in Counter(row["outcome"] for row in rows).items())
    faces = sum(len(row.get("faces", ())) for row in rows)
    print(f"{len(rows)} photos ({reused} from an earlier run): {outcomes}; {faces} faces")
    for kind in kinds:
        print(folder.path / kind)
    print(folder.path / FACES_NAME)
    if failed:
        print(f"{len(failed)} photos could not be used:{reasons}{more}", file=sys.stderr)


if __name__ == "__main__":
    main()
