"""Object Energy: the share of a proposal map that falls on objects (SPN Sec. 4.1, Table 1)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import union_mask
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
    outer = np.outer(_bell(height, relative_sigma), _bell(width, relative_sigma))
    return np.asarray(outer / outer.sum(), dtype=np.float32)


def _bell(side: int, relative_sigma: float) -> NDArray[np.float64]:
    offset = (np.arange(side) + 0.5) / side - 0.5
    bell: NDArray[np.float64] = np.exp(-0.5 * (offset / relative_sigma) ** 2)
    return bell
