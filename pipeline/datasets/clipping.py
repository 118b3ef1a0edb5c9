"""Official boxes that leave their picture: which are clipped, and which are left to be refused."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def clip_rounding(boxes_xyxy: Boxes, width: int, height: int) -> Boxes:
    """Clip coordinates that are at most 1 px outside the picture; leave the others.

    `boxes_xyxy` (n, 4) are half-open, in px from 0.
    """
    clipped = _clip(boxes_xyxy, width, height)
    return np.where(np.abs(clipped - boxes_xyxy) <= 1, clipped, boxes_xyxy)


def clip_overlapping(boxes_xyxy: Boxes, width: int, height: int) -> Boxes:
    """Clip boxes that overlap the picture; leave those that do not, and inverted ones.

    `boxes_xyxy` (n, 4) are half-open, in px from 0.
    """
    overlap = overlapping(boxes_xyxy, width, height)
    return np.where(overlap[:, None], _clip(boxes_xyxy, width, height), boxes_xyxy)


def overlapping(boxes_xyxy: Boxes, width: int, height: int) -> NDArray[np.bool_]:
    """Return for each half-open box (n, 4) whether a part of it lies in the picture."""
    clipped = _clip(boxes_xyxy, width, height)
    return np.asarray((clipped[:, :2] < clipped[:, 2:]).all(axis=1))


def _clip(boxes_xyxy: Boxes, width: int, height: int) -> Boxes:
    return np.clip(boxes_xyxy, 0, np.array([width, height, width, height], dtype=np.float32))
