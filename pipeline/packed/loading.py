"""Batches of pictures, made by as many processes as the machine has room for."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeVar

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.processes import workers
from pipeline.signals import leave_signals_to_parent

T = TypeVar("T", covariant=True)

MOST = 16
"""Processes of one loader at most: more keep no network busier and fill the memory."""


def loader(items: Dataset[T], batch_size: int, keys: Sampler[Any] | None = None) -> DataLoader[T]:
    """Return batches of items, the last one possibly smaller, the same on any machine.

    Args:
        items: tensors, numbers or nested tuples of them, of the same shapes for every key; one is
            made at once, to know what a batch takes.
        keys: the keys of the items, in their order; None takes all items from 0 on.
    """
    order: Iterable[Any] = range(len(items)) if keys is None else keys  # type: ignore[arg-type]
    batch_bytes = batch_size * sum(_bytes(items[key]) for key in islice(order, 1))
    count = min(MOST, workers(busy=1, batch_bytes=batch_bytes))
    return DataLoader(
        items, batch_size, sampler=keys, num_workers=count, worker_init_fn=leave_signals_to_parent
    )


def _bytes(item: Any) -> int:
    if isinstance(item, tuple):
        return sum(map(_bytes, item))
    return item.nbytes if isinstance(item, Tensor) else 8  # A number becomes 64 bits.
