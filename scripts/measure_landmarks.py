"""How far detected landmarks lie from those set by hand: `python scripts/measure_landmarks.py DETECTED TRUTH`.

Prints the error of the five points of alignment, and of all points where both have the same scheme, as a share of the
distance between the outer eye corners (68 points) or the eyes (five points) of the truth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.errors import UserError, exit_on_user_error
from face_align.detect_photos import LANDMARKS_NAME
from face_align.landmark_formats import LandmarkError, LandmarkRecord, open_landmarks, read_landmarks_jsonl
from face_align.landmarks import five_points

POINT_NAMES = ("image-left eye", "image-right eye", "nose tip", "image-left mouth corner", "image-right mouth corner")


def eye_distance(face: LandmarkRecord) -> float:
    """Return the distance that errors are given in, in pixels."""
    left, right = (36, 45) if face.scheme == "ibug68" else (0, 1)
    return float(np.linalg.norm(face.points[left] - face.points[right]))


def show(name: str, shares: NDArray[np.float64]) -> None:
    """Print mean, median and 95th percentile over the faces, in percent."""
    mean, median, high = 100 * np.array([shares.mean(), np.median(shares), np.percentile(shares, 95)])
    print(f"{name:28s} mean {mean:5.2f} %   median {median:5.2f} %   95 % below {high:6.2f} %")


@exit_on_user_error
def main() -> None:
    """Compare the largest detected face of each photo with the one set by hand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("detected", type=Path, help=f"a {LANDMARKS_NAME} of python -m face_align detect")
    parser.add_argument("truth", type=Path, help="landmarks set by hand, any known format")
    options = parser.parse_args()
    truth = open_landmarks(options.truth)
    found = [faces for faces in read_landmarks_jsonl(options.detected).values() if not isinstance(faces, LandmarkError)]
    pairs = [(face, truth.get(face.id)[0]) for faces in found for face in faces]
    if not pairs:
        raise UserError(f"{options.detected}: holds no face")
    five = np.array(
        [
            np.linalg.norm(five_points(face.points, face.scheme) - five_points(hand.points, hand.scheme), axis=1)
            / eye_distance(hand)
            for face, hand in pairs
        ]
    )  # (N, 5)
    print(f"{len(pairs)} faces")
    show("five points", five.mean(axis=1))
    for name, shares in zip(POINT_NAMES, five.T, strict=True):
        show(f"  {name}", shares)
    same = [(face, hand) for face, hand in pairs if face.scheme == hand.scheme == "ibug68"]
    if same:
        every = np.array([np.linalg.norm(one.points - two.points, axis=1) / eye_distance(two) for one, two in same])
        show("68 points", every.mean(axis=1))
        show("68 points without the jaw", every[:, 17:].mean(axis=1))


if __name__ == "__main__":
    main()
