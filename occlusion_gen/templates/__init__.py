"""Medical masks as sheets in a frame of the face, drawn or read from a folder, and the warp that puts them on."""
