"""Response maps: checked, resized to the image, normalised and quantised."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError

Map = NDArray[np.float32]


def finite_map(values: ArrayLike) -> Map:
    """Return `values` as a float32 (H, W) map.

    Raises InputError when it is not two-dimensional, is empty, or holds NaN or infinity (the
    first bad pixel is named).
    """
    checked = np.asarray(values, dtype=np.float32)
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


def resize_map(values: ArrayLike, height: int, width: int) -> Map:
    """Resize a (h, w) map bilinearly to float32 (height, width).

    Pixel centres lie at half integers and the edge is clamped: torch's
    `interpolate(mode="bilinear", align_corners=False)`. Raises InputError for a map that
    `finite_map` refuses or a target side below 1 px.
    """
    source = finite_map(values)
    if height < 1 or width < 1:
        raise InputError(f"cannot resize a map to {height} x {width} px: sides are at least 1 px")
    # In float64, or rounding would give a constant map a contrast for `normalise` to amplify.
    # Columns first, while there are few rows.
    wide = _stretch_rows(source.T.astype(np.float64), width).T
    return _stretch_rows(wide, height).astype(np.float32)


def _stretch_rows(values: NDArray[np.float64], target: int) -> NDArray[np.float64]:
    """Interpolate (n, m) linearly to (target, m); no BLAS, whose sums depend on the machine."""
    last = len(values) - 1
    position = np.clip((np.arange(target) + 0.5) * len(values) / target - 0.5, 0, last)
    lower = np.floor(position).astype(np.int64)
    upper = np.minimum(lower + 1, last)
    share = (position - lower)[:, None]
    return values[lower] * (1 - share) + values[upper] * share


def normalise(values: ArrayLike) -> Map:
    """Rescale a (H, W) map linearly so that its minimum is 0 and its maximum 1.

    A constant map becomes all zeros. Raises InputError as `finite_map` does.
    """
    checked = finite_map(values)
    # float64: the range of a finite float32 map can exceed the largest float32.
    shifted: NDArray[Any] = checked.astype(np.float64) - float(checked.min())
    highest = float(shifted.max())
    return (shifted / highest if highest > 0 else shifted).astype(np.float32)


def to_levels(values: ArrayLike) -> NDArray[np.uint8]:
    """Quantise a (H, W) map to uint8 levels 0..255.

    Level t or more means a normalised value of at least t / 255. A constant map becomes all zeros.
    Raises InputError as `finite_map` does.
    """
    levels: NDArray[np.uint8] = np.floor(normalise(values) * np.float32(255)).astype(np.uint8)
    return levels
