"""How close colour transfer comes to a face, and how fast: `python scripts/measure_colour_transfer.py FACES HANDS`.

FACES is a folder that `python -m face_align` has filled, HANDS one of cut-outs as for occlusion. Each hand is put on a
face and its colours are moved. Told for each kind: the sliced Wasserstein distance between the colours of hand and
visible face (grey levels, mean over all pairs and seeds), in how many pairs it is no farther than `full` at its
worst seed, and the time on one core. `full` is sliced optimal transport of every pixel at full size, as published but
for the background. Needs POT (requirements-dev.txt).
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.errors import exit_on_user_error
from common.geometry import apply_to_image
from common.image_io import read_image, read_label
from common.labels import FacePolicy
from common.manifest import read_samples
from occlusion_gen.blending.colour_transfer import TransferKind, transfer_colours
from occlusion_gen.face import Face, Image8, Patch, make_face
from occlusion_gen.generators.placement import draw_placement, occluder_to_crop
from occlusion_gen.occluders.library import OccluderLibrary, open_occluders
from tests.occlusion_gen.blending.full_transport import colour_distance, full_transport

AREA = (0.4, 0.8)


def read_faces(folder: Path, count: int) -> list[Face]:
    """Return the first `count` faces of an aligned set of which something is visible."""
    faces = []
    for row in read_samples(folder):
        image, label = (folder / row["files"][name] for name in ("image", "label"))
        face = make_face(read_image(image), read_label(label), FacePolicy())
        if face.box is not None:
            faces.append(face)
        if len(faces) == count:
            break
    return faces


def put_on(face: Face, rgba: Image8, rng: np.random.Generator) -> Patch:
    """Return the cut-out (h, w, 4) somewhere on the face, as large as occluders are."""
    assert face.box is not None
    placement = draw_placement(rng, face.box, area=AREA, affine_share=0.7)
    size = face.label.shape
    matrix = occluder_to_crop(placement, occluder_size=rgba.shape[:2], box=face.box, rotate_toward_face=True)
    colour = apply_to_image(matrix, np.ascontiguousarray(rgba[..., :3]), size=size, fill="reflect")
    alpha = apply_to_image(matrix, np.ascontiguousarray(rgba[..., 3]), size=size, fill="black")
    rows, columns = (np.flatnonzero((alpha > 0).any(axis=axis)) for axis in (1, 0))
    region = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    cut = np.ascontiguousarray(alpha[region])
    return Patch(*region, np.ascontiguousarray(colour[region]), cut, cut)


def measure(face: Face, patch: Patch, *, seeds: int) -> dict[str, NDArray[np.float64]]:
    """Return for each kind an array (seeds, 2): distance to the face in grey levels, milliseconds."""
    opaque, target = patch.alpha > 127, face.image[face.visible]

    def full(seed: int) -> Image8:
        return full_transport(patch.colour, opaque, target, seed=seed)

    def ours(kind: TransferKind, seed: int) -> Image8:
        return transfer_colours(kind, patch=patch, face=face, seed=seed).colour

    ways = {"untouched": lambda seed: patch.colour, "full": full}
    ways |= {kind: partial(ours, kind) for kind in get_args(TransferKind)}
    found: dict[str, NDArray[np.float64]] = {}
    for name, way in ways.items():
        found[name] = np.zeros((seeds, 2))
        for seed in range(seeds):
            start = time.perf_counter()
            colour = way(seed)
            milliseconds = 1e3 * (time.perf_counter() - start)
            found[name][seed] = colour_distance(colour[opaque], target), milliseconds
    return found


def measure_all(faces: list[Face], hands: OccluderLibrary, *, seeds: int) -> dict[str, NDArray[np.float64]]:
    """Return for each kind an array (pairs, seeds, 2)."""
    pairs = []
    for index, face in enumerate(faces):
        rgba = hands[index * len(hands) // len(faces)]
        pairs.append(measure(face, put_on(face, rgba, np.random.default_rng(index)), seeds=seeds))
    return {kind: np.stack([pair[kind] for pair in pairs]) for kind in pairs[0]}


@exit_on_user_error
def main() -> None:
    """Print one line for each kind."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("faces", type=Path)
    parser.add_argument("hands", type=Path)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    faces = read_faces(options.faces, options.pairs)
    side_px = max(face.side_px for face in faces)
    hands = open_occluders(options.hands, split="train", holdout_share=0, max_side_px=side_px)
    found = measure_all(faces, hands, seeds=options.seeds)
    worst = found["full"][..., 0].max(axis=1)
    print(f"{len(faces)} hands on faces of {side_px} px, {options.seeds} seeds each")
    for kind, values in found.items():
        distance, milliseconds = values[..., 0], values[..., 1]
        within = int((distance.mean(axis=1) <= worst).sum())
        print(
            f"{kind:14s} distance {distance.mean():6.2f}   spread over seeds {np.ptp(distance, axis=1).mean():5.2f}   "
            f"as close as full {within:3d}/{len(faces)}   median {np.median(milliseconds):8.1f} ms"
        )


if __name__ == "__main__":
    main()
