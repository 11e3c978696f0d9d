"""`python scripts/make_pictures.py`: draw the README's picture from what the quickstart leaves behind."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.image_io import list_images, read_image, read_label, write_image
from common.labels import FacePolicy, visible_mask
from common.manifest import read_samples
from common.visualize import blend, colour_labels, contact_sheet

COLUMNS = 7
EXAMPLES = "  python scripts/make_pictures.py\n  python scripts/make_pictures.py --runs /elsewhere/runs/sample"
CAPTIONS = (
    "1  drawn photo",
    "2  aligned crop, part labels",
    "3  synthetic occlusion (NatOcc, RandOcc)",
    "4  its exact label: the visible face",
    "5  prediction on unseen faces and occluders",
)


@exit_on_user_error
def main() -> None:
    """Write docs/pictures/overview.jpg."""
    arguments = parser("Make the README's picture.", EXAMPLES)
    arguments.add_argument("--runs", type=Path, default=Path("runs/sample"), help="folder of the quickstart")
    arguments.add_argument("--out", type=Path, default=Path("docs/pictures/overview.jpg"))
    arguments.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")
    options = arguments.parse_args()
    if options.dry_run:
        print(f"would write {options.out} from {options.runs}")
        return
    overlays = list_images(options.runs / "masks" / "overlay")
    if len(overlays) < COLUMNS:
        raise UserError(f"{options.runs}: expected the outputs of `bash scripts/quickstart.sh`; run it first")
    rows: list[list] = [[], [], [], [], []]
    for column in range(COLUMNS):
        occluded = options.runs / ("natocc" if column % 3 else "randocc")
        row = read_samples(occluded)[column]
        label = read_label(options.runs / "aligned" / "labels" / f"{row['id']}.png")
        composite = read_image(occluded / row["files"]["image"])
        visible = visible_mask(read_label(occluded / row["files"]["label"]), FacePolicy())
        rows[0].append(read_image(options.runs / "world" / "CelebAMask-HQ" / "CelebA-HQ-img" / f"{row['id']}.jpg"))
        rows[1].append(colour_labels(label))
        rows[2].append(composite)
        rows[3].append(blend(composite, visible))
        rows[4].append(read_image(overlays[column]))
    write_image(options.out, contact_sheet(rows, tile_px=150, captions=CAPTIONS), quality=88)
    print(options.out)


if __name__ == "__main__":
    main()
