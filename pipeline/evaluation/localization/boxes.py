"""Boxes: from a map to a box, and between boxes. Half-open [x0, y0, x1, y1) pixels throughout."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.component_tree import (
    FIRST,
    SIZE,
    Y1,
    component_tree,
    strongest_nodes,
)
from pipeline.evaluation.localization.maps import finite_map, reached_thresholds
from pipeline.packed.record import Boxes

LEVELS = 256
"""Number of thresholds of an 8-bit map."""


def component_boxes(levels: NDArray[np.uint8]) -> Boxes:
    """Box the largest component above every threshold of a uint8 (H, W) map.

    Row t of the (256, 4) result is the tight box of the 8-connected component of
    {levels >= t} with most pixels; of equally large ones, the component that holds the first pixel
    in row-major order. Rows above the map's maximum repeat the row of the maximum, so that every
    threshold gives a box. SPG's test procedure (ECCV 2018, Sec. 4.1) for all thresholds at once.
    Raises InputError for an empty map or one that is not uint8 (H, W).
    """
    return _largest_boxes(_checked_levels(levels), LEVELS)


def component_boxes_at(values: ArrayLike, thresholds: ArrayLike) -> Boxes:
    """Box the largest component of {values >= t} for every t of (T,) thresholds: (T, 4).

    As `component_boxes`, for a (H, W) map of any numbers, compared in float64: with the map's
    distinct values as thresholds nothing is quantised. Thresholds above the map's maximum give the
    box at the maximum, those up to its minimum the whole image. Raises InputError as
    `maps.reached_thresholds` does.
    """
    reached = reached_thresholds(values, thresholds)
    return _largest_boxes(reached, np.size(thresholds) + 1)[1:]


Edges = Callable[[NDArray[Any]], NDArray[Any]]
"""Boxes (..., 4) found in a map -> the same boxes in the convention that they are compared in."""


def half_open(boxes_xyxy: NDArray[Any]) -> NDArray[Any]:
    """Return the boxes as they are: our convention."""
    return boxes_xyxy


def best_component_ious(
    levels: NDArray[np.uint8], boxes_xyxy: ArrayLike, edges: Edges = half_open
) -> NDArray[np.float64]:
    """Return the best IoU of any component with any of (n, 4) boxes, for every threshold: (256,).

    Entry t takes the tight boxes of all 8-connected components of {levels >= t}, a uint8 (H, W)
    map, large or small: what MaxBoxAccV2 takes of one image (Choe et al., "Evaluation for Weakly
    Supervised Object Localization", TPAMI 2022). Entries above the map's maximum repeat the one
    of the maximum. Boxes outside the map or without area have IoU 0, and so has an image without
    boxes. `edges` are the convention of the true boxes. Raises InputError as `component_boxes` and
    `iou_xyxy` do.
    """
    nodes = component_tree(_checked_levels(levels))
    ious: NDArray[np.float64] = iou_xyxy(boxes_xyxy, edges(nodes[:, : Y1 + 1])).max(
        axis=0, initial=0
    )
    best: NDArray[np.float64] = ious[strongest_nodes(nodes, ious, LEVELS)]
    return best


def mean_threshold_box(response_map: ArrayLike) -> Boxes:
    """Return the tight (4,) box of all pixels of a (H, W) map above its mean (SPN Sec. 4.3).

    One box over the whole foreground, however many components it has. A constant map gives the
    whole image. Raises InputError for a map that `finite_map` refuses.
    """
    checked = finite_map(response_map)
    foreground = checked > checked.mean(dtype=np.float64)
    if not foreground.any():
        foreground[:] = True
    rows = np.flatnonzero(foreground.any(axis=1))
    columns = np.flatnonzero(foreground.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def iou_xyxy(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> NDArray[np.float64]:
    """Return the (n, m) intersection over union, 0..1, of (n, 4) with (m, 4) boxes.

    A pair that shares no area has IoU 0, empty boxes included. Raises InputError for arrays that
    are not (n, 4).
    """
    iou: NDArray[np.float64] = _iou(box_array(a_xyxy), box_array(b_xyxy))
    return iou


def union_mask(boxes_xyxy: ArrayLike, height: int, width: int) -> NDArray[np.bool_]:
    """Mark the pixels of a (height, width) image whose centre lies in any of the (n, 4) boxes.

    Parts of boxes outside the image are cut off; no boxes give an all-False mask. Raises InputError
    for an array that is not (n, 4).
    """
    mask = np.zeros((height, width), dtype=bool)
    for x0, y0, x1, y1 in np.ceil(box_array(boxes_xyxy) - 0.5).clip(min=0).astype(np.int64):
        mask[y0:y1, x0:x1] = True
    return mask


def box_array(boxes_xyxy: ArrayLike) -> NDArray[np.float64]:
    """Return boxes as float64 (n, 4), an empty list as (0, 4); InputError for other shapes."""
    boxes = np.ascontiguousarray(boxes_xyxy, dtype=np.float64)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes of shape {boxes.shape}: (n, 4) rows of x0, y0, x1, y1 are needed")
    return boxes


def _checked_levels(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if levels.dtype != np.uint8 or levels.ndim != 2 or levels.size == 0:
        raise InputError(
            f"levels of type {levels.dtype} and shape {levels.shape}: a non-empty uint8 "
            "(height, width) map is needed; make one with to_levels"
        )
    return levels


def _largest_boxes(levels: NDArray[np.integer], thresholds: int) -> Boxes:
    nodes = component_tree(levels)
    # More pixels win; FIRST, which is below levels.size, decides between equal numbers only.
    strengths = nodes[:, SIZE].astype(np.float64) * levels.size - nodes[:, FIRST]
    chosen = strongest_nodes(nodes, strengths, thresholds)
    return nodes[chosen, : Y1 + 1].astype(np.float32)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    iou = np.zeros((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            # NumPy's minimum keeps NaN: a box with a NaN meets none.
            width = np.minimum(a[i, 2], b[j, 2]) - np.maximum(a[i, 0], b[j, 0])
            height = np.minimum(a[i, 3], b[j, 3]) - np.maximum(a[i, 1], b[j, 1])
            if width > 0 and height > 0:  # Then both boxes have an area too.
                area_a = (a[i, 2] - a[i, 0]) * (a[i, 3] - a[i, 1])
                area_b = (b[j, 2] - b[j, 0]) * (b[j, 3] - b[j, 1])
                iou[i, j] = width * height / (area_a + area_b - width * height)
    return iou
