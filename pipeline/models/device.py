"""Where networks run, on how many threads, and how memory for maps is had."""

import ctypes
import os
import sys

import torch

from pipeline.processes import granted_cores

# Of glibc's malloc.h, for mallopt.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 2**30


def compute_device() -> torch.device:
    """Return the GPU if there is one, otherwise the CPU, ready for networks."""
    prepare_cpu()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare_cpu() -> None:
    """Limit the threads of this process, and let it keep the memory that it frees."""
    # OpenMP knows of affinity, not of a container's quota: threads above it wait for each other.
    torch.set_num_threads(min(torch.get_num_threads(), granted_cores()))
    keep_freed_memory()


def repeat_exactly(wanted: bool) -> None:
    """Choose operations that give the same bits each time, where PyTorch has them, or the fastest.

    It warns of an operation of which it has no such form, and goes on. A CPU gives the same bits
    either way.
    """
    # Read when the first matrices are multiplied on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.backends.cudnn.benchmark = not wanted
    # Nothing here reads memory before it is written, and to fill it takes time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed blocks up to 1 GiB; return whether it does.

    glibc gives blocks as large as a batch of maps back to the system at once, and has each of their
    pages zeroed anew for the next layer: more than half of a small network's time on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(option, KEPT_BYTES) == 1 for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
    )
