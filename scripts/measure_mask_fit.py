"""How far drawn masks sit from where they belong: `python scripts/measure_mask_fit.py POINTS`.

POINTS is a folder with a file of 68 landmarks a face. Told for the spline and for the published homography: the mean
distance of the six key points of a mask from their landmarks, in percent of the distance of the outer eye corners.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.errors import UserError, exit_on_user_error
from face_align.landmarks import read_landmarks
from occlusion_gen.templates.fit import PROPER_SEAT, Warp, fit_mask, read_head
from occlusion_gen.templates.frame import KEY_PLACES, KEY_POINTS

BULGE = 0.03  # of a surgical mask


def six_point_residual(points: NDArray[np.float64], warp: Warp) -> float:
    """Return the mean distance of the six key points from their landmarks, % of the outer-eye distance.

    Args:
        points: (68, 2) in the order of iBUG 300-W.
    """
    head = read_head(points)
    places = np.array(list(KEY_PLACES.values()))
    if warp == "spline":  # it draws the far cheek in, where a turned head hides it
        far = places[:, 0] * head.far_side > 0
        places[far, 0] *= head.far_share
    found = fit_mask(head, seat=PROPER_SEAT, bulge=BULGE, warp=warp).place_px(places)
    distances = np.linalg.norm(found - points[list(KEY_POINTS.values())], axis=1)
    return float(100 * distances.mean() / np.linalg.norm(points[36] - points[45]))


@exit_on_user_error
def main() -> None:
    """Print median and 95th percentile over the faces."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("points", type=Path, metavar="POINTS", help="e.g. $OCCFACE_DATA/landmarks68/pts68")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be measured, and stop")
    options = arguments.parse_args()
    paths = sorted(path for path in options.points.glob("*") if path.is_file())
    if not paths:
        raise UserError(f"{options.points}: expected a folder with a file of 68 points a face, found none")
    if options.dry_run:
        print(f"would measure masks on {len(paths)} faces")
        return
    faces = [read_landmarks(path) for path in paths]
    for warp in get_args(Warp):
        found = np.array([six_point_residual(points, warp) for points in faces])
        middle, high = np.percentile(found, [50, 95])
        print(f"{warp:12} median {middle:5.2f} %   95 % below {high:5.2f} %   n {len(found)}")


if __name__ == "__main__":
    main()
