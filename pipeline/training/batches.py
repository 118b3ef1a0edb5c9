"""Batches of training images, the same on any number of workers and devices."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.distributed import process_count, process_index
from pipeline.errors import InputError
from pipeline.packed.loading import loader
from pipeline.packed.pictures import Annotate, Window, to_tensor, warp
from pipeline.packed.store import PackedSplit
from pipeline.params import InputParams


class AugmentedImages(Dataset[tuple[Tensor, Any]]):
    """Images warped to size + margin, cropped to size at random, flipped at random.

    An item's key is (epoch, index): its augmentation depends on them and the seed alone.
    """

    def __init__(
        self, split: PackedSplit, params: InputParams, seed: int, annotate: Annotate
    ) -> None:
        self.split, self.params, self.seed, self.annotate = split, params, seed, annotate

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Any]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        record = self.split[index]
        window = Window(self._crop(rng), self.params.flip and rng.random() < 0.5)
        picture = warp(record.image, self.params.size, window.crop)
        if window.flipped:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return to_tensor(picture), self.annotate(index, record, window)

    def _crop(self, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """Return a random window of size / (size + margin), whole pixels apart, in [0, 1]."""
        full = self.params.size + self.params.margin
        x, y = rng.integers(0, self.params.margin + 1, size=2)
        size = self.params.size
        return x / full, y / full, (x + size) / full, (y + size) / full


class ShuffledKeys(Sampler[tuple[int, int]]):
    """Keys (epoch, index) of one epoch in an order that depends on the seed and epoch alone.

    A last batch of one image gets the epoch's first image as its second: batch normalisation of
    maps of one cell has no deviation of a single image.

    Of several processes each takes its share of every batch, so that together they see the batches
    that one process sees. In a last batch with fewer images than processes some have none: these
    take one of others, whose loss has weight 0.
    """

    def __init__(
        self, length: int, seed: int, batch_size: int, process: int = 0, processes: int = 1
    ) -> None:
        """Deal batches of `batch_size` images, which `processes` divides, to that many."""
        self.length, self.seed, self.epoch = length, seed, 0
        self.batch_size, self.process, self.processes = batch_size, process, processes
        self.repeated = int(batch_size > 1 and length % batch_size == 1)

    def __len__(self) -> int:
        whole, last = divmod(self.length + self.repeated, self.batch_size)
        return whole * self.batch_size // self.processes + len(self._own(last))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        keys = [(self.epoch, int(i)) for i in [*order, *order[: self.repeated]]]
        for start in range(0, len(keys), self.batch_size):
            batch = keys[start : start + self.batch_size]
            yield from (batch[place] for place in self._own(len(batch)))

    def weight(self, step: int) -> float:
        """Return what this process's mean loss of a step, from 0, counts in that of all processes.

        1 but for a last batch that they cannot share evenly.
        """
        count = min(self.batch_size, self.length + self.repeated - step * self.batch_size)
        first, last = self._bounds(count)
        return (last - first) * self.processes / count

    def _own(self, count: int) -> range:
        """Return the places of this process's images in a batch of `count`."""
        first, last = self._bounds(count)
        return range(first, last) or range(min(count, 1))

    def _bounds(self, count: int) -> tuple[int, int]:
        return (
            count * self.process // self.processes,
            count * (self.process + 1) // self.processes,
        )


def training_batches(
    split: PackedSplit, params: InputParams, seed: int, batch_size: int, annotate: Annotate
) -> tuple[DataLoader[tuple[Tensor, Any]], ShuffledKeys]:
    """Return batches of (images (B, 3, S, S) uint8, targets), and the sampler of their keys.

    Of several processes each has its share of `batch_size` images.

    Raises:
        InputError: the number of processes does not divide `batch_size`.
    """
    processes = process_count()
    if batch_size % processes:
        raise InputError(
            f"a batch of {batch_size} images (batch_size) cannot be shared out evenly to "
            f"{processes} processes; start as many as divide it (LAUNCH)"
        )
    keys = ShuffledKeys(len(split), seed, batch_size, process_index(), processes)
    images = AugmentedImages(split, params, seed, annotate)
    return loader(images, batch_size // processes, keys), keys
