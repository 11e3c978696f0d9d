"""Published data sets on disk, read as records of photos with masks of the visible face.

One module a family, its tree in the module's docstring; `READERS` in `read.py` names every layout:

folders        folder, realocc, realocc_wild, faceocc_cofw, occluded_dev
celebamask_hq  celebamask_hq, celebamask_hq_wo, celebamask_hq_o, with corrected masks, too
cofw           cofw (MATLAB 7.3), cofw68
faceocc        faceocc_ffhq, faceocc_celebahq
part_labels    lapa, helen, lfw_pl
identities     lfw, mlfw, mfr2: photos and pairs without masks (`read_face_pairs`)
egohands       egohands: photos of hands
own            prepared: `python -m face_align`, `python -m occlusion_gen`, `python -m datasets pack`

A reader looks at the whole set before anything is scored and tells all faults at once.
"""

from datasets.test_sets.identities import FacePairs, Pair, read_face_pairs
from datasets.test_sets.read import build_test_set, examine, read_test_set, register_layout
from datasets.test_sets.record import Problem, Problems, Request, TestImage
from datasets.test_sets.truth import read_full, read_parts, read_photo, read_truth

__all__ = [
    "FacePairs",
    "Pair",
    "Problem",
    "Problems",
    "Request",
    "TestImage",
    "build_test_set",
    "examine",
    "read_face_pairs",
    "read_full",
    "read_parts",
    "read_photo",
    "read_test_set",
    "read_truth",
    "register_layout",
]
