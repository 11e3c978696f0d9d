"""From an occluder in the frame of the face to a believable part of the photo."""
