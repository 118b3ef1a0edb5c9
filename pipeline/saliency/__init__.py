"""Saliency maps: where a trained network sees a class, by methods that ask its backward pass."""
