"""A small world of faces and occluders, drawn by code alone, in the layouts of the published data sets."""

from datasets.sample_world.write import write_sample_world

__all__ = ["write_sample_world"]
