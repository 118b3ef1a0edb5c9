"""Feature extractors by name: the papers' networks and SqueezeNet, a file each, and timm's."""
