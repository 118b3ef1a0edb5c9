"""Fetching the official archives of the data sets."""
