"""Scores on single-label images: SPN Tables 5 and 6, SPG Tables 1 to 4."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.localization.boxes import LEVELS, component_boxes, mean_threshold_box
from pipeline.localization.maps import resize_map, to_levels
from pipeline.metrics.box_localization import (
    is_located,
    level_hits,
    localization_errors,
    select_second_threshold,
    select_threshold,
)
from pipeline.metrics.classification import label_ranks, top_k_error
from pipeline.protocol.pairs import Pairs


def all_level_hits(pairs: Pairs) -> NDArray[np.bool_]:
    """Tell for each image and each of 256 thresholds whether its label's box is right, (n, 256)."""
    rows = []
    for prediction, record in pairs:
        response = resize_map(prediction.map_of(record.labels[0]), record.height, record.width)
        rows.append(level_hits(component_boxes(to_levels(response)), record.boxes_xyxy))
    return np.stack(rows)


def single_label_scores(pairs: Pairs, tuning: Pairs) -> dict[str, Any]:
    """Return localization and classification errors, percent, of single-label images.

    Args:
        pairs: predictions of the test split with their records.
        tuning: those of the split that chooses the thresholds; `pairs` itself is the papers'
            own protocol.
    """
    hits = all_level_hits(pairs)
    tuning_hits = hits if tuning is pairs else all_level_hits(tuning)
    first = select_threshold(tuning_hits)
    second = select_second_threshold(tuning_hits, first)
    scores = np.stack([prediction.scores for prediction, _ in pairs])
    labels = np.array([record.labels[0] for _, record in pairs])
    errors = localization_errors(hits, label_ranks(scores, labels), first, second)
    return {
        "gt_known_error": errors["gt_known"],
        "top1_localization_error": errors["top_1"],
        "top5_localization_error": errors["top_5"],
        "top5_star_localization_error": errors["top_5_star"],
        "top1_classification_error": top_k_error(scores, labels, 1),
        "top5_classification_error": top_k_error(scores, labels, 5),
        "mean_box_error": mean_box_error(pairs),
        "threshold": first / (LEVELS - 1),
        "second_threshold": second / (LEVELS - 1),
        "n": {"test": len(pairs), "tuning": len(tuning)},
    }


def mean_box_error(pairs: Pairs) -> float:
    """Return the GT-known error, percent, of the mean-threshold box (SPN Sec. 4.3, Table 5)."""
    located = []
    for prediction, record in pairs:
        response = resize_map(prediction.map_of(record.labels[0]), record.height, record.width)
        located.append(is_located(mean_threshold_box(response), record.boxes_xyxy))
    return float(100 * (1 - np.mean(located)))
