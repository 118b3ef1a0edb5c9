"""Average precision: the area under the steps of a precision-recall curve."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError


def average_precision(scores: ArrayLike, is_true_positive: ArrayLike, positives: int) -> float:
    """Return the average precision, 0..1, of n scored predictions.

    `scores` (n,) are finite, higher is more certain; `is_true_positive` (n,) is boolean;
    `positives` counts what there was to find, found or not. AP = sum over falling score thresholds
    of precision times the gain in recall, without interpolation; predictions with equal scores
    stand or fall together, so their order does not matter. NaN when `positives` is 0. Raises
    InputError for unequal lengths, a score that is not finite, or more true positives than
    positives.
    """
    score = np.asarray(scores, dtype=np.float64)
    correct = np.asarray(is_true_positive, dtype=bool)
    _check(score, correct, positives)
    if positives == 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    group_ends = np.flatnonzero(np.diff(score[order], append=-np.inf))
    found = np.cumsum(correct[order])[group_ends]
    precision = found / (group_ends + 1)
    recall_gain = np.diff(found, prepend=0) / positives
    return float(precision @ recall_gain)


def class_average_precision(
    scores: ArrayLike, targets: ArrayLike, correct: ArrayLike
) -> NDArray[np.float64]:
    """Return the (C,) average precisions, 0..1, of C classes over n images; NaN where undefined.

    Every image is one prediction of every class: `scores` (n, C), `targets` (n, C) in
    {1: present, 0: absent, -1: ignored}. A prediction is a true positive where the class is present
    and `correct` (n, C) is true. A class without a present image is undefined. Raises InputError
    for unequal shapes, another target value, or a score that is not finite.
    """
    score, target, right = np.asarray(scores), np.asarray(targets), np.asarray(correct, dtype=bool)
    if score.ndim != 2 or not score.shape == target.shape == right.shape:
        raise InputError(
            f"scores {score.shape}, targets {target.shape} and correct {right.shape} must all be "
            "(images, classes)"
        )
    if not np.isin(target, (-1, 0, 1)).all():
        raise InputError("targets must be 1 (present), 0 (absent) or -1 (ignored)")
    per_class = []
    for c in range(score.shape[1]):
        kept, present = target[:, c] >= 0, target[:, c] == 1
        hits = (present & right[:, c])[kept]
        per_class.append(average_precision(score[kept, c], hits, int(present.sum())))
    return np.array(per_class, dtype=np.float64)


def mean_of_defined(values: ArrayLike) -> float:
    """Return the mean of the values that are not NaN; NaN when there is none."""
    array = np.asarray(values, dtype=np.float64)
    defined = array[~np.isnan(array)]
    return float(defined.mean()) if defined.size else float("nan")


def _check(score: NDArray[np.float64], correct: NDArray[np.bool_], positives: int) -> None:
    if score.ndim != 1 or score.shape != correct.shape:
        raise InputError(f"scores {score.shape}, true positives {correct.shape}: both must be (n,)")
    if not np.isfinite(score).all():
        raise InputError(f"score {score[~np.isfinite(score)][0]}: only finite scores can be ranked")
    if correct.sum() > positives:
        raise InputError(f"{correct.sum()} true positives but only {positives} positives to find")
