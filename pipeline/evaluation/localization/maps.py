"""Response maps: checked, resized to the image, normalised and quantised.

The loops over pixels are compiled without fast-math: they round as NumPy does, and no byte depends
on the machine.
"""

from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError

Map = NDArray[np.float32]
_Real = TypeVar("_Real", np.float32, np.float64)


def finite_map(values: ArrayLike) -> Map:
    """Return `values` as a float32 (H, W) map.

    Raises InputError when it is not two-dimensional, is empty, or holds NaN or infinity (the
    first bad pixel is named).
    """
    return _finite(np.asarray(values, dtype=np.float32))


def resize_map(values: ArrayLike, height: int, width: int, *, align_corners: bool = False) -> Map:
    """Resize a (h, w) map bilinearly to float32 (height, width).

    As torch's `interpolate(mode="bilinear")`: pixel centres lie at half integers and the edge is
    clamped, or with `align_corners` the centres of the corner pixels of both lie on each other.
    Raises InputError for a map that `finite_map` refuses or a target side below 1 px.
    """
    source = np.ascontiguousarray(finite_map(values))
    if height < 1 or width < 1:
        raise InputError(f"cannot resize a map to {height} x {width} px: sides are at least 1 px")
    resized: Map = _resize(source, height, width, align_corners)
    return resized


def normalise(values: ArrayLike) -> Map:
    """Rescale a (H, W) map linearly so that its minimum is 0 and its maximum 1.

    A constant map becomes all zeros. Raises InputError as `finite_map` does.
    """
    checked = np.ascontiguousarray(finite_map(values))
    # float64: the range of a finite float32 map can exceed the largest float32.
    lowest, highest = float(checked.min()), float(checked.max())
    normalised: Map = _rescale(checked, lowest, highest - lowest or 1.0)
    return normalised


def to_levels(values: ArrayLike) -> NDArray[np.uint8]:
    """Quantise a (H, W) map to uint8 levels 0..255.

    Level t or more means a normalised value of at least t / 255. A constant map becomes all zeros.
    Raises InputError as `finite_map` does.
    """
    levels: NDArray[np.uint8] = (normalise(values) * np.float32(255)).astype(np.uint8)
    return levels


def reached_thresholds(values: ArrayLike, thresholds: ArrayLike) -> NDArray[np.int32]:
    """Count for every pixel of a (H, W) map the (T,) thresholds that it reaches: 0..T, int32.

    A pixel reaches a threshold that its value equals. Values and thresholds are compared in
    float64, and thresholds above the map's maximum count as the maximum. Raises InputError for a
    map that `finite_map` would refuse, for NaN among the thresholds, and when there are none or
    they do not ascend (equal ones may follow each other).
    """
    checked = _finite(np.ascontiguousarray(values, dtype=np.float64))
    limits = np.asarray(thresholds, dtype=np.float64)
    if limits.ndim != 1 or limits.size == 0 or not (limits[:-1] <= limits[1:]).all():
        raise InputError(
            f"thresholds of shape {limits.shape}: one or more ascending numbers (T,) are needed"
        )
    if np.isnan(limits).any():
        raise InputError("the thresholds hold NaN")
    reached: NDArray[np.int32] = _count_reached(checked, limits.clip(checked.min(), checked.max()))
    return reached


def _finite(checked: NDArray[_Real]) -> NDArray[_Real]:
    if checked.ndim != 2 or checked.size == 0:
        raise InputError(f"map of shape {checked.shape}: a non-empty (height, width) map is needed")
    finite = np.isfinite(checked)
    if not finite.all():
        row, column = np.unravel_index(int(np.argmin(finite)), checked.shape)
        raise InputError(
            f"map holds {checked[row, column]} at row {row}, column {column}; only finite values "
            "can be localized: check the weights and the features that it was computed from"
        )
    return checked


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _resize(source: Map, height: int, width: int, align_corners: bool) -> Map:
    # In float64, or rounding would give a constant map a contrast for `normalise` to amplify.
    # Columns first, while there are few rows.
    left, right, share = _between(source.shape[1], width, align_corners)
    wide = np.empty((source.shape[0], width))
    for y in range(source.shape[0]):
        for x in range(width):
            wide[y, x] = source[y, left[x]] * (1 - share[x]) + source[y, right[x]] * share[x]
    upper, lower, share = _between(source.shape[0], height, align_corners)
    resized = np.empty((height, width), np.float32)
    for y in range(height):
        # Whole rows at a time, which the compiler turns into vector instructions.
        above, below, row = wide[upper[y]], wide[lower[y]], resized[y]
        part = share[y]
        for x in range(width):
            row[x] = above[x] * (1 - part) + below[x] * part
    return resized


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _between(
    source: int, target: int, align_corners: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return for each target pixel its two source pixels and the share of the second."""
    first, second = np.empty(target, np.int64), np.empty(target, np.int64)
    share = np.empty(target)
    for pixel in range(target):
        if align_corners:  # A single pixel is the first corner.
            position = pixel * (source - 1) / max(target - 1, 1)
        else:
            position = min(max((pixel + 0.5) * source / target - 0.5, 0.0), source - 1.0)
        first[pixel] = int(position)
        second[pixel] = min(first[pixel] + 1, source - 1)
        share[pixel] = position - first[pixel]
    return first, second, share


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _rescale(values: Map, lowest: float, span: float) -> Map:
    rescaled = np.empty(values.shape, np.float32)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            rescaled[y, x] = (values[y, x] - lowest) / span
    return rescaled


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _count_reached(values: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.int32]:
    """Bucket search: a binary search among the limits of the value's own bucket.

    Buckets are equally wide, so one holds about a limit where limits are spread evenly. Nothing
    rests on their exact edges: the limits of lower buckets are lower whatever the rounding.
    """
    buckets = 4 * limits.size
    span = limits[-1] - limits[0]
    scale = buckets / span if span > 1e-290 else 0.0  # Too narrow to divide by: one bucket.
    offset = limits[0] * scale
    starts = np.zeros(buckets + 2, np.int32)
    for limit in limits:
        starts[_bucket(limit, scale, offset, buckets) + 1] += 1
    starts = np.cumsum(starts)
    reached = np.empty(values.shape, np.int32)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            bucket = _bucket(values[y, x], scale, offset, buckets)
            low, high = starts[bucket], starts[bucket + 1]
            while low < high:
                middle = (low + high) // 2
                if limits[middle] <= values[y, x]:
                    low = middle + 1
                else:
                    high = middle
            reached[y, x] = low
    return reached


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _bucket(value: float, scale: float, offset: float, buckets: int) -> int:
    return int(min(max(value * scale - offset, 0.0), float(buckets)))
