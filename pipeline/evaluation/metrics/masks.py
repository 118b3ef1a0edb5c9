"""Pixels against object masks: PxAP and mask IoU, from a histogram of levels per image.

A histogram of the 256 levels inside and outside the object says all that thresholds need, so an
image costs 4 KiB whatever its size.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import LEVELS
from pipeline.evaluation.metrics.average_precision import average_precision
from pipeline.evaluation.metrics.weights import weight_array


def level_histograms(
    levels: NDArray[np.uint8], mask: ArrayLike, ignored: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Count the pixels of each level of a uint8 (H, W) map on and off the object; (2, 256).

    `levels` come from `to_levels`; `mask` (H, W) is true on objects; pixels where `ignored` (H, W)
    is true count neither way. Raises InputError for an empty map, one that is not uint8 (H, W), and
    for a mask of another shape.
    """
    if levels.dtype != np.uint8 or levels.ndim != 2 or levels.size == 0:
        raise InputError(
            f"levels of type {levels.dtype} and shape {levels.shape}: a non-empty uint8 "
            "(height, width) map is needed; make one with to_levels"
        )
    on = np.asarray(mask, dtype=bool)
    left_out = np.zeros(levels.shape, bool) if ignored is None else np.asarray(ignored, dtype=bool)
    if not levels.shape == on.shape == left_out.shape:
        raise InputError(
            f"map {levels.shape}, mask {on.shape} and ignored pixels {left_out.shape} must be of "
            "one size"
        )
    parts = [levels[on & ~left_out], levels[~on & ~left_out]]
    return np.stack([np.bincount(part, minlength=LEVELS) for part in parts]).astype(np.float64)


def px_ap(histograms: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return PxAP, in percent: the average precision of all pixels of n images together.

    `histograms` (n, 2, 256) from `level_histograms`. Precision and recall of {level >= t} over the
    pixels of all images, for falling t, and the area under their steps (Choe et al., CVPR 2020,
    Sec. 4.1). `weights` (n,) say how often each image counts. NaN without an object pixel. Raises
    InputError for another shape, or as `weight_array` does.
    """
    counts = _histogram_array(histograms)
    on, off = np.tensordot(weight_array(weights, len(counts)), counts, axes=1)
    levels, is_on = np.tile(np.arange(LEVELS), 2), np.repeat([True, False], LEVELS)
    return 100 * average_precision(levels, is_on, on.sum(), np.concatenate([on, off]))


def mask_ious(histograms: ArrayLike) -> NDArray[np.float64]:
    """Return the IoU, in percent, of {level >= t} with the objects of each image; (n, 256).

    `histograms` (n, 2, 256) from `level_histograms`. Above the highest level of a map nothing is
    marked: 0. NaN all along the row of an image without an object pixel. The mask IoU of a data set
    is the mean at one level: `mean_of_defined(mask_ious(histograms)[:, level], weights)`. Raises
    InputError for another shape.
    """
    counts = _histogram_array(histograms)
    on, off = np.moveaxis(counts[..., ::-1].cumsum(axis=-1)[..., ::-1], 1, 0)
    objects = on[:, :1]
    ious = np.full(on.shape, np.nan)
    np.divide(100 * on, objects + off, out=ious, where=objects > 0)
    return ious


def _histogram_array(histograms: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(histograms, dtype=np.float64)
    if counts.ndim != 3 or counts.shape[1:] != (2, LEVELS):
        raise InputError(f"histograms of shape {counts.shape}: (n, 2, {LEVELS}) is needed")
    return counts
