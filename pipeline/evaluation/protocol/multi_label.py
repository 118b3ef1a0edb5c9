"""Scores on multi-label images: SPN Tables 1 to 4 and the mAP columns of Table 6."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.localization.boxes import mean_threshold_box
from pipeline.evaluation.localization.oracle import candidate_boxes
from pipeline.evaluation.metrics.bootstrap import Weights
from pipeline.evaluation.metrics.box_localization import cor_loc, is_located
from pipeline.evaluation.metrics.classification import mean_average_precision
from pipeline.evaluation.metrics.pointing import (
    is_hit,
    pointing_accuracy,
    pointing_classes,
    pointing_with_prediction,
)
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.difficult import Difficult, difficult_subset
from pipeline.evaluation.protocol.estimates import (
    Figures,
    Judged,
    Statistic,
    boxed_count,
    by_class,
    measure,
)
from pipeline.evaluation.protocol.object_energy import Control, ObjectEnergy
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.packed.record import Boxes, Record
from pipeline.params import EvaluateParams, InputParams, Params


def test_figures(
    pairs: Pairs, classes: tuple[str, ...], params: Params, control: Control | None = None
) -> Judged:
    """Return all that test images tell of a network, percent.

    Pointing of the model and of the image centre, its mAP with prediction, the classification mAP,
    all of these for each class too, and Object Energy if the network has proposal maps.

    Args:
        pairs: predictions of the test split, with the maps of all classes, and their records.
        control: as `ObjectEnergy`.

    Raises:
        InputError: as `measure` and `difficult_subset`.
    """
    difficult = difficult_subset(params.evaluate.difficult_list, classes)
    pointing = Pointing("pointing", Answer.point, difficult, classes, params.evaluate)
    centre = Pointing("center_pointing", Answer.centre, difficult, classes, params.evaluate)
    points = ScoredPoints(classes, params.evaluate)
    measures = (pointing, centre, points, ObjectEnergy(params.seed, control))
    figures, images = measure(pairs, measures, params.input)
    return Judged(figures, images, {"n": {"test": images, **pointing.counts()}})


def pointing_figures(pairs: Pairs, classes: tuple[str, ...], params: Params) -> Judged:
    """Return the pointing accuracy of maps alone, percent (SPN Table 2).

    Args:
        pairs: predictions with the maps of each image's own classes, and their records.

    Raises:
        InputError: as `measure` and `difficult_subset`.
    """
    difficult = difficult_subset(params.evaluate.difficult_list, classes)
    pointing = Pointing("pointing", Answer.point, difficult, classes, params.evaluate)
    figures, images = measure(pairs, (pointing,), params.input)
    return Judged(figures, images, {"n": {"test": images, **pointing.counts()}})


def classification_figures(
    scored: Iterable[tuple[NDArray[np.float32], Record]], classes: tuple[str, ...]
) -> Judged:
    """Return the mAP of class scores and each class's AP, percent (SPN Table 6).

    Args:
        scored: class scores (C,) of each test image, and its record.

    Raises:
        InputError: a score is not finite.
    """
    classification, images = Classification(classes), 0
    for scores, record in scored:
        classification.add(scores, record)
        images += 1
    return Judged(classification.statistic(), images, {"n": {"test": images}})


class Pair(NamedTuple):
    """An image, by its number, and one of its classes."""

    image: int
    label: int
    hit: bool
    difficult: bool = False


class Pointing:
    """Whether a point of each (image, class) pair hits the class (SPN Sec. 4.2).

    `key` names the figures: means over classes of all pairs and of the difficult subset, and the
    classes of both. `point` gives the pixel (x, y), `difficult` the classes of the subset.
    """

    def __init__(
        self,
        key: str,
        point: Callable[[Answer, int], tuple[int, int]],
        difficult: Difficult,
        classes: tuple[str, ...],
        params: EvaluateParams,
    ) -> None:
        self._key, self._point, self._difficult = key, point, difficult
        self._classes, self._params = classes, params
        self._pairs: list[Pair] = []
        self._images = self._boxed = 0

    def note(self, answer: Answer) -> None:
        """Note the pairs of an image; a class that it shows only as `difficult` makes none."""
        record, params = answer.record, self._params
        difficult = self._difficult(answer)
        for label in pointing_classes(record.box_labels, record.difficult):
            hit = is_hit(
                self._point(answer, label),
                boxes_of(record, label),
                params.pointing_tolerance,
                params.pointing_rule,
            )
            self._pairs.append(Pair(self._images, label, hit, label in difficult))
        self._images += 1
        self._boxed += not without_boxes(record)

    def counts(self) -> dict[str, int]:
        """Return the number of pairs, of all and of the difficult subset.

        And that of the images whose labels all have boxes, where it is not that of all.
        """
        return {
            f"{self._key}_all": len(self._pairs),
            f"{self._key}_difficult": sum(pair.difficult for pair in self._pairs),
        } | boxed_count("test", self._images, self._boxed)

    def statistic(self) -> Statistic:
        """Return the accuracies, percent."""
        images, labels, hits, difficult = columns(self._pairs)
        subset, count = difficult.astype(bool), len(self._classes)

        def figures(weights: Weights) -> Figures:
            own = weights[images]
            every, each = pointing_accuracy(labels, hits, count, own)
            hard, each_hard = pointing_accuracy(labels[subset], hits[subset], count, own[subset])
            return {
                self._key: {
                    "all": every,
                    "difficult": hard,
                    "per_class": by_class(self._classes, each),
                    "per_class_difficult": by_class(self._classes, each_hard),
                }
            }

        return figures


def columns(pairs: list[Pair]) -> NDArray[np.int64]:
    """Return images, labels, hits and difficult, each (n,), of n pairs."""
    return np.array(pairs, dtype=np.int64).reshape(-1, len(Pair._fields)).T


class Classification:
    """Average precision of the class scores (SPN Table 6)."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._scores: list[NDArray[np.float32]] = []
        self._targets: list[NDArray[np.int64]] = []

    def add(self, scores: NDArray[np.float32], record: Record) -> None:
        """Note the class scores (C,) of one image."""
        self._scores.append(scores)
        self._targets.append(targets_of(record, len(self._classes)))

    def statistic(self) -> Statistic:
        """Return the mAP and each class's AP, percent."""
        scores, targets = self._table(self._scores), self._table(self._targets)

        def figures(weights: Weights) -> Figures:
            mean, each = mean_average_precision(scores, targets, weights)
            return {
                "classification_map": mean,
                "classification_map_per_class": by_class(self._classes, each),
            }

        return figures

    def _table(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return rows (C,) as (n, C); there may be none."""
        return np.reshape(rows, (-1, len(self._classes)))


class ScoredPoints(Classification):
    """The same, and of predictions that must also point at the class (SPN Table 3)."""

    def __init__(self, classes: tuple[str, ...], params: EvaluateParams) -> None:
        super().__init__(classes)
        self._params = params
        self._hits: list[NDArray[np.bool_]] = []
        self._pointed: list[NDArray[np.int64]] = []

    def note(self, answer: Answer) -> None:
        """Note the class scores of an image and whether the points of all classes hit."""
        self.add(answer.prediction.scores, answer.record)
        self._pointed.append(self._targets[-1].copy())
        self._pointed[-1][without_boxes(answer.record)] = -1  # A hit cannot be told.
        tolerance, rule = self._params.prediction_tolerance, self._params.pointing_rule
        hits = (
            is_hit(answer.point(label), boxes_of(answer.record, label), tolerance, rule)
            for label in range(len(self._classes))
        )
        self._hits.append(np.fromiter(hits, dtype=bool))

    def statistic(self) -> Statistic:
        """Return both mAPs and each class's APs, percent."""
        classification = super().statistic()
        scores, targets = self._table(self._scores), self._table(self._pointed)
        hits = self._table(self._hits)

        def figures(weights: Weights) -> Figures:
            mean, each = pointing_with_prediction(scores, targets, hits, weights)
            return classification(weights) | {
                "pointing_with_prediction_map": mean,
                "pointing_with_prediction_map_per_class": by_class(self._classes, each),
            }

        return figures


def targets_of(record: Record, classes: int) -> NDArray[np.int64]:
    """Return (C,) in {1: present, 0: absent, -1: present only as `difficult`}."""
    targets = np.zeros(classes, dtype=np.int64)
    targets[record.box_labels] = -1
    targets[list(record.labels)] = 1
    return targets


def without_boxes(record: Record) -> list[int]:
    """Return the labels of an image that it has no box of."""
    return [label for label in record.labels if label not in record.box_labels]


def boxes_of(record: Record, label: int) -> Boxes:
    """Return the true boxes (n, 4) of one class."""
    boxes: Boxes = record.boxes_xyxy[record.box_labels == label]
    return boxes


Located = Mapping[str, Mapping[int, Boxes]]
"""Boxes of one image: figure -> class -> its one box (4,), or (n, 4) of which the best counts."""


def boxes_of_maps(pairs: Pairs, params: InputParams) -> Iterator[tuple[Record, Located]]:
    """Yield each record with the boxes of its classes.

    `cor_loc` has the tight box of all pixels above the mean response (SPN Sec. 4.3),
    `cor_loc_oracle` the `candidate_boxes` of all input sizes.

    Args:
        pairs: predictions with the maps of each image's own classes, and their records.
    """
    for prediction, record in pairs:
        answer = Answer(prediction, record, params.align_corners)
        responses = {label: answer.responses(label) for label in record.labels}
        yield (
            record,
            {
                "cor_loc": {c: mean_threshold_box(maps[0]) for c, maps in responses.items()},
                "cor_loc_oracle": {c: candidate_boxes(maps) for c, maps in responses.items()},
            },
        )


def cor_loc_figures(
    located: Iterable[tuple[Record, Located]], names: Sequence[str], classes: tuple[str, ...]
) -> Judged:
    """Return CorLoc of positive (image, class) pairs, percent (SPN Table 4).

    Of each of `names` each class and the mean over classes, {"mean", "per_class"}, and the number
    of images, {"n": {"trainval"}}.

    A pair whose true boxes are not known does not count.

    Args:
        located: records of the training and validation images, each with the boxes that `names`
            are judged by; boxes of other classes than the image's do not matter.
    """
    pairs: dict[str, list[Pair]] = {name: [] for name in names}
    images = boxed = 0
    for record, boxes in located:
        known = [label for label in record.labels if label not in without_boxes(record)]
        for name, own in pairs.items():
            own += [
                Pair(images, label, is_located(boxes[name][label], boxes_of(record, label)))
                for label in known
            ]
        images, boxed = images + 1, boxed + (len(known) == len(record.labels))
    judged = {name: columns(own) for name, own in pairs.items()}

    def figures(weights: Weights) -> Figures:
        found: Figures = {}
        for name, (image, labels, hits, _) in judged.items():
            mean, each = cor_loc(labels, hits, len(classes), weights[image])
            found[name] = {"mean": mean, "per_class": by_class(classes, each)}
        return found

    count = {"trainval": images} | boxed_count("trainval", images, boxed)
    return Judged(figures, images, {"n": count})
