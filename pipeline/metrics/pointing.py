"""Pointing: does the pixel of maximum response lie on the object (SPN Sec. 4.2, Tables 2 and 3)."""

from typing import Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.localization.boxes import box_array, union_mask
from pipeline.localization.maps import finite_map
from pipeline.metrics.average_precision import class_average_precision, mean_of_defined
from pipeline.metrics.classification import class_accuracy

SMALL_SHARE = 0.25
"""A pair of the difficult subset covers less than this share of its image."""


class PointingResult(TypedDict):
    """Pointing localization accuracy, percent: means over classes, each class, counts of pairs."""

    all: float
    difficult: float
    per_class: dict[str, float]
    per_class_difficult: dict[str, float]
    n: int
    n_difficult: int


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
    tolerance 0 the box [0, 0, 10, 10) holds pixel 9 and not pixel 10. No boxes: False. The papers
    use 15 px, and 18 px with prediction. Raises InputError for a negative tolerance or boxes that
    are no (n, 4).
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
    are judged against all their boxes, the difficult ones included.
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


def pointing_with_prediction(
    scores: ArrayLike, targets: ArrayLike, hits: ArrayLike
) -> tuple[float, NDArray[np.float64]]:
    """Return mean AP and each class's AP, in percent, of scored points (SPN Table 3; Oquab 2015).

    One prediction per image and class: its score is the class score (n, C), and it is a true
    positive if the class is present and its point is within 18 px of a box of the class: `hits`
    (n, C), see `is_hit`. `targets` (n, C) in {1: present, 0: absent, -1: ignored}; ignore a class
    in images that show it only as `difficult`. Classes without a positive have AP NaN and are left
    out of the mean. Raises InputError as `class_average_precision` does.
    """
    per_class = 100 * class_average_precision(scores, targets, hits)
    return mean_of_defined(per_class), per_class


class PointingAccuracy:
    """Per-class Hits / (Hits + Misses), over all pairs and over the difficult subset."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._labels: list[int] = []
        self._hits: list[bool] = []
        self._difficult: list[bool] = []

    def add(self, label: int, hit: bool, difficult: bool) -> None:
        """Count one (image, class) pair of `pointing_classes`; `difficult` as `difficult_pairs`.

        Raises InputError for a label that is no index into the classes.
        """
        if not 0 <= label < len(self._classes):
            raise InputError(f"label {label} is not one of the {len(self._classes)} classes")
        self._labels.append(label)
        self._hits.append(hit)
        self._difficult.append(difficult)

    def compute(self) -> PointingResult:
        """Return the accuracies so far; a mean over no pairs is NaN, such a class is absent."""
        labels, hits = np.array(self._labels, dtype=np.int64), np.array(self._hits, dtype=bool)
        subset = np.array(self._difficult, dtype=bool)
        every = class_accuracy(labels, hits, len(self._classes))
        hard = class_accuracy(labels[subset], hits[subset], len(self._classes))
        return {
            "all": mean_of_defined(every),
            "difficult": mean_of_defined(hard),
            "per_class": self._by_name(every),
            "per_class_difficult": self._by_name(hard),
            "n": len(labels),
            "n_difficult": int(subset.sum()),
        }

    def _by_name(self, accuracy: NDArray[np.float64]) -> dict[str, float]:
        named = zip(self._classes, accuracy, strict=True)
        return {name: float(value) for name, value in named if not np.isnan(value)}
