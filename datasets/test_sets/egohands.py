"""Reader of EgoHands (Bambach et al. 2015): photos of hands, for occluders; it has no masks of faces.

_LABELLED_SAMPLES/{video}/frame_{0000}.jpg (1280 x 720), 100 of each of 48 videos   metadata.mat (polygons)

`python -m occlusion_gen import egohands` cuts the hands out; here the photos are only listed and checked.
"""

from __future__ import annotations

from datasets.test_sets.listing import by_name
from datasets.test_sets.record import Problem, Problems, Request, TestImage

FOLDER = "_LABELLED_SAMPLES"


def read_egohands(request: Request, problems: Problems) -> list[TestImage]:
    """Return the frames; the subject is the video, which never stands in two splits."""
    if not (request.root / "metadata.mat").is_file():
        problems.append(Problem(f"{request.root / 'metadata.mat'} is missing", fix="unpack the whole archive"))
    return [
        TestImage(name, path, subject=name.partition("/")[0], occlusion_types=("hand",))
        for name, path in by_name(request.root / FOLDER, problems).items()
        if "/" in name
    ]
