"""From photos to masks at their own size: where stages meet for `infer.py`, `eval.py` and other people's code."""
