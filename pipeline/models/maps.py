"""Maps of a batch."""

import torch
from torch import Tensor


def normalise_maps(maps: Tensor) -> Tensor:
    """Scale each map of (B, H, W) to [0, 1] by its own extremes; a constant map becomes 0."""
    low = maps.amin((1, 2), keepdim=True)
    span = maps.amax((1, 2), keepdim=True) - low
    return torch.where(span > 0, (maps - low) / span.where(span > 0, torch.ones_like(span)), 0)
