"""Scores on single-label images: SPN Tables 5 and 6, SPG Tables 1 to 4."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import (
    LEVELS,
    best_component_ious,
    component_boxes,
    mean_threshold_box,
)
from pipeline.evaluation.localization.maps import to_levels
from pipeline.evaluation.metrics.average_precision import mean_of_defined
from pipeline.evaluation.metrics.bootstrap import Weights
from pipeline.evaluation.metrics.box_localization import (
    is_located,
    level_hits,
    localization_errors,
    max_box_acc,
    max_box_acc_any,
    max_box_acc_v2,
    select_second_threshold,
    select_threshold,
)
from pipeline.evaluation.metrics.classification import class_accuracy, top_k_error
from pipeline.evaluation.metrics.masks import level_histograms, mask_ious, px_ap
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.estimates import Figures, Judged, by_class
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.params import InputParams


def single_label_figures(
    pairs: Pairs, tuning: Pairs, classes: tuple[str, ...], params: InputParams
) -> Judged:
    """Return localization and classification errors, percent.

    Besides them MaxBoxAcc, MaxBoxAccV2 with its parts at IoU 0.3 and 0.7 and, where images have
    masks, PxAP and mask IoU.
    Thresholds are plain shares of a map's range.

    Args:
        pairs: predictions of the test split, with the maps of the images' own classes, and their
            records.
        tuning: those of the split that chooses the thresholds; `pairs` itself is the papers'
            own protocol.

    Raises:
        InputError: a split is empty, an image has no box, a map is not finite.
    """
    judged = outcomes_of(pairs, params)
    tuned = judged if tuning is pairs else outcomes_of(tuning, params)
    boxes, masks = BoxScores(judged, tuned, classes), MaskScores(judged, tuned)

    def figures(weights: Weights) -> Figures:
        return boxes.figures(weights) | masks.figures(weights)

    count = {"test": len(judged.labels), "tuning": len(tuned.labels)}
    fixed = {**boxes.thresholds(), **masks.thresholds(), "n": count}
    return Judged(figures, len(judged.labels), fixed)


@dataclass(frozen=True)
class Outcomes:
    """What the predictions of a split come to, image by image, without any map.

    Attributes:
        labels: (n,) the images' classes.
        ranks: (n,) how many classes are ranked before them.
        hits: (n, 256) whether the largest component's box is right, by threshold.
        best_ious: (n, 256) the best IoU of any component's box, by threshold.
        mean_hits: (n,) whether the mean-threshold box is right (SPN Sec. 4.3).
        masked: (m,) the images that have a mask, by their number.
        histograms: (m, 2, 256) their pixels of each level, on and off the object.
    """

    labels: NDArray[np.int64]
    ranks: NDArray[np.int64]
    hits: NDArray[np.bool_]
    best_ious: NDArray[np.float64]
    mean_hits: NDArray[np.bool_]
    masked: NDArray[np.int64]
    histograms: NDArray[np.float64]


def outcomes_of(pairs: Pairs, params: InputParams) -> Outcomes:
    """Return the outcomes of predictions in one pass; InputError as `single_label_figures`."""
    rows = []
    masked, histograms = [], []
    for image, answer in enumerate(answers(pairs, params)):
        record, label = answer.record, answer.record.labels[0]
        response = answer.response(label)
        levels = to_levels(response)
        rows.append(
            (
                label,
                answer.rank,
                level_hits(component_boxes(levels), record.boxes_xyxy),
                best_component_ious(levels, record.boxes_xyxy),
                is_located(mean_threshold_box(response), record.boxes_xyxy),
            )
        )
        if record.mask is not None:
            masked.append(image)
            histograms.append(level_histograms(levels, object_pixels(record.mask)))
    labels, ranks, hits, best_ious, mean_hits = map(np.array, zip(*rows, strict=True))
    masks = np.reshape(histograms, (-1, 2, LEVELS))
    return Outcomes(labels, ranks, hits, best_ious, mean_hits, np.array(masked, np.int64), masks)


def answers(pairs: Pairs, params: InputParams) -> Iterator[Answer]:
    """Yield what the network says of each image; InputError: one has no box, or there is none."""
    none = True
    for prediction, record in pairs:
        if not len(record.boxes_xyxy):
            raise InputError(
                f"image {record.id}: it has no box, so its localization cannot be judged; annotate "
                "it or leave it out of the data set's val and test lists"
            )
        yield Answer(prediction, record, params.align_corners)
        none = False
    if none:
        raise InputError("nothing to score: the split is empty; check the data set's lists")


def object_pixels(mask: bytes) -> NDArray[np.bool_]:
    """Tell the pixels of objects, (H, W), from a record's mask."""
    objects: NDArray[np.bool_] = np.asarray(Image.open(BytesIO(mask))) > 0
    return objects


class BoxErrors:
    """Errors of boxes at two thresholds, which the hits of the tuning images choose.

    Args:
        judged, tuned: (n, 256) `level_hits` of the images to judge, and of those that choose.
    """

    def __init__(self, judged: NDArray[np.bool_], tuned: NDArray[np.bool_]) -> None:
        self._hits = judged
        self.first = select_threshold(tuned)
        self.second = select_second_threshold(tuned, self.first)

    def thresholds(self) -> Figures:
        """Return both, as shares of a map's range."""
        return {
            "threshold": self.first / (LEVELS - 1),
            "second_threshold": self.second / (LEVELS - 1),
        }

    def localization(self, ranks: NDArray[np.int64], weights: Weights) -> Figures:
        """Return the localization errors, percent, where `ranks` (n,) say how classes are ranked.

        `weights` (n,).
        """
        found = localization_errors(self._hits, ranks, self.first, self.second, weights)
        return {
            "gt_known_error": found["gt_known"],
            "top1_localization_error": found["top_1"],
            "top5_localization_error": found["top_5"],
            "top5_star_localization_error": found["top_5_star"],
        }

    def errors(self, ranks: NDArray[np.int64], weights: Weights) -> Figures:
        """Return those of `localization`, and of classification."""
        return self.localization(ranks, weights) | {
            "top1_classification_error": top_k_error(ranks, 1, weights),
            "top5_classification_error": top_k_error(ranks, 5, weights),
        }


class BoxScores(BoxErrors):
    """The errors, and the best figures at any threshold."""

    def __init__(self, judged: Outcomes, tuned: Outcomes, classes: tuple[str, ...]) -> None:
        super().__init__(judged.hits, tuned.hits)
        self._judged, self._classes = judged, classes

    def figures(self, weights: Weights) -> Figures:
        """Return the figures of boxes, percent; `weights` (n,)."""
        judged, classes = self._judged, len(self._classes)
        known = class_accuracy(judged.labels, judged.hits[:, self.first], classes, weights)
        return {
            "gt_known_error_per_class": by_class(self._classes, 100 - known),
            "mean_box_error": 100 * mean_of_defined(~judged.mean_hits, weights),
            "max_box_acc": max_box_acc(judged.hits, weights),
            "max_box_acc_v2": max_box_acc_v2(judged.best_ious, weights),
            "max_box_acc_30": max_box_acc_any(judged.best_ious, 0.3, weights),
            "max_box_acc_70": max_box_acc_any(judged.best_ious, 0.7, weights),
            **self.errors(judged.ranks, weights),
        }


class MaskScores:
    """PxAP, and the IoU with masks at the level that is best on the tuning images.

    Images without a mask do not count. Without any there are no figures, and without any on the
    tuning split no mask IoU.
    """

    def __init__(self, judged: Outcomes, tuned: Outcomes) -> None:
        self._images, self._histograms = judged.masked, judged.histograms
        means = [mean_of_defined(level) for level in mask_ious(tuned.histograms).T]
        # Of equal levels the lowest; without a mask every mean is NaN.
        self._level = None if np.isnan(means).all() else int(np.argmax(means))
        self._ious = mask_ious(judged.histograms)

    def thresholds(self) -> Figures:
        """Return the level, as a share of a map's range."""
        return {} if self._level is None else {"mask_threshold": self._level / (LEVELS - 1)}

    def figures(self, weights: Weights) -> Figures:
        """Return the figures of masks, percent; `weights` (n,)."""
        own = weights[self._images]
        figures: Figures = {"px_ap": px_ap(self._histograms, own)}
        if self._level is not None:
            figures["mask_iou"] = mean_of_defined(self._ious[:, self._level], own)
        return figures
