"""Object Energy: the share of a proposal map that falls on objects (SPN Sec. 4.1, Table 1)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import box_array, union_mask
from pipeline.evaluation.localization.maps import Map, finite_map


def object_energy(energy_map: ArrayLike, boxes_xyxy: ArrayLike) -> float:
    """Return the percentage of a map's energy inside the union of the image's boxes.

    `energy_map` (H, W) is the proposal map resized to the image, at least 0 everywhere; its sum is
    divided out. `boxes_xyxy` (n, 4) are all objects, of any class. A uniform map gives the
    share of the image that the boxes cover, boxes of no area nothing. The figure of a data set is
    the mean over its images, `mean_of_defined`. Raises InputError for a map that is negative
    somewhere, all zero or not finite, and for an image without boxes, which has no Object Energy.
    """
    energy = finite_map(energy_map)
    if np.size(boxes_xyxy) == 0:
        raise InputError("an image without boxes has no Object Energy: leave it out")
    if energy.min() < 0:
        raise InputError(f"energy map holds {energy.min()}: energies must not be negative")
    total = energy.sum(dtype=np.float64)
    if total == 0:
        raise InputError("energy map is zero everywhere: it cannot be normalised to sum 1")
    inside = union_mask(boxes_xyxy, *energy.shape)
    return float(100 * energy.sum(dtype=np.float64, where=inside) / total)


def separable_object_energy(rows: ArrayLike, columns: ArrayLike, boxes_xyxy: ArrayLike) -> float:
    """Return the `object_energy` of the map outer(rows, columns), without making it.

    `rows` (H,) and `columns` (W,) are at least 0. The edges of the boxes cut the image into cells
    that lie in the union as a whole or not at all, and running sums give the energy of each: the
    time grows with the sides of the image, not with its area. Raises InputError for an image
    without boxes.
    """
    boxes = box_array(boxes_xyxy)
    if not len(boxes):
        raise InputError("an image without boxes has no Object Energy: leave it out")
    height, width = np.size(rows), np.size(columns)
    edges = np.ceil(boxes - 0.5).astype(np.int64)
    across, down = edges[:, ::2].clip(0, width), edges[:, 1::2].clip(0, height)
    xs, ys = np.unique(across), np.unique(down)
    inside = np.zeros((len(ys) - 1, len(xs) - 1))
    for (x0, x1), (y0, y1) in zip(
        np.searchsorted(xs, across), np.searchsorted(ys, down), strict=True
    ):
        inside[y0:y1, x0:x1] = 1
    above, left = (np.concatenate(([0.0], np.cumsum(side))) for side in (rows, columns))
    energy = np.diff(above[ys]) @ inside @ np.diff(left[xs])
    return float(100 * energy / (above[-1] * left[-1]))


def centred_gaussian(height: int, width: int, relative_sigma: float) -> Map:
    """Return a float32 (height, width) Gaussian in the middle of the image, with sum 1.

    Its standard deviation is `relative_sigma` of each side, so it stretches with the image as
    proposal maps do. The control for centre bias: a proposal map is worth what it gains over this.
    Raises InputError for a side below 1 px or a sigma that is not positive.
    """
    if height < 1 or width < 1 or not relative_sigma > 0:
        raise InputError(
            f"Gaussian of {height} x {width} px and relative sigma {relative_sigma}: all must be "
            "positive"
        )
    outer = np.outer(bell(height, relative_sigma), bell(width, relative_sigma))
    return np.asarray(outer / outer.sum(), dtype=np.float32)


def bell(side: int, relative_sigma: float) -> NDArray[np.float64]:
    """Return a Gaussian in the middle of `side` px, (side,), with 1 at its top."""
    offset = (np.arange(side) + 0.5) / side - 0.5
    values: NDArray[np.float64] = np.exp(-0.5 * (offset / relative_sigma) ** 2)
    return values
