"""Guidance masks: seeds of foreground and background from a map in [0, 1] (SPG Sec. 3.2)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.params import MaskThresholds

BACKGROUND, FOREGROUND, IGNORED = 0, 1, 255


def guidance_masks(
    maps: Tensor, thresholds: MaskThresholds, fewest: int = 0, fallback: float = 1.0
) -> Tensor:
    """Return masks (B, H, W) uint8 of maps (B, H, W) in [0, 1] by SPG Eq. (1).

    0 where the map is below delta_l, 1 elsewhere where it is above the image's
    `foreground_thresholds` (both strictly), else 255. The masks are constants: no gradient passes
    through them.
    """
    masks = torch.full_like(maps, IGNORED, dtype=torch.uint8)
    masks[maps > foreground_thresholds(maps, thresholds.delta_h, fewest, fallback)] = FOREGROUND
    # Background last, as in the released code: a low fallback makes no foreground of it.
    masks[maps < thresholds.delta_l] = BACKGROUND
    return masks


def foreground_thresholds(maps: Tensor, delta_h: float, fewest: int, fallback: float) -> Tensor:
    """Return for each image the value above which maps (B, H, W) are foreground, (B, 1, 1).

    It is delta_h, or `fallback` * maximum instead where fewer than `fewest` pixels exceed delta_h:
    the released code's rescue of images without seeds, here without its leak to later images. Where
    the maximum is high the fallback can lie above delta_h, and leaves fewer pixels.
    """
    poor = (maps > delta_h).sum((1, 2), keepdim=True) < fewest
    return torch.where(poor, fallback * maps.amax((1, 2), keepdim=True), delta_h)


def masked_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the binary cross-entropy averaged over labelled pixels; 0 when there is none.

    Args:
        logits: (B, H, W), before the sigmoid.
        masks: (B, H, W) with 0, 1, or 255 for ignored pixels.
    """
    return _mean_where(_cross_entropies(logits, masks), masks != IGNORED)


def balanced_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the mean of two averages: over foreground pixels, and over background pixels.

    A kind that a batch lacks has no part in the mean; 0 when both are missing. Where there are
    equally many of both it is `masked_cross_entropy`, whose arguments it has.
    """
    losses = _cross_entropies(logits, masks)
    kinds = torch.stack([masks == FOREGROUND, masks == BACKGROUND])
    averages = torch.stack([_mean_where(losses, kind) for kind in kinds])
    return averages.sum() / kinds.flatten(1).any(1).sum().clamp(min=1)


def _cross_entropies(logits: Tensor, masks: Tensor) -> Tensor:
    targets = (masks == FOREGROUND).float()
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def _mean_where(losses: Tensor, chosen: Tensor) -> Tensor:
    return (losses * chosen).sum() / chosen.sum().clamp(min=1)
