"""Boxes: from a map to a box, and between boxes. Half-open [x0, y0, x1, y1) pixels throughout."""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.localization.maps import finite_map

Boxes = NDArray[np.float32]

LEVELS = 256
"""Number of thresholds of an 8-bit map."""


def component_boxes(levels: NDArray[np.uint8]) -> Boxes:
    """Box the largest component above every threshold of a uint8 (H, W) map.

    Row t of the (256, 4) result is the tight box of the 8-connected component of
    {levels >= t} with most pixels; of equally large ones, the component that holds the first pixel
    in row-major order. Rows above the map's maximum repeat the row of the maximum. SPG's test
    procedure (ECCV 2018, Sec. 4.1) for all thresholds at once: pixels are switched on in
    falling order and joined by union-find, so the cost is one pass and not 256 labellings.
    Raises InputError for an empty map or one that is not uint8 (H, W).
    """
    if levels.dtype != np.uint8 or levels.ndim != 2 or levels.size == 0:
        raise InputError(
            f"levels of type {levels.dtype} and shape {levels.shape}: a non-empty uint8 "
            "(height, width) map is needed; make one with to_levels"
        )
    boxes: Boxes = _sweep_thresholds(np.ascontiguousarray(levels))
    return boxes


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

    A pair whose union is empty has IoU 0. Raises InputError for arrays that are not (n, 4).
    """
    a, b = box_array(a_xyxy)[:, None], box_array(b_xyxy)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = sides.clip(min=0).prod(axis=-1)
    union = _areas(a) + _areas(b) - intersection
    iou: NDArray[np.float64] = np.zeros_like(intersection)
    np.divide(intersection, union, out=iou, where=union > 0)
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
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes of shape {boxes.shape}: (n, 4) rows of x0, y0, x1, y1 are needed")
    return boxes


def _areas(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]
    areas: NDArray[np.float64] = sides.clip(min=0).prod(axis=-1)
    return areas


# Columns of a component's row in `parts` below.
_X0, _Y0, _X1, _Y1, _SIZE, _FIRST = range(6)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _sweep_thresholds(levels: NDArray[np.uint8]) -> Boxes:
    height, width = levels.shape
    order, ends = _falling_order(levels.ravel())
    parent = np.full(height * width, -1, np.int32)  # -1: the pixel is still off
    # Rows are valid for roots only: filling all of them would double the time.
    parts = np.empty((height * width, 6), np.int32)
    boxes = np.empty((LEVELS, 4), np.float32)
    best, size, first = 0, 0, 0
    start = 0
    for level in range(LEVELS - 1, -1, -1):
        for pixel in order[start : ends[level]]:
            root = _switch_on(parent, parts, pixel, height, width)
            # Components only grow: only the one that just grew can overtake the best.
            tie_won = parts[root, _SIZE] == size and parts[root, _FIRST] < first
            if parts[root, _SIZE] > size or tie_won:
                best, size, first = root, parts[root, _SIZE], parts[root, _FIRST]
        start = ends[level]
        boxes[level] = parts[best, :4]
    highest = levels.max()
    boxes[highest:] = boxes[highest]
    return boxes


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _falling_order(levels: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Counting sort: pixels from the highest level to 0, and where each level's run ends."""
    ends = np.zeros(LEVELS, np.int64)
    for level in levels:
        ends[level] += 1
    start = 0
    for level in range(LEVELS - 1, -1, -1):
        start, ends[level] = start + ends[level], start
    order = np.empty(levels.size, np.int32)
    for pixel in range(levels.size):
        order[ends[levels[pixel]]] = pixel
        ends[levels[pixel]] += 1
    return order, ends


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _switch_on(
    parent: NDArray[np.int32], parts: NDArray[np.int32], pixel: int, height: int, width: int
) -> int:
    """Switch `pixel` on, join the components that it touches, return the root of the result."""
    y, x = pixel // width, pixel % width
    root = pixel
    for row in range(max(y - 1, 0), min(y + 2, height)):
        for column in range(max(x - 1, 0), min(x + 2, width)):
            neighbour = row * width + column
            if parent[neighbour] >= 0:
                found = _root(parent, neighbour)
                if root == pixel:
                    root = found
                elif root != found:
                    root = _join(parent, parts, root, found)
    parent[pixel] = root
    if root == pixel:
        parts[pixel, _X0], parts[pixel, _Y0] = x, y
        parts[pixel, _X1], parts[pixel, _Y1] = x + 1, y + 1
        parts[pixel, _SIZE], parts[pixel, _FIRST] = 1, pixel
    else:
        _extend(parts, root, (x, y, x + 1, y + 1, 1, pixel))
    return root


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _root(parent: NDArray[np.int32], pixel: int) -> int:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _join(parent: NDArray[np.int32], parts: NDArray[np.int32], a: int, b: int) -> int:
    """Merge the components with the different roots `a` and `b`, return the root of the larger."""
    if parts[a, _SIZE] < parts[b, _SIZE]:
        a, b = b, a
    parent[b] = a
    part = parts[b]
    _extend(parts, a, (part[_X0], part[_Y0], part[_X1], part[_Y1], part[_SIZE], part[_FIRST]))
    return a


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _extend(parts: NDArray[np.int32], root: int, other: tuple[int, ...]) -> None:
    """Add the component `other`, a row of `parts`, to the one with root `root`."""
    parts[root, _X0] = min(parts[root, _X0], other[_X0])
    parts[root, _Y0] = min(parts[root, _Y0], other[_Y0])
    parts[root, _X1] = max(parts[root, _X1], other[_X1])
    parts[root, _Y1] = max(parts[root, _Y1], other[_Y1])
    parts[root, _SIZE] += other[_SIZE]
    parts[root, _FIRST] = min(parts[root, _FIRST], other[_FIRST])
