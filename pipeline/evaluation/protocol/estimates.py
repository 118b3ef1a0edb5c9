"""Figures and their intervals: one pass over the images, then the bootstrap."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isnan
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.metrics.bootstrap import Bootstrap, Estimate, Weights
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.params import InputParams, Params

Figures = dict[str, Any]
"""Numbers in percent, nested by name; NaN where undefined."""

Statistic = Callable[[Weights], Figures]
"""Weights (n,), how often each image counts -> the same figures, in the same order, each time."""


class Measure(Protocol):
    """What is noted of each image, a few numbers and no map, and the figures that follow."""

    def note(self, answer: Answer) -> None:
        """Note one image; images come in the order of their weights."""

    def statistic(self) -> Statistic:
        """Return the figures of the images noted so far, as a function of their weights."""


class Judged(NamedTuple):
    """What the predictions of some images come to, without any map.

    Attributes:
        statistic: the figures that the images give.
        images: their number.
        fixed: counts and thresholds, which do not depend on the images' weights.
    """

    statistic: Statistic
    images: int
    fixed: Figures

    def scores(self, params: Params) -> Figures:
        """Return the `estimate` of each figure, and what is fixed."""
        return estimate(self.statistic, self.images, params) | self.fixed


def measure(
    pairs: Pairs, measures: Sequence[Measure], params: InputParams
) -> tuple[Statistic, int]:
    """Return the figures of all measures and the number of images; one pass, in flat memory.

    Raises:
        InputError: there are no images, none of them has a label or a box, or a map is not finite.
    """
    images, known = 0, False
    for prediction, record in pairs:
        answer = Answer(prediction, record, params.align_corners)
        for each in measures:
            each.note(answer)
        images, known = images + 1, known or bool(record.labels or len(record.boxes_xyxy))
    if not known:
        raise InputError(
            f"nothing to score: {images} image(s) without a label and without a box; check the "
            "lists and annotations of the data set"
        )
    statistics = [each.statistic() for each in measures]

    def figures(weights: Weights) -> Figures:
        return {name: value for each in statistics for name, value in each(weights).items()}

    return figures, images


def merged(parts: Iterable[Judged], params: Params) -> Figures:
    """Return the scores of all parts together; `n` has the counts of each."""
    scores: Figures = {}
    for part in parts:
        own = part.scores(params)
        scores |= own | {"n": scores.get("n", {}) | own["n"]}
    return scores


def estimate(statistic: Statistic, images: int, params: Params) -> Figures:
    """Return {"value", "low", "high"} for each figure: a 95 % bootstrap interval over images.

    Undefined figures, such as the accuracy of a class that no image shows, are left out.
    """
    bootstrap = Bootstrap(images, params.evaluate.resamples, params.seed)
    found = bootstrap.estimates(lambda weights: np.array([*_leaves(statistic(weights))]))
    return _nested(statistic(np.ones(images)), iter(found))


def of_some(chosen: NDArray[np.int64], statistic: Statistic) -> Statistic:
    """Return the figures of some images, by number, as a function of the weights of all.

    NaN where none of them is drawn; no figures at all if there are no such images.

    Args:
        statistic: of the weights (k,) of these images alone.
    """
    if not len(chosen):
        return lambda weights: {}
    layout = _undefined(statistic(np.ones(len(chosen))))

    def figures(weights: Weights) -> Figures:
        own = weights[chosen]
        return statistic(own) if own.any() else layout

    return figures


def _undefined(figures: Figures) -> Figures:
    """Return the same figures, all of them NaN."""
    return {
        name: _undefined(value) if isinstance(value, dict) else float("nan")
        for name, value in figures.items()
    }


def boxed_count(name: str, images: int, boxed: int) -> dict[str, int]:
    """Return how many of the `images` have boxes, as "<name>_boxed", where not all have.

    So this count tells reports why a figure is absent, and what is behind the others.
    """
    return {f"{name}_boxed": boxed} if boxed < images else {}


def by_class(classes: tuple[str, ...], values: ArrayLike) -> Figures:
    """Return the values (C,) by the names of their classes."""
    return dict(zip(classes, np.asarray(values, np.float64).tolist(), strict=True))


def _leaves(figures: Figures) -> Iterator[float]:
    for value in figures.values():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield value


def _nested(layout: Figures, found: Iterator[Estimate]) -> Figures:
    """Put the estimates, in the order of `_leaves`, where the figures of `layout` stand."""
    filled = {
        name: _nested(value, found) if isinstance(value, dict) else _plain(next(found))
        for name, value in layout.items()
    }
    return {name: value for name, value in filled.items() if value is not None}


def _plain(found: Estimate) -> dict[str, float] | None:
    numbers = {"value": found.value, "low": found.low, "high": found.high}
    return None if any(map(isnan, numbers.values())) else numbers
