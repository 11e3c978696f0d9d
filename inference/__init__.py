"""From photos to masks at their own size: where stages meet for `infer.py`, `eval.py` and other people's code."""

from inference.faces import FaceResult, PhotoMasks
from inference.predictor import Predictor

__all__ = ["FaceResult", "PhotoMasks", "Predictor"]
