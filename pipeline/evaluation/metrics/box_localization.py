"""Box localization: CorLoc, MaxBoxAcc, and the GT-known, top-1, top-5 and top-5* errors.

On single-label data a predicted (class, box) counts only if both are right, so the map of an
image's own label decides every error: which of its 256 threshold boxes hit (`level_hits`),
and how many classes rank before the label (`classification.label_ranks`).
"""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import LEVELS, iou_xyxy
from pipeline.evaluation.metrics.average_precision import mean_of_defined
from pipeline.evaluation.metrics.classification import class_accuracy
from pipeline.evaluation.metrics.weights import positive_weight_array

MIN_IOU = 0.5
"""A box is right from this IoU on, the value itself included; all metrics but MaxBoxAccV2."""

V2_MIN_IOUS = (0.3, 0.5, 0.7)
"""The same for MaxBoxAccV2, which takes the mean over the three."""


class LocalizationErrors(TypedDict):
    """Percentages of images without a right answer; `top_5_star` is the papers' top-5*."""

    gt_known: float
    top_1: float
    top_5: float
    top_5_star: float


def is_located(predicted_xyxy: ArrayLike, boxes_xyxy: ArrayLike) -> bool:
    """Tell whether a predicted (4,) box, or any of (m, 4), has IoU >= 0.5 with any of (n, 4) boxes.

    False where there are none. A box of no area overlaps nothing, itself included.
    """
    return bool((iou_xyxy(np.atleast_2d(predicted_xyxy), boxes_xyxy) >= MIN_IOU).any())


def cor_loc(
    labels: ArrayLike, located: ArrayLike, classes: int, weights: ArrayLike | None = None
) -> tuple[float, NDArray[np.float64]]:
    """Return CorLoc, the mean over classes, and its per-class values (classes,), in percent.

    One entry per positive (image, class) pair: `labels` (n,) its class, `located` (n,) the answer
    of `is_located` for the boxes of that class (SPN Table 4), `weights` (n,) how often its image
    counts. A class without pairs is NaN and left out of the mean. Raises InputError as
    `class_accuracy` does.
    """
    per_class = class_accuracy(labels, located, classes, weights)
    return mean_of_defined(per_class), per_class


def level_hits(level_boxes_xyxy: ArrayLike, boxes_xyxy: ArrayLike) -> NDArray[np.bool_]:
    """Tell for each of 256 thresholds whether its box is right; (256,) bool.

    `level_boxes_xyxy` (256, 4) come from `component_boxes` of the map of the image's label,
    `boxes_xyxy` (n, 4) are the objects. Raises InputError for an image without boxes, whose
    localization cannot be judged.
    """
    if np.size(boxes_xyxy) == 0:
        raise InputError("an image without boxes cannot be judged: leave it out of localization")
    hits: NDArray[np.bool_] = np.any(iou_xyxy(level_boxes_xyxy, boxes_xyxy) >= MIN_IOU, axis=1)
    return hits


def select_threshold(hits: ArrayLike) -> int:
    """Return the level 0..255 whose boxes hit in most images; `hits` (n, 256) from `level_hits`.

    Neighbouring levels often tie: the middle of the longest run of best levels is taken (the lower
    of two middles, the lowest of equally long runs), farthest from where accuracy falls. Raises
    InputError for no images or another shape.
    """
    counts = _hits_array(hits).sum(axis=0)
    best = np.concatenate(([False], counts == counts.max(), [False]))
    starts, ends = np.flatnonzero(np.diff(best.astype(np.int8))).reshape(-1, 2).T
    longest = int(np.argmax(ends - starts))
    return int(starts[longest] + ends[longest] - 1) // 2


def select_second_threshold(hits: ArrayLike, first: int) -> int:
    """Return the level that, beside level `first`, hits in most images that `first` misses.

    `hits` (n, 256) as for `select_threshold`, whose rule for ties applies. It gives the second
    box per class of top-5* (SPG Sec. 4.2; how the two differ is our choice). Raises InputError as
    `select_threshold` does.
    """
    every = _hits_array(hits)
    return select_threshold(every | every[:, [first]])


def localization_errors(
    hits: ArrayLike,
    ranks: ArrayLike,
    first: int,
    second: int,
    weights: ArrayLike | None = None,
) -> LocalizationErrors:
    """Return the localization errors, in percent, of n single-label images (SPN T5-6, SPG T1-3).

    `hits` (n, 256) from `level_hits`; `ranks` (n,) from `label_ranks`, of the same or another
    classifier (SPG Table 3). GT-known takes the box at level `first` whatever the rank; top-1 and
    top-5 also need rank 0 and rank 0..4. Top-5* spends its five boxes on three classes: levels
    `first` and `second` for ranks 0 and 1, `first` for rank 2 (SPG Sec. 4.2). `weights` (n,) say
    how often each image counts. Raises InputError for unequal lengths or another shape, or as
    `positive_weight_array` does.
    """
    every, rank = _hits_array(hits), np.asarray(ranks)
    if rank.shape != every.shape[:1]:
        raise InputError(f"ranks {rank.shape} must give one rank for each of {len(every)} images")
    weight = positive_weight_array(weights, len(every))
    box, either_box = every[:, first], every[:, first] | every[:, second]
    star = ((rank < 2) & either_box) | ((rank == 2) & box)
    return {
        "gt_known": _error(box, weight),
        "top_1": _error((rank < 1) & box, weight),
        "top_5": _error((rank < 5) & box, weight),
        "top_5_star": _error(star, weight),
    }


def max_box_acc(hits: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return MaxBoxAcc, in percent, of n images (Choe et al., CVPR 2020, Sec. 4.1).

    `hits` (n, 256) from `level_hits`: the largest component's box, right from IoU 0.5 on. The
    threshold is the best one for the judged images themselves: that is their protocol. At the one
    chosen on validation images the same accuracy is 100 - `gt_known` of `localization_errors`.
    `weights` (n,) say how often each image counts. Raises InputError for another shape, or
    as `positive_weight_array` does.
    """
    every = _hits_array(hits)
    weight = positive_weight_array(weights, len(every))
    return float(100 * (weight @ every).max() / weight.sum())


def max_box_acc_v2(best_ious: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return MaxBoxAccV2, in percent: the mean of `max_box_acc_any` with IoU 0.3, 0.5 and 0.7.

    Each IoU has its own best threshold (Choe et al., arXiv 2007.04178, and their wsolevaluation).
    """
    return float(np.mean([max_box_acc_any(best_ious, least, weights) for least in V2_MIN_IOUS]))


def max_box_acc_any(
    best_ious: ArrayLike, min_iou: float, weights: ArrayLike | None = None
) -> float:
    """Return MaxBoxAcc, in percent, with any component as the answer and right from `min_iou` on.

    `best_ious` (n, 256) from `best_component_ious`: all components above a threshold are answers
    and the best of them counts, as in MaxBoxAccV2. `weights` and errors as for `max_box_acc`.
    """
    return max_box_acc(np.asarray(best_ious) >= min_iou, weights)


def _hits_array(hits: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(hits, dtype=bool)
    if array.ndim != 2 or array.shape[1] != LEVELS or not len(array):
        raise InputError(f"hits of shape {array.shape}: (n, {LEVELS}) with n >= 1 is needed")
    return array


def _error(correct: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    return float(100 * weight[~correct].sum() / weight.sum())
