"""Classification: mean average precision, the rank of the label, top-k error."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.metrics.average_precision import class_average_precision, mean_of_defined
from pipeline.evaluation.metrics.weights import positive_weight_array, weight_array


def mean_average_precision(
    scores: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean AP and the AP of each class, in percent, of multi-label scores.

    `scores` (n, C); `targets` (n, C) in {1: present, 0: absent, -1: ignored}, -1 being VOC's
    images that show a class only as `difficult`. Classes without a positive have AP NaN and
    are left out of the mean, which is NaN if there are no others. `weights` (n,) say how often each
    image counts. Raises InputError as `class_average_precision` does.
    """
    everywhere = np.ones(np.shape(targets), dtype=bool)
    per_class = 100 * class_average_precision(scores, targets, everywhere, weights)
    return mean_of_defined(per_class), per_class


def label_ranks(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """Return how many classes rank before each image's label: (n,) in 0..C-1, 0 is the first.

    `scores` (n, C) finite, `labels` (n,) in 0..C-1. Of classes with equal scores the lower index
    ranks first. Raises InputError for unequal lengths, a label out of range, or a score that is not
    finite.
    """
    score, label = np.asarray(scores), np.asarray(labels)
    if score.ndim != 2 or label.shape != score.shape[:1]:
        raise InputError(f"scores {score.shape} must be (n, classes) and labels {label.shape} (n,)")
    classes = np.arange(score.shape[1])
    if not np.isin(label, classes).all():
        raise InputError(f"labels must be classes 0..{score.shape[1] - 1}")
    if not np.isfinite(score).all():
        raise InputError(f"score {score[~np.isfinite(score)][0]}: only finite scores can be ranked")
    label = label.astype(np.int64)  # an empty list arrives as floats
    own = score[np.arange(len(label)), label][:, None]
    before = (score > own) | ((score == own) & (classes < label[:, None]))
    ranks: NDArray[np.int64] = before.sum(axis=1)
    return ranks


def top_k_error(ranks: ArrayLike, k: int, weights: ArrayLike | None = None) -> float:
    """Return the percentage of images whose label is not among the k best-scored classes.

    `ranks` (n,) from `label_ranks`, `weights` (n,) say how often each image counts. Raises
    InputError for k below 1, ranks that are not (n,), or as `positive_weight_array` does.
    """
    rank = np.asarray(ranks)
    if k < 1 or rank.ndim != 1:
        raise InputError(f"top-{k} error of ranks {rank.shape}: k >= 1 and ranks (n,) are needed")
    weight = positive_weight_array(weights, len(rank))
    return float(100 * weight[rank >= k].sum() / weight.sum())


def class_accuracy(
    labels: ArrayLike, correct: ArrayLike, classes: int, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return per class the percentage of its n (image, class) pairs that are correct; (classes,).

    `labels` (n,) in 0..classes-1 names the class of each pair, `correct` (n,) is boolean, `weights`
    (n,) say how often each pair counts: the weight of its image. NaN for a class without pairs.
    Raises InputError for unequal lengths, a label out of range, or as `weight_array` does.
    """
    label, right = np.asarray(labels, dtype=np.int64), np.asarray(correct, dtype=bool)
    if label.ndim != 1 or label.shape != right.shape:
        raise InputError(f"labels {label.shape} and correct {right.shape} must both be (n,)")
    if not np.isin(label, np.arange(classes)).all():
        raise InputError(f"labels must be classes 0..{classes - 1}")
    weight = weight_array(weights, len(label))
    pairs = np.bincount(label, weight, minlength=classes)
    hits = np.bincount(label, weight * right, minlength=classes)
    accuracy = np.full(classes, np.nan)
    np.divide(100.0 * hits, pairs, out=accuracy, where=pairs > 0)
    return accuracy
