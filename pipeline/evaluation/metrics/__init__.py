"""Metrics, a file per family: arrays in, numbers out."""
