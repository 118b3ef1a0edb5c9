"""Weights: how often each image counts in a metric, which is what a bootstrap varies."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError


def weight_array(weights: ArrayLike | None, count: int) -> NDArray[np.float64]:
    """Return the weights (count,) as float64; None means that everything counts once.

    A weight of 2 is worth a repetition, 0 leaves out. Raises InputError for another shape, and for
    a weight that is negative or not finite.
    """
    if weights is None:
        return np.ones(count)
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (count,):
        raise InputError(f"weights of shape {array.shape}: one for each of {count} is needed")
    usable = np.isfinite(array) & (array >= 0)
    if not usable.all():
        raise InputError(f"weight {array[~usable][0]}: weights are finite and not negative")
    return array


def positive_weight_array(weights: ArrayLike | None, count: int) -> NDArray[np.float64]:
    """Return `weight_array`; InputError as there, and when nothing is left to count."""
    array = weight_array(weights, count)
    if not array.any():
        raise InputError("no images to judge: a metric over images needs at least one that counts")
    return array
