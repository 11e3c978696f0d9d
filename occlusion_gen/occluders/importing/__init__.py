"""Occluders and textures out of published data sets, in the form that the library reads."""
