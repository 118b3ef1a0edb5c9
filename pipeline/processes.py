"""How many processes there may be: the machine's affair, never a parameter."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError, first_line

MEMBERSHIP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
SHARED_MEMORY = Path("/dev/shm")

PREFETCHED = 2
"""Batches that each process of a torch loader makes ahead."""
HELD = 3
"""Batches in shared memory besides: the one in use, the one before it until it is freed, and the
one that a training looks ahead."""


def workers(busy: int = 0, batch_bytes: int = 0) -> int:
    """Return how many processes may work for this one; at 0 it does the work itself.

    No more than the cores that the system grants, nor than there is shared memory for: Docker gives
    64 MiB, and a batch that does not fit kills the process that makes it. Results must not depend
    on the number.

    Args:
        busy: cores that this process needs meanwhile; 0 if it only waits, and there is then at
            least one process.
        batch_bytes: what a process hands over at a time in shared memory; 0 if it uses none.
    """
    count = granted_cores() - busy
    if batch_bytes and SHARED_MEMORY.is_dir():
        count = min(count, (_shared_bytes() // batch_bytes - HELD) // PREFETCHED)
    return max(0, count)


def granted_cores() -> int:
    """Return the cores that affinity and control groups grant this process, at least 1.

    The processes of a distributed training on this machine share them equally.
    """
    cores = min([len(os.sched_getaffinity(0)), *map(math.ceil, _quotas())])
    return max(1, cores // _sharers())


@contextmanager
def lost_workers_told() -> Iterator[None]:
    """Turn torch's error about a process of a loader that was killed into an InputError."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise InputError(
            "the system ended a process that makes batches, most often because memory ran out; "
            "free memory, or allow fewer cores (taskset --cpu-list 0,1), and run it again "
            f"({first_line(error)})"
        ) from None


def _shared_bytes() -> int:
    """Return the shared memory to plan with: half of what is free, for others may start as well."""
    memory = os.statvfs(SHARED_MEMORY)
    return memory.f_bavail * memory.f_frsize // 2 // _sharers()


def _sharers() -> int:
    """Return how many processes of a distributed training run here, as torchrun tells them."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _quotas() -> Iterator[float]:
    """Yield the limits, in cores, of the control groups that this process is in, v1 and v2.

    Every group above it counts. In a container the file system may begin at the process's own
    group, so that the path that the kernel names is not there: then the root counts.
    """
    try:
        memberships = MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for membership in memberships:
        _, controllers, path = membership.split(":", 2)
        if not controllers:
            root = CGROUPS
        elif "cpu" in controllers.split(","):
            root = CGROUPS / "cpu"
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield from _quota(folder)


def _quota(group: Path) -> Iterator[float]:
    """Yield the limit of one control group in cores, if it has one."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((group / name).read_text() for name in names).split()
        except OSError:
            continue
        if quota not in {"max", "-1"}:
            yield int(quota) / int(period)
