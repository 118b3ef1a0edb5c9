"""Figures pooled over seeds, and their differences, with intervals over seeds and images.

The bootstrap of crossed factors (Owen, The pigeonhole bootstrap, Annals of Applied Statistics,
2007): each resample draws the seeds with replacement, draws the images with replacement, the same
ones for every seed and row, and takes the mean of a figure over the drawn seeds. A difference is
that of two rows in the same resample. So the interval holds the spread of trainings and that of
images. Three seeds tell little of the former: their variance comes out a third too small on
average. Where each seed has images of its own (the embedded scenes), equal numbers in their names
draw them, which is as good as drawing each seed's for itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics.bootstrap import INTERVAL
from studies.judging import Part

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """Figures of a row: (seeds, figures) as measured, (resamples, figures) of the mean."""

    measured: Values
    resampled: Values

    def interval(self, less: "Pooled | None" = None) -> tuple[Values, Values]:
        """Return the 95 % interval of each figure, (figures,), or of its difference to `less`."""
        values = self.resampled - (less.resampled if less else 0)
        low, high = np.array([_bounds(figure[~np.isnan(figure)]) for figure in values.T]).T
        return low, high


def pool(
    rows: Mapping[str, Sequence[Sequence[Part]]], keys: Sequence[str], resamples: int
) -> dict[str, Pooled]:
    """Return the figures `keys` of each row, dotted paths; NaN where a row has none.

    Args:
        rows: for each row and seed the parts of `judged`; every row has all seeds.
    """
    numbers = _numbers(rows)
    seeds = len(next(iter(rows.values())))
    generator = np.random.default_rng(0)
    every = [np.ones(len(images)) for images in numbers]
    measured = {name: _values(own, keys, every, numbers) for name, own in rows.items()}
    resampled: dict[str, list[Values]] = {name: [] for name in rows}
    for _ in range(resamples):
        drawn = generator.integers(0, seeds, seeds)
        counts = [_drawn(len(images), generator) for images in numbers]
        for name, own in rows.items():
            resampled[name].append(_values(own, keys, counts, numbers)[drawn].mean(axis=0))
    return {name: Pooled(measured[name], np.array(resampled[name])) for name in rows}


def _bounds(values: Values) -> Values:
    """Return the 95 % interval of one figure, NaN where no resample has it."""
    return np.percentile(values, INTERVAL) if len(values) else np.full(2, np.nan)


def _drawn(images: int, generator: np.random.Generator) -> Values:
    """Return how often each image is drawn, (images,)."""
    drawn = generator.integers(0, images, images)
    return np.bincount(drawn, minlength=images).astype(np.float64)


def _numbers(rows: Mapping[str, Sequence[Sequence[Part]]]) -> list[dict[str, int]]:
    """Return a number for each image of the first parts, of the second, and so on."""
    found: list[dict[str, int]] = []
    for parts in (parts for seeds in rows.values() for parts in seeds):
        found += [{} for _ in parts[len(found) :]]
        for part, images in zip(parts, found, strict=False):
            for id in part.ids:
                images.setdefault(id, len(images))
    return found


def _values(
    seeds: Sequence[Sequence[Part]],
    keys: Sequence[str],
    counts: Sequence[Values],
    numbers: Sequence[Mapping[str, int]],
) -> Values:
    """Return the figures (seeds, figures) where images count as often as they were drawn."""
    return np.array([_figures(parts, keys, counts, numbers) for parts in seeds])


def _figures(
    parts: Sequence[Part],
    keys: Sequence[str],
    counts: Sequence[Values],
    numbers: Sequence[Mapping[str, int]],
) -> list[float]:
    found: dict[str, Any] = {}
    for part, own, images in zip(parts, counts, numbers, strict=False):
        found |= part.statistic(own[[images[id] for id in part.ids]])
    return [_at(found, key) for key in keys]


def _at(figures: Any, key: str) -> float:
    for name in key.split("."):
        figures = figures.get(name, {}) if isinstance(figures, dict) else {}
    return float("nan") if isinstance(figures, dict) else float(figures)
