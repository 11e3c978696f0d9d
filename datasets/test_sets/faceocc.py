"""Readers of the training material in FaceOcc's release (Yin and Chen 2022); its test set is layout `faceocc_cofw`.

faceocc_ffhq      ffhq/{id}.png RGBA photo, alpha = occluder   ffhqMask/{id}.pkl label map in FaceOcc's own coding 1..12
faceocc_celebahq  CelebAHQ/{i}.png RGBA photo, alpha = occluder (256 px, hand-labelled); no label of the face

The pickles are read by an unpickler that admits nothing but arrays. internet/ and texture/ hold occluders for
`occlusion_gen`, not faces.
"""

from __future__ import annotations

from datasets.test_sets.listing import by_name
from datasets.test_sets.record import Problem, Problems, Request, TestImage, note


def read_faceocc_ffhq(request: Request, problems: Problems) -> list[TestImage]:
    """Return FFHQ's photos: the face of the label map without what alpha marks."""
    photos, labels = request.root / "ffhq", request.root / "ffhqMask"
    photo_of = by_name(photos, problems)
    if not labels.is_dir():
        problems.append(Problem(f"the folder {labels} is missing"))
        return []
    label_of = {path.stem: path for path in sorted(labels.glob("*.pkl"))}
    note(problems, f"photos without a label map in {labels}", photo_of.keys() - label_of.keys())
    note(problems, f"label maps without a photo in {photos}", label_of.keys() - photo_of.keys())
    return [
        TestImage(name, path, label_of[name], coding="faceocc", occluder=path, subject=f"ffhq_{name}")
        for name, path in photo_of.items()
        if name in label_of
    ]


def read_faceocc_celebahq(request: Request, problems: Problems) -> list[TestImage]:
    """Return CelebA-HQ's aligned photos with their occluders; what is face, CelebAMask-HQ's own labels tell."""
    photo_of = by_name(request.root / "CelebAHQ", problems)
    return [TestImage(name, path, occluder=path, subject=name) for name, path in photo_of.items()]
