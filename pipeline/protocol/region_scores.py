"""Scores of a detector that classifies proposals: SPN Table 4."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline.datasets.record import Record
from pipeline.localization.detections import Detection
from pipeline.metrics.bootstrap import Weights
from pipeline.metrics.box_localization import cor_loc, is_located
from pipeline.metrics.classification import mean_average_precision
from pipeline.params import Params
from pipeline.protocol.estimates import Figures, by_class, estimate
from pipeline.protocol.multi_label import targets_of

Pairs = Iterable[tuple[Detection, Record]]
"""Detections, each beside the record of its image; read once."""


def region_scores(
    training: Pairs, test: Pairs, classes: tuple[str, ...], params: Params
) -> dict[str, Any]:
    """Return CorLoc of `training` and the classification mAP of `test`, in percent.

    Args:
        training: the train and validation splits, on which CorLoc is measured.

    Returns:
        `cor_loc` with `mean` and `per_class`, and `classification_map`, each with its 95 %
        interval over images and left out where undefined; `n`, the numbers of images.

    Raises:
        InputError: there are no images to score.
    """
    located, trainval = corloc_figures(training, classes, params)
    classified, tested = classification_figures(test, classes, params)
    return located | classified | {"n": {"trainval": trainval, "test": tested}}


def corloc_figures(pairs: Pairs, classes: tuple[str, ...], params: Params) -> tuple[Figures, int]:
    """Return CorLoc of positive (image, class) pairs, and the number of images.

    A pair is located if the top-scoring proposal of the class has IoU >= 0.5 with one of its boxes
    (SPN Sec. 4.3).
    """
    images, labels, located, count = [], [], [], 0
    for index, (detection, record) in enumerate(pairs):
        for label in record.labels:
            boxes = record.boxes_xyxy[record.box_labels == label]
            images.append(index)
            labels.append(label)
            located.append(is_located(detection.boxes_xyxy[label], boxes))
        count = index + 1
    image_of = np.array(images, np.int64)

    def statistic(weights: Weights) -> Figures:
        mean, per_class = cor_loc(labels, located, len(classes), weights[image_of])
        return {"cor_loc": {"mean": mean, "per_class": by_class(classes, per_class)}}

    return estimate(statistic, count, params), count


def classification_figures(
    pairs: Pairs, classes: tuple[str, ...], params: Params
) -> tuple[Figures, int]:
    """Return the mean average precision of the probabilities of classes, and the images' number."""
    rows = [(found.scores, targets_of(record, len(classes))) for found, record in pairs]
    scores = np.array([score for score, _ in rows])
    targets = np.array([target for _, target in rows])

    def statistic(weights: Weights) -> Figures:
        return {"classification_map": mean_average_precision(scores, targets, weights)[0]}

    return estimate(statistic, len(rows), params), len(rows)
