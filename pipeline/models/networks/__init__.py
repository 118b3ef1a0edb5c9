"""Feature extractors by name: the papers' networks, a file each, and timm's."""
