"""Crop and occluder to an occluded sample with its exact labels.

Every generator has two steps: `draw_params` makes all random decisions, `apply` is deterministic and pure.
"""
