"""Occluders and textures from files: read, cut out, imported, split, and shared between processes."""
