"""How well the labels that teach SPG's branches fit the true boxes; no training looks at them."""

from collections.abc import Callable
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.methods.bases.spg.guidance import BACKGROUND, FOREGROUND
from pipeline.packed.loading import loader
from pipeline.packed.pictures import WholeImages, Window, inside_boxes
from pipeline.packed.store import PackedSplit

Masks = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""Images (B, 3, S, S) uint8 and their classes (B,) -> masks (B, S, S) by branch."""


@torch.inference_mode()
def mask_quality(masks: Masks, split: PackedSplit, size: int, batch_size: int) -> dict[str, float]:
    """Return how much of the masks of a split agrees with its boxes, percent.

    "<branch>_foreground_inside" is the share of foreground labels that lie in a true box,
    "<branch>_background_outside" that of background labels that lie in none. Images without a box
    do not count; a share of no labels at all is left out.
    """
    records = iter(split)
    right: dict[str, NDArray[np.int64]] = {}
    for images in loader(WholeImages(split, size), batch_size):
        chosen = list(islice(records, len(images)))
        classes = torch.tensor([record.labels[0] for record in chosen])
        boxed = torch.tensor([len(record.boxes_xyxy) > 0 for record in chosen])
        inside = torch.stack([inside_boxes(record, Window(), size) for record in chosen])[boxed]
        for name, own in masks(images, classes).items():
            right[name] = right.get(name, 0) + _agreement(own.cpu()[boxed], inside)
    return {
        f"{branch}_{kind}": float(100 * correct / labelled)
        for branch, counts in right.items()
        for kind, (correct, labelled) in zip(
            ("foreground_inside", "background_outside"), counts, strict=True
        )
        if labelled
    }


def _agreement(masks: Tensor, inside: Tensor) -> NDArray[np.int64]:
    """Count right labels, and all: of foreground, of background, (2, 2)."""
    kinds = ((masks == FOREGROUND, inside), (masks == BACKGROUND, ~inside))
    counts = [[int((own & fits).sum()), int(own.sum())] for own, fits in kinds]
    return np.array(counts, np.int64)
