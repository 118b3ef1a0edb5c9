"""Where networks run, on how many threads, and how memory for maps is had."""

import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from pipeline.distributed import process_count
from pipeline.locks import taken
from pipeline.processes import granted_cores
from pipeline.progress import say

POLL_SECONDS = 2.0
"""Between two looks for a free GPU."""

# Of glibc's malloc.h, for mallopt.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 2**30


def compute_device() -> torch.device:
    """Return this process's GPU if there is one, otherwise the CPU, ready for networks.

    A process that `torchrun` has started has the GPU of its number on this machine. Others look for
    one that no other run uses, and keep it: see `free_gpu`.
    """
    prepare_cpu()
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(_own_gpu())
    torch.backends.cudnn.allow_tf32 = False  # torch's default is true
    return torch.device("cuda", torch.cuda.current_device())


@cache
def _own_gpu() -> int:
    gpus = torch.cuda.device_count()
    if process_count() > 1:
        return int(os.environ["LOCAL_RANK"]) % gpus
    return free_gpu([str(torch.cuda.get_device_properties(n).uuid) for n in range(gpus)])


def free_gpu(ids: Sequence[str]) -> int:
    """Return the place in `ids` of a GPU that none of this user's processes uses; wait for one.

    It is this process's until the process has ended: the lock file of a GPU, by its id, is held by
    no more than one.
    """
    files = [Path(tempfile.gettempdir(), f"wsol-{os.getuid()}-gpu-{own}.lock") for own in ids]
    told = False
    while True:
        for place, path in enumerate(files):
            if taken(path):
                return place
        if not told:
            say(f"every GPU is in use ({len(ids)}); waiting for one ({files[0]})")
            told = True
        time.sleep(POLL_SECONDS)


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
