"""Scores on multi-label images: SPN Tables 1 to 4 and the mAP columns of Table 6."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.record import Record
from pipeline.localization.boxes import mean_threshold_box
from pipeline.localization.maps import Map, resize_map
from pipeline.localization.predictions import Prediction
from pipeline.metrics.average_precision import mean_of_defined
from pipeline.metrics.box_localization import cor_loc, is_located
from pipeline.metrics.classification import mean_average_precision
from pipeline.metrics.object_energy import centred_gaussian, object_energy
from pipeline.metrics.pointing import (
    PointingAccuracy,
    difficult_pairs,
    is_hit,
    point_of_maximum,
    pointing_classes,
    pointing_with_prediction,
)
from pipeline.params import EvaluateParams
from pipeline.protocol.pairs import Pairs

CENTRE_SIGMA = 0.25
"""Standard deviation of the centred Gaussian control, as a share of each side."""


def test_scores(pairs: Pairs, classes: tuple[str, ...], params: EvaluateParams) -> dict[str, Any]:
    """Return pointing (model and image centre), its mAP, and the classification mAP, percent.

    Args:
        pairs: predictions of the test split with their records.
    """
    model, centre = PointingAccuracy(classes), PointingAccuracy(classes)
    scores = np.zeros((len(pairs), len(classes)), dtype=np.float32)
    targets = np.zeros(scores.shape, dtype=np.int64)
    hits = np.zeros(scores.shape, dtype=bool)
    for row, (prediction, record) in enumerate(pairs):
        scores[row] = prediction.scores
        targets[row] = targets_of(record, len(classes))
        points = class_points(prediction, record, len(classes))
        difficult = difficult_pairs(
            record.boxes_xyxy, record.box_labels, record.width, record.height
        )
        middle, rule = (record.width // 2, record.height // 2), params.pointing_rule
        for label in pointing_classes(record.box_labels, record.difficult):
            boxes, hard = boxes_of(record, label), label in difficult
            model.add(label, is_hit(points[label], boxes, params.pointing_tolerance, rule), hard)
            centre.add(label, is_hit(middle, boxes, params.pointing_tolerance, rule), hard)
        hits[row] = [
            is_hit(point, boxes_of(record, label), params.prediction_tolerance, rule)
            for label, point in enumerate(points)
        ]
    pointing, centred = model.compute(), centre.compute()
    return {
        "pointing": {key: pointing[key] for key in ("all", "difficult", "per_class")},
        "center_pointing": {key: centred[key] for key in ("all", "difficult")},
        "pointing_with_prediction_map": pointing_with_prediction(scores, targets, hits)[0],
        "classification_map": mean_average_precision(scores, targets)[0],
        "n": {
            "test": len(pairs),
            "pointing_all": pointing["n"],
            "pointing_difficult": pointing["n_difficult"],
        },
    }


def targets_of(record: Record, classes: int) -> NDArray[np.int64]:
    """Return (C,) in {1: present, 0: absent, -1: present only as `difficult`}."""
    targets = np.zeros(classes, dtype=np.int64)
    targets[record.box_labels] = -1
    targets[list(record.labels)] = 1
    return targets


def boxes_of(record: Record, label: int) -> NDArray[np.float32]:
    """Return the boxes (n, 4) of one class."""
    return record.boxes_xyxy[record.box_labels == label]


def class_points(prediction: Prediction, record: Record, classes: int) -> list[tuple[int, int]]:
    """Return the pixel (x, y) of the maximum of each class's map at the image's size."""
    maps = (prediction.map_of(label) for label in range(classes))
    return [point_of_maximum(resize_map(m, record.height, record.width)) for m in maps]


def localization_scores(
    pairs: Iterable[tuple[Prediction, Record]], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Return CorLoc of positive (image, class) pairs, percent, each class and mean (SPN Table 4).

    One box per pair: the tight box of all pixels above the mean response (SPN Sec. 4.3).

    Args:
        pairs: predictions of the train and validation splits with their records.
    """
    labels, located = [], []
    for prediction, record in pairs:
        for label in record.labels:
            response = resize_map(prediction.map_of(label), record.height, record.width)
            labels.append(label)
            located.append(is_located(mean_threshold_box(response), boxes_of(record, label)))
    mean, per_class = cor_loc(labels, located, len(classes))
    named = {c: float(v) for c, v in zip(classes, per_class, strict=True) if not np.isnan(v)}
    return {"mean": mean, "per_class": named}


def mean_object_energy(maps: Iterable[Map], records: Iterable[Record]) -> float:
    """Return the mean Object Energy, percent, of proposal maps (h, w) (SPN Table 1)."""
    return mean_of_defined(
        [
            object_energy(resize_map(m, record.height, record.width), record.boxes_xyxy)
            for m, record in zip(maps, records, strict=True)
            if len(record.boxes_xyxy)
        ]
    )


def control_maps(count: int, height: int, width: int) -> dict[str, list[Map]]:
    """Return `count` proposal maps that look at no image: uniform, and a Gaussian in the centre."""
    uniform = np.full((height, width), 1 / (height * width), dtype=np.float32)
    gaussian = centred_gaussian(height, width, CENTRE_SIGMA)
    return {"uniform": [uniform] * count, "gaussian": [gaussian] * count}
