"""Batches of training images, the same on any number of workers and devices."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.datasets.record import Record
from pipeline.datasets.store import PackedSplit
from pipeline.params import InputParams


def warp(
    image: bytes, size: int, box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """Decode `image` and warp it, or its part `box` (x0, y0, x1, y1 in [0, 1]), to size x size."""
    picture = Image.open(io.BytesIO(image)).convert("RGB")
    width, height = picture.size
    x0, y0, x1, y1 = box or (0.0, 0.0, 1.0, 1.0)
    part = (x0 * width, y0 * height, x1 * width, y1 * height)
    return picture.resize((size, size), Image.Resampling.BILINEAR, box=part, reducing_gap=2.0)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return (3, H, W) uint8 of an RGB picture."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def target_of(labels: tuple[int, ...], classes: int, task: str) -> Tensor:
    """Return the class index () int64 for task "single", a 0/1 vector (C,) for "multi"."""
    if task == "single":
        return torch.tensor(labels[0])
    return torch.zeros(classes).index_fill_(0, torch.tensor(labels, dtype=torch.long), 1.0)


@dataclass(frozen=True)
class Window:
    """What a network's input shows of a picture: the part `crop`, mirrored if `flipped`.

    Attributes:
        crop: x0, y0, x1, y1 as shares of the picture's sides.
    """

    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    flipped: bool = False

    def boxes(self, boxes_xyxy: NDArray[np.float32], width: int, height: int) -> Tensor:
        """Return boxes (n, 4) in px of a width x height picture as shares of the input's sides.

        They are cut off at the edges, float32 in [0, 1]; a box outside the window has no area.
        """
        x0, y0, x1, y1 = self.crop
        picture = np.array([width, height] * 2, dtype=np.float64)
        shares = (boxes_xyxy / picture - [x0, y0] * 2) / ([x1 - x0, y1 - y0] * 2)
        if self.flipped:
            shares = np.array([1, 0, 1, 0]) + shares[:, [2, 1, 0, 3]] * [-1, 1, -1, 1]
        return torch.from_numpy(shares.clip(0, 1).astype(np.float32))


Annotate = Callable[[int, Record, Window], Any]
"""(index, record, window) -> what an objective learns from: a tensor or a named tuple of tensors,
of the same shapes for every record of a split."""


class ClassTargets:
    """What classification learns from: `target_of` each record."""

    def __init__(self, split: PackedSplit) -> None:
        self.classes, self.task = len(split.classes), split.task

    def __call__(self, index: int, record: Record, window: Window) -> Tensor:
        return target_of(record.labels, self.classes, self.task)


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
    """Keys (epoch, index) of one epoch in an order that depends on the seed and epoch alone."""

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        return ((self.epoch, int(index)) for index in order)


def workers() -> int:
    """Return how many processes decode images: the machine's affair, never a parameter."""
    return min(16, (os.cpu_count() or 1) - 1)


def training_batches(
    split: PackedSplit, params: InputParams, seed: int, batch_size: int, annotate: Annotate
) -> tuple[DataLoader[tuple[Tensor, Any]], ShuffledKeys]:
    """Return batches of (images (B, 3, S, S) uint8, targets), and the sampler of their keys."""
    keys = ShuffledKeys(len(split), seed)
    images = AugmentedImages(split, params, seed, annotate)
    loader = DataLoader(images, batch_size, sampler=keys, num_workers=workers(), drop_last=False)
    return loader, keys
