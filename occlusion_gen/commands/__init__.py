"""Commands of `python -m occlusion_gen` beside the one that writes occluded sets."""
