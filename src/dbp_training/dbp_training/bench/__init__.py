"""Measurements of the training, each against a reference in the same run."""
