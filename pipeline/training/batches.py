"""Batches of training images, the same on any number of workers and devices."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

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
    """

    def __init__(self, length: int, seed: int, batch_size: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0
        self.repeated = int(batch_size > 1 and length % batch_size == 1)

    def __len__(self) -> int:
        return self.length + self.repeated

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        return ((self.epoch, int(i)) for i in [*order, *order[: self.repeated]])


def training_batches(
    split: PackedSplit, params: InputParams, seed: int, batch_size: int, annotate: Annotate
) -> tuple[DataLoader[tuple[Tensor, Any]], ShuffledKeys]:
    """Return batches of (images (B, 3, S, S) uint8, targets), and the sampler of their keys."""
    keys = ShuffledKeys(len(split), seed, batch_size)
    images = AugmentedImages(split, params, seed, annotate)
    return loader(images, batch_size, keys), keys
