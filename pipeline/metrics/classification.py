"""Classification: mean average precision, the rank of the label, top-k error."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.metrics.average_precision import class_average_precision, mean_of_defined


def mean_average_precision(
    scores: ArrayLike, targets: ArrayLike
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean AP and the AP of each class, in percent, of multi-label scores.

    `scores` (n, C); `targets` (n, C) in {1: present, 0: absent, -1: ignored}, -1 being VOC's
    images that show a class only as `difficult`. Classes without a positive have AP NaN and
    are left out of the mean, which is NaN if there are no others. Raises InputError as
    `class_average_precision` does.
    """
    everywhere = np.ones(np.shape(targets), dtype=bool)
    per_class = 100 * class_average_precision(scores, targets, everywhere)
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


def top_k_error(scores: ArrayLike, labels: ArrayLike, k: int) -> float:
    """Return the percentage of images whose label is not among the k best-scored classes.

    Ranks, and so ties, are those of `label_ranks`. With k >= C every label is found: 0. Raises
    InputError for k below 1, no images, or as `label_ranks` does.
    """
    ranks = label_ranks(scores, labels)
    if k < 1 or not len(ranks):
        raise InputError(f"top-{k} error of {len(ranks)} images: both must be at least 1")
    return float(100 * (ranks >= k).mean())


def class_accuracy(labels: ArrayLike, correct: ArrayLike, classes: int) -> NDArray[np.float64]:
    """Return per class the percentage of its n (image, class) pairs that are correct; (classes,).

    `labels` (n,) in 0..classes-1 names the class of each pair, `correct` (n,) is boolean. NaN for a
    class without pairs. Raises InputError for unequal lengths or a label out of range.
    """
    label, right = np.asarray(labels, dtype=np.int64), np.asarray(correct, dtype=bool)
    if label.ndim != 1 or label.shape != right.shape:
        raise InputError(f"labels {label.shape} and correct {right.shape} must both be (n,)")
    if not np.isin(label, np.arange(classes)).all():
        raise InputError(f"labels must be classes 0..{classes - 1}")
    pairs = np.bincount(label, minlength=classes)
    hits = np.bincount(label[right], minlength=classes)
    accuracy = np.full(classes, np.nan)
    np.divide(100.0 * hits, pairs, out=accuracy, where=pairs > 0)
    return accuracy
