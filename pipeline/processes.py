"""How many processes there may be: the machine's affair, never a parameter."""

import os


def packers() -> int:
    """Return how many processes pack: the machine's affair, never a parameter."""
    return len(os.sched_getaffinity(0))


def loaders() -> int:
    """Return how many processes decode images: the machine's affair, never a parameter."""
    return min(16, (os.cpu_count() or 1) - 1)
