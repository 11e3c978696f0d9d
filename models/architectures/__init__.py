"""Networks that segmentation-models-pytorch does not have, or not with all their heads."""
