"""Average precision: the area under the steps of a precision-recall curve."""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.metrics.weights import weight_array

Floats = NDArray[np.float64]


def average_precision(
    scores: ArrayLike,
    is_true_positive: ArrayLike,
    positives: float,
    weights: ArrayLike | None = None,
) -> float:
    """Return the average precision, 0..1, of n scored predictions.

    `scores` (n,) are finite, higher is more certain; `is_true_positive` (n,) is boolean;
    `positives` counts what there was to find, found or not. AP = sum over falling score thresholds
    of precision times the gain in recall, without interpolation; predictions with equal scores
    stand or fall together, so their order does not matter. `weights` (n,) say how often each
    prediction counts, and `positives` counts repetitions too. NaN when `positives` is 0. Raises
    InputError for unequal lengths, a score that is not finite, more true positives than positives,
    or as `weight_array` does.
    """
    score, correct = np.asarray(scores), np.asarray(is_true_positive, dtype=bool)
    if score.ndim != 1 or score.shape != correct.shape:
        raise InputError(f"scores {score.shape}, true positives {correct.shape}: both must be (n,)")
    weight = weight_array(weights, len(score))[None]
    return float(_areas(score[None], correct * weight, weight, np.array([positives]))[0])


def class_average_precision(
    scores: ArrayLike, targets: ArrayLike, correct: ArrayLike, weights: ArrayLike | None = None
) -> Floats:
    """Return the (C,) average precisions, 0..1, of C classes over n images; NaN where undefined.

    Every image is one prediction of every class: `scores` (n, C), `targets` (n, C) in
    {1: present, 0: absent, -1: ignored}. A prediction is a true positive where the class is present
    and `correct` (n, C) is true. A class without a present image is undefined. `weights` (n,) say
    how often each image counts. Raises InputError for unequal shapes, another target value, a score
    that is not finite, or as `weight_array` does.
    """
    score, target, right = np.asarray(scores), np.asarray(targets), np.asarray(correct, dtype=bool)
    if score.ndim != 2 or not score.shape == target.shape == right.shape:
        raise InputError(
            f"scores {score.shape}, targets {target.shape} and correct {right.shape} must all be "
            "(images, classes)"
        )
    if not np.isin(target, (-1, 0, 1)).all():
        raise InputError("targets must be 1 (present), 0 (absent) or -1 (ignored)")
    weight = weight_array(weights, len(score))
    present, kept = (target == 1).T * weight, (target >= 0).T * weight
    return _areas(score.T, present * right.T, kept, present.sum(axis=1))


def mean_of_defined(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the mean of the values (n,) that are not NaN; NaN when there is none.

    `weights` (n,) say how often each value counts. Raises InputError as `weight_array` does.
    """
    array = np.asarray(values, dtype=np.float64)
    weight = weight_array(weights, len(array))
    defined = ~np.isnan(array)
    total = weight[defined].sum()
    return float((weight[defined] * array[defined]).sum() / total) if total > 0 else float("nan")


def _areas(scores: ArrayLike, hits: Floats, answers: Floats, positives: Floats) -> Floats:
    """Return the areas (C,) under C curves; NaN where `positives` (C,) is 0.

    `scores` (C, n); `answers` (C, n) say how often each prediction is given and `hits` (C, n) how
    often it is right, in the unit of `positives`.
    """
    score = np.ascontiguousarray(scores, dtype=np.float64)
    if not np.isfinite(score).all():
        raise InputError(f"score {score[~np.isfinite(score)][0]}: only finite scores can be ranked")
    found = hits.sum(axis=1)
    excess = found > positives * (1 + 1e-9)  # weights that are no whole numbers add up inexactly
    if excess.any():
        raise InputError(
            f"{found[excess][0]:g} true positives but only {positives[excess][0]:g} positives to "
            "find"
        )
    rising = np.argsort(score, axis=1)
    sums = _precision_sums(score, rising, np.ascontiguousarray(hits), np.ascontiguousarray(answers))
    areas = np.full(len(score), np.nan)
    return np.divide(sums, positives, out=areas, where=positives > 0)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _precision_sums(
    scores: Floats, rising: NDArray[np.int64], hits: Floats, answers: Floats
) -> Floats:
    """Sum precision times hits gained (C,) from each curve's highest score to its lowest."""
    sums = np.zeros(len(scores))
    for curve in range(len(scores)):
        found, gained, answered = 0.0, 0.0, 0.0
        for place in range(rising.shape[1] - 1, -1, -1):
            own = rising[curve, place]
            gained += hits[curve, own]
            answered += answers[curve, own]
            if place > 0 and scores[curve, rising[curve, place - 1]] == scores[curve, own]:
                continue  # equal scores make one point of the curve
            found += gained
            if gained > 0:
                sums[curve] += found / answered * gained
            gained = 0.0
    return sums
