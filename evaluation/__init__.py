"""Scores, protocols, comparison and reports; knows masks and probabilities, no network and no data set."""
