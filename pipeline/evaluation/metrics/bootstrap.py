"""Bootstrap: how far a metric could move if other images of the same kind had been drawn.

The percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Sec. 13.3).
Images are what is resampled: a test set of n images is drawn n times with replacement, and all
pairs, boxes and pixels of an image come along with it. Nothing else is: a threshold chosen on the
validation images stays the one chosen, the network stays the one trained, so the interval holds no
spread of training seeds. Repeated images flatter a metric that ranks images or takes the best of
many thresholds (AP, MaxBoxAcc): its interval leans upwards, the more so the fewer images there are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Weights = NDArray[np.float64]

INTERVAL = (2.5, 97.5)
"""Percentiles of the resampled values that bound the 95 % interval."""


@dataclass(frozen=True)
class Estimate:
    """A metric in percent and its 95 % interval over images, all NaN where undefined."""

    value: float
    low: float
    high: float


class Bootstrap:
    """Resamples of n images, the same ones for every statistic."""

    def __init__(self, images: int, resamples: int, seed: int) -> None:
        """Raise InputError for no images or no resamples."""
        if images < 1 or resamples < 1:
            raise InputError(
                f"bootstrap of {images} images in {resamples} resamples: both must be at least 1; "
                "is the split empty?"
            )
        self._images, self._resamples, self._seed = images, resamples, seed

    def estimate(self, statistic: Callable[[Weights], float]) -> Estimate:
        """Return the estimate of one number; `statistic` and the result as in `estimates`."""
        return self.estimates(lambda weights: np.array([statistic(weights)]))[0]

    def estimates(self, statistic: Callable[[Weights], NDArray[np.float64]]) -> list[Estimate]:
        """Return the estimates of the k numbers that a statistic gives.

        `statistic` takes weights (n,), how often each image counts (all 1: the plain value), and
        returns (k,) in percent. A resample in which a number is NaN, for want of an image of the
        class, has no say in its interval; a plain value of NaN has none; nor has one that no
        resample defines (low and high are NaN). With one image, low and high equal the value.
        """
        plain = np.asarray(statistic(np.ones(self._images)), dtype=np.float64)
        resampled = np.stack([statistic(weights) for weights in self._draws()])
        return [
            Estimate(float(value), *_interval(column[~np.isnan(column)], float(value)))
            for value, column in zip(plain, resampled.T, strict=True)
        ]

    def _draws(self) -> Iterator[Weights]:
        """Yield the weights of each resample, whole numbers of sum n: multinomial counts."""
        generator = np.random.default_rng(self._seed)
        for _ in range(self._resamples):
            drawn = generator.integers(0, self._images, self._images)
            yield np.bincount(drawn, minlength=self._images).astype(np.float64)


def _interval(resampled: NDArray[np.float64], plain: float) -> tuple[float, float]:
    if np.isnan(plain) or not resampled.size:
        return float("nan"), float("nan")
    low, high = np.percentile(resampled, INTERVAL)
    return float(low), float(high)
