"""Official boxes that leave their picture: which are clipped, and which are left to be refused."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def clip_rounding(boxes_xyxy: Boxes, width: int, height: int, most: float) -> Boxes:
    """Clip coordinates that are at most `most` px outside the picture; leave the others.

    `boxes_xyxy` (n, 4) are half-open, in px from 0.
    """
    clipped = _clip(boxes_xyxy, width, height)
    return np.where(np.abs(clipped - boxes_xyxy) <= most, clipped, boxes_xyxy)


def clip_overlapping(boxes_xyxy: Boxes, width: int, height: int) -> Boxes:
    """Clip boxes that overlap the picture; leave those that do not, and inverted ones.

    `boxes_xyxy` (n, 4) are half-open, in px from 0.
    """
    clipped = _clip(boxes_xyxy, width, height)
    overlaps = (clipped[:, :2] < clipped[:, 2:]).all(axis=1, keepdims=True)
    return np.where(overlaps, clipped, boxes_xyxy)


def _clip(boxes_xyxy: Boxes, width: int, height: int) -> Boxes:
    return np.clip(boxes_xyxy, 0, np.array([width, height, width, height], dtype=np.float32))
