"""Scoring score maps that any tool has written, by the protocol of the pipeline."""
