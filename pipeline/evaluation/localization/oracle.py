"""Boxes for an oracle that knows which of them is right: SPN's released CorLoc."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.evaluation.localization.boxes import iou_xyxy
from pipeline.evaluation.localization.maps import Map, finite_map
from pipeline.packed.record import Boxes

SUPPRESSED_FROM = 0.7
"""A box goes whose IoU with one of a higher score exceeds this."""

SMALLEST_SIDE = 51
"""A box goes that is narrower or lower than this, px (released: 50 between inclusive edges)."""


def candidate_boxes(responses: Sequence[Map]) -> Boxes:
    """Return the boxes that SPN.pytorch's evaluation gives of a class, (n, 4).

    The boxes of `mean_components` of every map. Of several maps those go, as in the release, that
    overlap better ones, that are small, or whose mean response is not above 0. The release counts
    an image as right if any box is: that is an oracle, as it needs the true boxes to choose. Its
    maps come from networks trained apart, one for each input size; ours from one network.

    Args:
        responses: (H, W) response maps of the class, one for each input size, all at the size of
            the image.

    Raises:
        InputError: a map that `finite_map` refuses.
    """
    boxes, scores = map(np.concatenate, zip(*map(mean_components, responses), strict=True))
    if len(responses) == 1:
        return boxes
    kept = best_apart(boxes, scores)
    boxes, scores = boxes[kept], scores[kept]
    large = (boxes[:, 2:] - boxes[:, :2] >= SMALLEST_SIDE).all(axis=1)
    chosen: Boxes = boxes[large & (scores > 0)]
    return chosen


def best_apart(boxes_xyxy: Boxes, scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rows of boxes (n, 4) that non-maximum suppression keeps, best first.

    In a few lines, since torchvision's takes seconds to import where nothing else needs torch.
    """
    order = np.argsort(-scores, kind="stable")
    overlapping = iou_xyxy(boxes_xyxy[order], boxes_xyxy[order]) > SUPPRESSED_FROM
    kept: list[int] = []
    for row in range(len(order)):
        if not overlapping[row, kept].any():
            kept.append(row)
    return order[kept]


def mean_components(response_map: ArrayLike) -> tuple[Boxes, NDArray[np.float32]]:
    """Return the tight boxes (n, 4) of parts of a (H, W) map, and their mean responses (n,).

    The parts are the 4-connected components of the pixels that are not below the map's mean.
    """
    checked = finite_map(response_map)
    foreground = (checked >= checked.mean(dtype=np.float64)).astype(np.uint8)
    if not foreground.any():  # The mean of a constant map may round to above it.
        foreground[:] = 1
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(foreground, connectivity=4)
    left, top, width, height, area = statistics[1:].T
    sums = np.bincount(parts.ravel(), checked.ravel(), minlength=count)[1:]
    boxes = np.stack([left, top, left + width, top + height], axis=1)
    return boxes.astype(np.float32), (sums / area).astype(np.float32)
