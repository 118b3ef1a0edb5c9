import resource

import torch

from pipeline.models.device import keep_freed_memory

ROUNDS = 16
FLOATS = 2**24
"""A block of 64 MiB, which glibc returns to the system unless told otherwise."""


def pages_got() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(ROUNDS):
        torch.ones(FLOATS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_blocks_that_were_freed_are_used_again_without_new_pages() -> None:
    if not keep_freed_memory():
        return  # Another C library: nothing is promised.
    pages_got()
    assert pages_got() < 4 * FLOATS // resource.getpagesize()
