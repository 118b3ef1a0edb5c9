"""Stored pictures as a network sees them, and what is annotated in its window."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit


def warp(
    image: bytes, size: int, box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """Decode `image` and warp it as `warp_pixels` does."""
    return warp_pixels(Image.open(io.BytesIO(image)).convert("RGB"), size, box)


def warp_pixels(
    picture: Image.Image, size: int, box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """Warp an RGB picture, or its part `box` (x0, y0, x1, y1 in [0, 1]), to size x size."""
    width, height = picture.size
    x0, y0, x1, y1 = box or (0.0, 0.0, 1.0, 1.0)
    part = (x0 * width, y0 * height, x1 * width, y1 * height)
    return picture.resize((size, size), Image.Resampling.BILINEAR, box=part, reducing_gap=2.0)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return (3, H, W) uint8 of an RGB picture."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


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


def inside_boxes(record: Record, window: Window, size: int) -> Tensor:
    """Mark the pixels of the window, warped to size x size, whose centre lies in a box."""
    boxes = window.boxes(record.boxes_xyxy, record.width, record.height)
    centres = (torch.arange(size) + 0.5) / size
    x, y = (
        (boxes[:, axis, None] <= centres) & (centres < boxes[:, axis + 2, None]) for axis in (0, 1)
    )
    return (y[:, :, None] & x[:, None, :]).any(0)


Annotate = Callable[[int, Record, Window], Any]
"""(index, record, window) -> what an objective learns from: a tensor or a named tuple of tensors,
of the same shapes for every record of a split."""


def target_of(labels: tuple[int, ...], classes: int, task: str) -> Tensor:
    """Return the class index () int64 for task "single", a 0/1 vector (C,) for "multi"."""
    if task == "single":
        return torch.tensor(labels[0])
    return torch.zeros(classes).index_fill_(0, torch.tensor(labels, dtype=torch.long), 1.0)


class ClassTargets:
    """What classification learns from: `target_of` each record."""

    def __init__(self, split: PackedSplit) -> None:
        self.classes, self.task = len(split.classes), split.task

    def __call__(self, index: int, record: Record, window: Window) -> Tensor:
        return target_of(record.labels, self.classes, self.task)


class WholeImages(Dataset[Tensor]):
    """Each image warped to the network's input, (3, S, S) uint8."""

    def __init__(self, split: PackedSplit, size: int) -> None:
        self.split, self.size = split, size

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Tensor:
        return to_tensor(warp(self.split[index].image, self.size))
