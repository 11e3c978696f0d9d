"""Label maps of part ids for faces with medical masks: `python scripts/label_ffhq_masked.py ROOT OUT`.

ROOT/images/{id}.jpg   ROOT/labels/{id}.png (0 background, 1 face, 2 mask)   ROOT/ears_ignore/{id}.png (ears, 0/255)
OUT/{id}.png           skin, mask and ears as ids of common/labels.py, for `source.labels` of python -m face_align

The set calls ears face and others do not; with a class of their own the policy of the run decides.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from tqdm import tqdm

from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.image_io import list_images, read_label, read_mask, write_label
from common.labels import PART_ID

EXAMPLES = "  python scripts/label_ffhq_masked.py $OCCFACE_DATA/faces_train/ffhq_masked runs/mini/ffhq_masked_labels"
ID_OF = np.array([PART_ID["background"], PART_ID["skin"], PART_ID["mask"]], np.uint8)


@exit_on_user_error
def main() -> None:
    """Write one label map a photo."""
    arguments = parser("Write label maps of part ids for faces with medical masks.", EXAMPLES)
    arguments.add_argument("root", type=Path, metavar="ROOT", help="folder with labels/ and ears_ignore/")
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder to write into")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")
    options = arguments.parse_args()
    if not (options.root / "labels").is_dir():
        raise UserError(f"{options.root}: expected the folder labels/ in it, found none")
    paths = list_images(options.root / "labels")
    if options.dry_run:
        print(f"would write {len(paths)} label maps into {options.out}")
        return
    for path in tqdm(paths, unit="label"):
        write_label(options.out / path.name, label_of(path, options.root / "ears_ignore" / path.name))
    print(options.out)


def label_of(path: Path, ears_path: Path) -> np.ndarray:
    """Return the label map (H, W) uint8 of part ids; ears where `ears_path` exists.

    Raises:
        UserError: the label holds anything but 0, 1 and 2.
    """
    label = read_label(path)
    if label.max(initial=0) >= len(ID_OF):
        raise UserError(f"{path}: expected 0 background, 1 face, 2 mask, found {np.unique(label).tolist()}")
    parts = ID_OF[label]
    if ears_path.is_file():
        parts[read_mask(ears_path) & (parts == PART_ID["skin"])] = PART_ID["l_ear"]
    return parts


if __name__ == "__main__":
    main()
