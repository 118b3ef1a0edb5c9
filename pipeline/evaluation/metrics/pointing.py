"""Pointing: does the pixel of maximum response lie on the object (SPN Sec. 4.2, Tables 2 and 3)."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import box_array, union_mask
from pipeline.evaluation.localization.maps import finite_map
from pipeline.evaluation.metrics.average_precision import class_average_precision, mean_of_defined
from pipeline.evaluation.metrics.classification import class_accuracy

SMALL_SHARE = 0.25
"""A pair of the difficult subset covers less than this share of its image."""


def point_of_maximum(response_map: ArrayLike) -> tuple[int, int]:
    """Return the pixel (x, y) of a (H, W) map's maximum, the first in row-major order of equals.

    A constant map therefore points at (0, 0). Raises InputError as `finite_map` does.
    """
    checked = finite_map(response_map)
    y, x = np.unravel_index(int(checked.argmax()), checked.shape)
    return int(x), int(y)


Rule = Literal["box", "disc"]


def is_hit(
    point: tuple[int, int], boxes_xyxy: ArrayLike, tolerance: float, rule: Rule = "box"
) -> bool:
    """Tell whether the pixel `point` (x, y) hits one of the boxes within `tolerance` px.

    By "box" it lies in a box enlarged by the tolerance on each side; by "disc" it is not farther
    than that from a box, which differs beyond corners alone (the pointing game of Zhang et al.,
    ECCV 2016). `boxes_xyxy` (n, 4) are half-open and a pixel lies where its centre does, so with
    tolerance 0 the box [0, 0, 10, 10) holds pixel 9 and not pixel 10, and a box of no area holds
    none. TorchRay measures between pixel centres and excludes the tolerance itself, so it is up to
    one pixel stricter. No boxes: False. The papers use 15 px, and 18 px with prediction. Raises
    InputError for a negative tolerance or boxes that are no (n, 4).
    """
    if tolerance < 0:
        raise InputError(f"tolerance {tolerance} px: it must not be negative")
    boxes, centre = box_array(boxes_xyxy), np.asarray(point) + 0.5
    from_start, to_end = centre - boxes[:, :2], boxes[:, 2:] - centre
    near = ((from_start >= -tolerance) & (to_end > -tolerance)).all(axis=1)
    if rule == "disc":
        outside = np.maximum(-from_start, -to_end).clip(min=0)
        near &= np.hypot(*outside.T) <= tolerance
    return bool(near.any())


def pointing_classes(box_labels: ArrayLike, difficult: ArrayLike) -> NDArray[np.int64]:
    """Return the classes of an image that pointing asks for, ascending.

    `box_labels` (n,) and `difficult` (n,) describe the image's boxes. A class is skipped when all
    its boxes are flagged `difficult` (the rule of VOC and of c-MWP, ECCV 2016); hits of the others
    are judged against all their boxes, the difficult ones included. An image whose boxes are all
    difficult, or that has none, is asked for nothing.
    """
    labels, flags = np.asarray(box_labels, dtype=np.int64), np.asarray(difficult, dtype=bool)
    return np.unique(labels[~flags])


def difficult_pairs(
    boxes_xyxy: ArrayLike, box_labels: ArrayLike, width: int, height: int
) -> NDArray[np.int64]:
    """Return the classes of an image that belong to the difficult subset, ascending (SPN Table 2).

    The union of a class's boxes covers less than a quarter of the width x height image and the
    image has a box of another class. Boxes (n, 4) and labels (n,) include those flagged
    `difficult`: flagged objects distract like others.
    """
    boxes, labels = box_array(boxes_xyxy), np.asarray(box_labels, dtype=np.int64)
    present = np.unique(labels)
    if len(present) < 2:
        return present[:0]
    small = [union_mask(boxes[labels == c], height, width).mean() < SMALL_SHARE for c in present]
    difficult: NDArray[np.int64] = present[np.array(small)]
    return difficult


def pointing_accuracy(
    labels: ArrayLike, hits: ArrayLike, classes: int, weights: ArrayLike | None = None
) -> tuple[float, NDArray[np.float64]]:
    """Return Hits / (Hits + Misses), the mean over classes and each class (classes,), in percent.

    One entry per (image, class) pair of `pointing_classes`, for SPN Table 2's difficult subset per
    pair of `difficult_pairs` among them: `labels` (n,) its class, `hits` (n,) the answer of
    `is_hit`, `weights` (n,) how often its image counts. A class without pairs is NaN and left out
    of the mean. Raises InputError as `class_accuracy` does.
    """
    per_class = class_accuracy(labels, hits, classes, weights)
    return mean_of_defined(per_class), per_class


def pointing_with_prediction(
    scores: ArrayLike, targets: ArrayLike, hits: ArrayLike, weights: ArrayLike | None = None
) -> tuple[float, NDArray[np.float64]]:
    """Return mean AP and each class's AP, in percent, of scored points (SPN Table 3; Oquab 2015).

    One prediction per image and class: its score is the class score (n, C), and it is a true
    positive if the class is present and its point is within 18 px of a box of the class: `hits`
    (n, C), see `is_hit`. `targets` (n, C) in {1: present, 0: absent, -1: ignored}; ignore a class
    in images that show it only as `difficult`. Classes without a positive have AP NaN and are left
    out of the mean. `weights` (n,) say how often each image counts. Raises InputError as
    `class_average_precision` does.
    """
    per_class = 100 * class_average_precision(scores, targets, hits, weights)
    return mean_of_defined(per_class), per_class
