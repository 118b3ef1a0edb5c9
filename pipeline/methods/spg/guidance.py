"""Guidance masks: seeds of foreground and background from a map in [0, 1] (SPG Sec. 3.2)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.params import MaskThresholds

BACKGROUND, FOREGROUND, IGNORED = 0, 1, 255


def guidance_masks(maps: Tensor, thresholds: MaskThresholds) -> Tensor:
    """Return masks (B, H, W) uint8 of maps (B, H, W) in [0, 1] by SPG Eq. (1).

    0 where the map is below delta_l, 1 where it is above delta_h (both strictly), else 255. The
    masks are constants: no gradient passes through them.
    """
    masks = torch.full_like(maps, IGNORED, dtype=torch.uint8)
    masks[maps < thresholds.delta_l] = BACKGROUND
    masks[maps > thresholds.delta_h] = FOREGROUND
    return masks


def add_missing_foreground(masks: Tensor, maps: Tensor, fewest: int, fallback: float) -> Tensor:
    """Mark pixels above `fallback` * maximum in images with fewer than `fewest` foreground pixels.

    The released code's rescue of images without seeds, here without its leak to later images.
    """
    poor = (masks == FOREGROUND).sum((1, 2), keepdim=True) < fewest
    peak = maps.amax((1, 2), keepdim=True)
    return torch.where(poor & (maps > fallback * peak), FOREGROUND, masks)


def masked_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the binary cross-entropy averaged over labelled pixels; 0 when there is none.

    Args:
        logits: (B, H, W), before the sigmoid.
        masks: (B, H, W) with 0, 1, or 255 for ignored pixels.
    """
    labelled = masks != IGNORED
    losses = F.binary_cross_entropy_with_logits(
        logits, (masks == FOREGROUND).float(), reduction="none"
    )
    return (losses * labelled).sum() / labelled.sum().clamp(min=1)
