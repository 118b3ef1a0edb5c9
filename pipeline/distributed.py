"""Work shared out over the processes that `torchrun` or `accelerate launch` has started.

What they write must lie on one file system. Torch is imported only if there are several.
"""

import atexit
import os
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long a process waits for the others. One that fails ends them all at once, by its launcher;
torch's 10 minutes would end them while one works alone."""


def process_index() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def process_count() -> int:
    """Return how many processes work together, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Return whether this process is the one that writes results."""
    return process_index() == 0


def join() -> None:
    """Form the group of all processes, unless it is there or there is but one."""
    if process_count() == 1:
        return
    from torch import distributed

    if not distributed.is_initialized():
        distributed.init_process_group(timeout=PATIENCE)
        atexit.register(distributed.destroy_process_group)


def gathered(own: T) -> list[T]:
    """Return what every process has given, in their order, once all have; all must call it."""
    if process_count() == 1:
        return [own]
    from torch import distributed

    join()
    every: list[T] = [own] * process_count()
    distributed.all_gather_object(every, own)
    return every


def share(length: int, batch_size: int = 1) -> range:
    """Return which of `length` items are this process's: neighbours, in whole batches.

    Batches are those of one process alone, so that a network computes the same in them.
    """
    batches, count = -(-length // batch_size), process_count()
    first, last = (batches * n // count for n in (process_index(), process_index() + 1))
    return range(min(first * batch_size, length), min(last * batch_size, length))
