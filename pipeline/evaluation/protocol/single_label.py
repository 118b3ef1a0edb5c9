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
    Edges,
    best_component_ious,
    component_boxes,
    half_open,
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
from pipeline.evaluation.protocol.estimates import (
    Figures,
    Judged,
    boxed_count,
    by_class,
    of_some,
)
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.packed.record import IGNORED
from pipeline.params import InputParams


def single_label_figures(
    pairs: Pairs,
    tuning: Pairs,
    classes: tuple[str, ...],
    params: InputParams,
    edges: Edges = half_open,
) -> Judged:
    """Return localization and classification errors, percent.

    Besides them MaxBoxAcc, MaxBoxAccV2 with its parts at IoU 0.3 and 0.7 and, where images have
    masks, PxAP and mask IoU.
    Thresholds are plain shares of a map's range. Images without a box count for classification
    alone. Without any box there are no figures of localization, and without any on the tuning
    split none that need a threshold.

    Args:
        pairs: predictions of the test split, with the maps of the images' own classes, and their
            records.
        tuning: those of the split that chooses the thresholds; `pairs` itself is the papers'
            own protocol.
        edges: the convention of the records' boxes.

    Raises:
        InputError: a split is empty, a map is not finite.
    """
    judged = outcomes_of(pairs, params, edges)
    tuned = judged if tuning is pairs else outcomes_of(tuning, params, edges)
    boxes, masks = BoxScores(judged, tuned, classes), MaskScores(judged, tuned)
    of_boxes = of_some(judged.boxed, boxes.figures)

    def figures(weights: Weights) -> Figures:
        ranked = classification_errors(judged.ranks, weights)
        return ranked | of_boxes(weights) | masks.figures(weights)

    count = judged.counts("test") | tuned.counts("tuning")
    fixed = {**boxes.thresholds(), **masks.thresholds(), "n": count}
    return Judged(figures, len(judged.labels), fixed)


def classification_errors(ranks: NDArray[np.int64], weights: Weights) -> Figures:
    """Return the top-1 and top-5 error, percent; `ranks` (n,) as `Outcomes`, `weights` (n,)."""
    return {
        "top1_classification_error": top_k_error(ranks, 1, weights),
        "top5_classification_error": top_k_error(ranks, 5, weights),
    }


@dataclass(frozen=True)
class Outcomes:
    """What the predictions of a split come to, image by image, without any map.

    Attributes:
        labels: (n,) the images' classes.
        ranks: (n,) how many classes are ranked before them.
        boxed: (k,) the images that have boxes, by their number.
        hits: (k, 256) whether the largest component's box is right, by threshold.
        best_ious: (k, 256) the best IoU of any component's box, by threshold.
        mean_hits: (k,) whether the mean-threshold box is right (SPN Sec. 4.3).
        masked: (m,) the images that have a mask, by their number.
        histograms: (m, 2, 256) their pixels of each level, on and off the object.
    """

    labels: NDArray[np.int64]
    ranks: NDArray[np.int64]
    boxed: NDArray[np.int64]
    hits: NDArray[np.bool_]
    best_ious: NDArray[np.float64]
    mean_hits: NDArray[np.bool_]
    masked: NDArray[np.int64]
    histograms: NDArray[np.float64]

    def counts(self, name: str) -> dict[str, int]:
        """Return how many images there are, and how many of them have boxes unless all have."""
        images = len(self.labels)
        return {name: images} | boxed_count(name, images, len(self.boxed))


def outcomes_of(pairs: Pairs, params: InputParams, edges: Edges = half_open) -> Outcomes:
    """Return the outcomes of predictions in one pass; InputError as `single_label_figures`."""
    labels, ranks, boxed, masked = ([] for _ in range(4))
    hits, best_ious, mean_hits, histograms = ([] for _ in range(4))
    for image, answer in enumerate(every_answer(pairs, params)):
        record, label = answer.record, answer.record.labels[0]
        labels.append(label)
        ranks.append(answer.rank)
        response = answer.response(label)
        levels = to_levels(response)
        if len(record.boxes_xyxy):
            boxed.append(image)
            hits.append(level_hits(edges(component_boxes(levels)), record.boxes_xyxy))
            best_ious.append(best_component_ious(levels, record.boxes_xyxy, edges))
            mean_hits.append(is_located(edges(mean_threshold_box(response)), record.boxes_xyxy))
        if record.mask is not None:
            masked.append(image)
            histograms.append(level_histograms(levels, *mask_pixels(record.mask)))
    return Outcomes(
        labels=np.array(labels, np.int64),
        ranks=np.array(ranks, np.int64),
        boxed=np.array(boxed, np.int64),
        hits=np.reshape(hits, (-1, LEVELS)).astype(bool),
        best_ious=np.reshape(best_ious, (-1, LEVELS)),
        mean_hits=np.array(mean_hits, bool),
        masked=np.array(masked, np.int64),
        histograms=np.reshape(histograms, (-1, 2, LEVELS)),
    )


def answers(pairs: Pairs, params: InputParams) -> Iterator[Answer]:
    """Yield what the network says of each image that has a box; InputError: there is no image."""
    return (a for a in every_answer(pairs, params) if len(a.record.boxes_xyxy))


def every_answer(pairs: Pairs, params: InputParams) -> Iterator[Answer]:
    """Yield what the network says of each image; InputError: there is none."""
    none = True
    for prediction, record in pairs:
        yield Answer(prediction, record, params.align_corners)
        none = False
    if none:
        raise InputError("nothing to score: the split is empty; check the data set's lists")


def mask_pixels(mask: bytes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell the pixels of objects, and those that do not count, (H, W), from a record's mask."""
    values = np.asarray(Image.open(BytesIO(mask)))
    return (values > 0) & (values < IGNORED), values == IGNORED


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


class BoxScores:
    """The errors at the chosen thresholds, if there are any, and the best figures at any."""

    def __init__(self, judged: Outcomes, tuned: Outcomes, classes: tuple[str, ...]) -> None:
        self._judged, self._classes = judged, classes
        self._labels, self._ranks = judged.labels[judged.boxed], judged.ranks[judged.boxed]
        self._errors = BoxErrors(judged.hits, tuned.hits) if len(tuned.boxed) else None

    def thresholds(self) -> Figures:
        """Return those of `BoxErrors`; none without a box to choose them by, or to judge."""
        return self._errors.thresholds() if self._errors and len(self._judged.boxed) else {}

    def figures(self, weights: Weights) -> Figures:
        """Return the figures of boxes, percent; `weights` (k,) of the images that have boxes."""
        judged = self._judged
        figures: Figures = {
            "mean_box_error": 100 * mean_of_defined(~judged.mean_hits, weights),
            "max_box_acc": max_box_acc(judged.hits, weights),
            "max_box_acc_v2": max_box_acc_v2(judged.best_ious, weights),
            "max_box_acc_30": max_box_acc_any(judged.best_ious, 0.3, weights),
            "max_box_acc_70": max_box_acc_any(judged.best_ious, 0.7, weights),
        }
        if self._errors:
            hits = judged.hits[:, self._errors.first]
            known = class_accuracy(self._labels, hits, len(self._classes), weights)
            figures["gt_known_error_per_class"] = by_class(self._classes, 100 - known)
            figures |= self._errors.localization(self._ranks, weights)
        return figures


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
