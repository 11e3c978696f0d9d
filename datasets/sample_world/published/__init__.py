"""Small drawn sets in the layouts of the published ones, for tests and for trying out whole tables.

OUT/CelebAMask-HQ  OUT/RealOcc  OUT/RealOcc-Wild  OUT/COFW  OUT/FaceOcc  OUT/LFW-PL  OUT/LaPa  OUT/Helen  OUT/LFW
OUT/MLFW  OUT/MFR2  OUT/occluded_dev  OUT/EgoHands

Each set of photos has landmarks/{id}.npy beside it, our addition, for `crop: landmarks`.
"""

from datasets.sample_world.published.write import PUBLISHED_SETS, write_published_set

__all__ = ["PUBLISHED_SETS", "write_published_set"]
