"""Networks, losses, weights and the predictor."""
