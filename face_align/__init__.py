"""Photo and landmarks to crop, label map and one manifest row."""
