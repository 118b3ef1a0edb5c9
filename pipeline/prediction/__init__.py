"""Boxes of a trained model for pictures of users."""
