"""Sets for recognition: LFW, MLFW and MFR2, with several photos of each person; and EgoHands' frames.

LFW       lfw/{Name}/{Name}_{0001}.jpg   pairs.txt
MLFW      aligned/{Name}_{0001}_{0000}.jpg (112 px, masks worn)   pairs.txt "name1 name2 label"
MFR2      mfr2/{Name}/{Name}_{0001}.png (160 px)   mfr2_labels.txt "Name, number, mask-type"   pairs.txt
EgoHands  _LABELLED_SAMPLES/{video}/frame_{0000}.jpg   metadata.mat
"""

from __future__ import annotations

import importlib
import io
from typing import Any

from common.image_io import write_bytes, write_image
from common.seeding import generator
from datasets.sample_world.hand_pose import draw_hand
from datasets.sample_world.hands import hand_picture
from datasets.sample_world.lighting import draw_light
from datasets.sample_world.published.draw import (
    JPEG_QUALITY,
    STREAMS,
    Plan,
    draw,
    resized,
    write_landmarks,
)

PHOTOS_A_PERSON = 2
MLFW_SIDE_PX, MFR2_SIDE_PX = 112, 160


def person_name(number: int) -> str:
    """Return the name of a drawn person."""
    return f"Drawn_Person{number:03d}"


def write_lfw(plan: Plan) -> None:
    """Write two photos of each person, and pairs of the same and of different people."""
    people = _people(plan)
    for index in range(people * PHOTOS_A_PERSON):
        person, number = divmod(index, PHOTOS_A_PERSON)
        drawn = draw(plan, "LFW", index, kind="none", person=person)
        name = f"{person_name(person)}/{person_name(person)}_{number + 1:04d}"
        write_image(plan.out / "lfw" / f"{name}.jpg", drawn.image, quality=JPEG_QUALITY)
        write_landmarks(plan.out, name, drawn)
    write_bytes(plan.out / "pairs.txt", _lfw_pairs(people).encode())


def write_mlfw(plan: Plan) -> None:
    """Write faces with and without masks of 112 px in one folder, and the pairs."""
    people = _people(plan)
    for index in range(people * PHOTOS_A_PERSON):
        person, number = divmod(index, PHOTOS_A_PERSON)
        drawn = draw(plan, "MLFW", index, kind="mask" if number else "none", person=person)
        drawn = resized(drawn, MLFW_SIDE_PX)
        write_image(plan.out / "aligned" / f"{_mlfw_name(person, number)}.jpg", drawn.image, quality=JPEG_QUALITY)
        write_landmarks(plan.out, _mlfw_name(person, number), drawn)
    same = [f"{_mlfw_name(person, 0)}.jpg {_mlfw_name(person, 1)}.jpg 1\n" for person in range(people)]
    other = [f"{_mlfw_name(person, 1)}.jpg {_mlfw_name((person + 1) % people, 1)}.jpg 0\n" for person in range(people)]
    write_bytes(plan.out / "pairs.txt", "".join(same + other).encode())


def write_mfr2(plan: Plan) -> None:
    """Write photos of 160 px by person, the list of mask types, and the pairs."""
    people, lines = _people(plan), ["person, image_number, mask_type\n"]
    for index in range(people * PHOTOS_A_PERSON):
        person, number = divmod(index, PHOTOS_A_PERSON)
        drawn = resized(draw(plan, "MFR2", index, kind="mask" if number else "none", person=person), MFR2_SIDE_PX)
        name = f"{person_name(person)}/{person_name(person)}_{number + 1:04d}"
        write_image(plan.out / "mfr2" / f"{name}.png", drawn.image)
        write_landmarks(plan.out, name, drawn)
        lines.append(f"{person_name(person)}, {number + 1}, {'surgical' if number else 'no-mask'}\n")
    write_bytes(plan.out / "mfr2_labels.txt", "".join(lines).encode())
    write_bytes(plan.out / "pairs.txt", _lfw_pairs(people).encode())


def write_egohands(plan: Plan) -> None:
    """Write a few frames a video and a metadata.mat without polygons."""
    for index in range(plan.faces):
        video = ("CARDS_OFFICE_B_T", "PUZZLE_LIVINGROOM_S_H")[index % 2]
        rng = generator(plan.seed, STREAMS["EgoHands"], index)
        picture, _ = hand_picture(draw_hand(rng), draw_light(rng), unit_px=max(24.0, plan.photo_size * 0.2), rng=rng)
        path = plan.out / "_LABELLED_SAMPLES" / video / f"frame_{index // 2:04d}.jpg"
        write_image(path, picture, quality=JPEG_QUALITY)
    stream = io.BytesIO()
    scipy_io: Any = importlib.import_module("scipy.io")
    scipy_io.savemat(stream, {"video": [["CARDS_OFFICE_B_T", "PUZZLE_LIVINGROOM_S_H"]]})
    write_bytes(plan.out / "metadata.mat", stream.getvalue())


def _people(plan: Plan) -> int:
    return max(2, plan.faces // PHOTOS_A_PERSON)


def _mlfw_name(person: int, number: int) -> str:
    return f"{person_name(person)}_{number + 1:04d}_0000"


def _lfw_pairs(people: int) -> str:
    """Return LFW's text: the number of pairs, then pairs of one person and pairs of two."""
    same = [f"{person_name(person)}\t1\t2\n" for person in range(people)]
    other = [f"{person_name(person)}\t1\t{person_name((person + 1) % people)}\t2\n" for person in range(people)]
    return "".join([f"1\t{people}\n", *same, *other])
