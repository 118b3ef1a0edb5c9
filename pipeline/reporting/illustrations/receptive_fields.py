"""What the cells of a feature map see of the input: their receptive fields."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Featured(nn.Module):
    """A network whose `features` are maps (B, K, h, w) of images (B, 3, H, W) in 0..255."""

    features: Callable[[Tensor], Tensor]


@torch.inference_mode()
def receptive_fields(network: Featured, size: int, stride: int) -> NDArray[np.float64]:
    """Return the box (h, w, 4) that each cell sees of a size x size input, in its px, cut off.

    A cell sees a column of pixels if a NaN there reaches it: all layers of a network hand a NaN on,
    none makes one. This is measured of the middle cell of a wide strip; fields are taken to be
    square, and those of neighbours to lie `stride` px apart, as they do in convolutions.

    Args:
        network: in evaluation mode.
    """
    # In float64: there are fast convolutions for float32, which spread a NaN.
    features = deepcopy(network).cpu().double().features
    cells, width = features(torch.zeros(1, 3, size, size, dtype=torch.float64)).shape[3], 3 * size
    strip = torch.zeros(1, 3, size // 2, width, dtype=torch.float64)
    middle = features(strip).shape[3] // 2

    def seen(first: int, last: int) -> bool:
        hidden = strip.clone()
        hidden[..., first:last] = float("nan")
        return bool(features(hidden)[..., middle].isnan().any())

    start = _first(lambda k: seen(0, k + 1), width)
    stop = width - _first(lambda k: seen(width - 1 - k, width), width)
    edges = np.array([start, stop]) - middle * stride
    along = (np.arange(cells)[:, None] * stride + edges).clip(0, size).astype(np.float64)
    fields = np.empty((cells, cells, 4))
    fields[..., ::2], fields[..., 1::2] = along, along[:, None]
    return fields


def _first(holds: Callable[[int], bool], count: int) -> int:
    """Return the first of 0..count-1 that `holds`, as the last one and all between do."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
