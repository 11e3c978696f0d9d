"""`python scripts/make_pictures.py`: draw the pictures of README and docs from what the quickstart leaves behind."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np

from common.cli import parser
from common.config import load_config
from common.errors import UserError, exit_on_user_error
from common.image_io import list_images, read_image, read_label, write_image
from common.labels import PART_ID, FacePolicy, visible_mask
from common.manifest import read_samples
from common.seeding import generator
from common.visualize import Image8, blend, colour_labels, contact_sheet
from configs.schema import OcclusionJob, PoolSection
from inference import Predictor
from occlusion_gen.offline import landmarks_of
from occlusion_gen.synthesiser import build_synthesiser

COLUMNS = 7
PORTRAIT, PORTRAIT_SEED = np.s_[0:240, 100:340], (2, 3)
GENERATORS = ("natocc", "randocc", "paste", "hand_paste", "mask_template", "mask_polygon", "limb", "eyewear", "mix")
EXAMPLES = "  python scripts/make_pictures.py\n  python scripts/make_pictures.py --only occlusion"
CAPTIONS = (
    "1  drawn photo",
    "2  aligned crop, part labels",
    "3  synthetic occlusion (NatOcc, RandOcc)",
    "4  its exact label: the visible face",
    "5  prediction on unseen faces and occluders",
)


@exit_on_user_error
def main() -> None:
    """Write docs/pictures/overview.jpg, occlusion.jpg and portrait.jpg."""
    arguments = parser("Make the pictures of README and docs.", EXAMPLES)
    arguments.add_argument("--runs", type=Path, default=Path("runs/sample"), help="folder of the quickstart")
    arguments.add_argument("--out", type=Path, default=Path("docs/pictures"), help="folder to write to")
    arguments.add_argument("--only", choices=sorted(PICTURES), help="just one of them")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")
    options = arguments.parse_args()
    for name in [options.only] if options.only else sorted(PICTURES):
        path = options.out / f"{name}.jpg"
        if options.dry_run:
            print(f"would write {path} from {options.runs}")
            continue
        write_image(path, PICTURES[name](options.runs), quality=88)
        print(path)


def draw_overview(runs: Path) -> Image8:
    """Return drawn photos, crops, composites, labels and predictions, one row each."""
    overlays = list_images(runs / "masks" / "overlay")
    if len(overlays) < COLUMNS:
        raise UserError(f"{runs}: expected the outputs of `bash scripts/quickstart.sh`; run it first")
    rows: list[list[Image8]] = [[], [], [], [], []]
    for column in range(COLUMNS):
        occluded = runs / ("natocc" if column % 3 else "randocc")
        row = read_samples(occluded)[column]
        label = read_label(runs / "aligned" / "labels" / f"{row['id']}.png")
        composite = read_image(occluded / row["files"]["image"])
        visible = visible_mask(read_label(occluded / row["files"]["label"]), FacePolicy())
        rows[0].append(read_image(runs / "world" / "CelebAMask-HQ" / "CelebA-HQ-img" / f"{row['id']}.jpg"))
        rows[1].append(colour_labels(label))
        rows[2].append(composite)
        rows[3].append(blend(composite, visible))
        rows[4].append(read_image(overlays[column]))
    return contact_sheet(rows, tile_px=150, captions=CAPTIONS)


def draw_occlusion(runs: Path) -> Image8:
    """Return composites of each generator on drawn faces, one row each."""
    faces = runs / "aligned"
    world = runs / "world" / "CelebAMask-HQ"
    rows: list[list[Image8]] = []
    for line, name in enumerate(GENERATORS):
        textures = world.parent / "textures"
        section = load_config(Path("configs/occlude") / f"{name}.yaml", OcclusionJob, [f"data.root={world}"]).occlusion
        generators = {
            key: found.model_copy(update={"textures": textures} if getattr(found, "textures", None) is not None else {})
            for key, found in section.generators.items()
        }
        if name == "paste":  # the drawn world has no cut-outs of masks
            pools = (PoolSection(folder=world.parent / "occluders" / "objects"),)
            generators = {key: found.model_copy(update={"pools": pools}) for key, found in generators.items()}
        synthesiser = build_synthesiser(
            section.model_copy(update={"generators": generators, "clean_share": 0.0}),
            policy=FacePolicy(),
            split="train",
            max_side_px=256,
        )
        rows.append([])
        for column, row in enumerate(read_samples(faces, split="train")[line * COLUMNS :][:COLUMNS]):
            image, label = (read_image(faces / row["files"]["image"]), read_label(faces / row["files"]["label"]))
            sample = synthesiser(generator(1, column), image=image, label=label, landmarks=landmarks_of(row))
            rows[-1].append(sample.image)
    return contact_sheet(rows, tile_px=150, captions=GENERATORS)


def draw_portrait(runs: Path) -> Image8:
    """Return a photo of the public domain, without and with a drawn hand, and what the shipped model sees in each."""
    try:
        from skimage.data import astronaut  # NASA, public domain
    except ImportError as error:
        raise UserError("the portrait comes with scikit-image; pip install -r requirements-dev.txt") from error
    photo = np.ascontiguousarray(astronaut()[PORTRAIT])
    photo = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    predictor = Predictor.from_file()
    seen = predictor(photo).visible
    label = np.where(seen, PART_ID["skin"], PART_ID["background"]).astype(np.uint8)
    section = load_config(Path("configs/occlude/limb.yaml"), OcclusionJob).occlusion
    hands = build_synthesiser(section, policy=FacePolicy(), split="train", max_side_px=max(label.shape))
    occluded = hands(generator(*PORTRAIT_SEED), image=photo, label=label).image
    return contact_sheet(
        [[photo, blend(photo, seen), occluded, blend(occluded, predictor(occluded).visible)]], tile_px=260
    )


PICTURES = {"overview": draw_overview, "occlusion": draw_occlusion, "portrait": draw_portrait}


if __name__ == "__main__":
    main()
