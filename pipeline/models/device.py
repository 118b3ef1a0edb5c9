"""Where networks run, and on how many threads."""

import torch

from pipeline.processes import granted_cores


def compute_device() -> torch.device:
    """Return the GPU if there is one, otherwise the CPU, its threads limited."""
    limit_threads()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def limit_threads() -> None:
    """Let torch start no more threads than cores are granted.

    OpenMP knows of affinity, not of a container's quota: threads above it wait for each other.
    """
    torch.set_num_threads(min(torch.get_num_threads(), granted_cores()))
