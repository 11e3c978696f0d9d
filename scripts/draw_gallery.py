"""What the model does on photos, for the eye: `python scripts/draw_gallery.py PHOTOS OUT`.

Takes N photos of a folder, chosen by a hash of their names and so the same ones every time, leaves out those that a
development set holds, too, and writes OUT/gallery.jpg (photo, visible face, and what hides it) with OUT/gallery.txt.
The repository holds no such picture: the terms of most photo sets forbid it.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.image_io import list_images, read_image, write_bytes, write_image
from common.visualize import INVENTED_YELLOW, blend, contact_sheet
from inference import Predictor

Image8 = NDArray[np.uint8]

PHOTOS_A_ROW = 3
EXAMPLES = """  python scripts/draw_gallery.py $OCCFACE_DATA/landmarks68/images runs/gallery \\
      --without $OCCFACE_DATA/occluded_dev/helen_afw/images
  python scripts/draw_gallery.py holiday runs/gallery -n 60 --weights runs/mine/checkpoints/best.safetensors"""


@exit_on_user_error
def main() -> None:
    """Write the gallery and the list of its photos."""
    arguments = parser("Draw what the model does on photos.", EXAMPLES)
    arguments.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of photos")
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder to write into")
    arguments.add_argument("--without", type=Path, nargs="*", default=[], help="folders whose photos are left out")
    arguments.add_argument("-n", type=int, default=30, metavar="N", help="photos (%(default)s)")
    arguments.add_argument("--weights", type=Path, help="a model of visible faces (the shipped one)")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be drawn, and stop")
    options = arguments.parse_args()
    if options.n < 1:
        raise UserError(f"-n: expected at least one photo, found {options.n}")
    chosen = choose(list_images(options.photos), without=options.without, count=options.n)
    if options.dry_run:
        print(f"would draw {len(chosen)} photos of {options.photos} into {options.out}")
        return
    predictor = Predictor.from_file(options.weights)
    triples = [_triple(predictor, path) for path in tqdm(chosen, unit="photo")]
    parts = [triples[i : i + PHOTOS_A_ROW] for i in range(0, len(triples), PHOTOS_A_ROW)]
    rows = [list(itertools.chain.from_iterable(part)) for part in parts]
    write_image(options.out / "gallery.jpg", contact_sheet(rows, tile_px=220), quality=90)
    lines = [f"{i // PHOTOS_A_ROW + 1}.{i % PHOTOS_A_ROW + 1} {path.name}\n" for i, path in enumerate(chosen)]
    write_bytes(options.out / "gallery.txt", "".join(lines).encode(errors="backslashreplace"))
    print(options.out / "gallery.jpg")


def choose(paths: list[Path], *, without: list[Path], count: int) -> list[Path]:
    """Return `count` photos by the hash of their names, none of which lies under the same name in `without`.

    Raises:
        UserError: no photo is left.
    """
    excluded = {path.stem for folder in without for path in list_images(folder)}
    left = [path for path in paths if path.stem not in excluded]
    if not left:
        raise UserError(f"{len(paths)} photos, and none is left; name another folder, or fewer with --without")
    return sorted(left, key=lambda path: hashlib.sha256(path.name.encode(errors="surrogateescape")).digest())[:count]


def _triple(predictor: Predictor, path: Path) -> list[Image8]:
    """Return photo, visible face and occluder, each on a square."""
    photo = read_image(path)
    masks = predictor(photo)
    occluder = np.zeros(photo.shape[:2], np.bool_) if masks.occluder is None else masks.occluder
    return [photo, blend(photo, masks.visible), blend(photo, occluder, colour=INVENTED_YELLOW)]


if __name__ == "__main__":
    main()
