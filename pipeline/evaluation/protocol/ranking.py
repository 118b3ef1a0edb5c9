"""SPG Table 3: the boxes of one network, with the classes ranked by others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.metrics.bootstrap import Weights
from pipeline.evaluation.metrics.classification import label_ranks
from pipeline.evaluation.protocol.estimates import Figures, boxed_count, estimate, of_some
from pipeline.evaluation.protocol.pairs import StoredPairs
from pipeline.evaluation.protocol.single_label import BoxErrors, classification_errors, outcomes_of
from pipeline.packed.record import Record
from pipeline.params import Params

ENSEMBLE = "ensemble"
"""The name of all rankers together: the mean of their probabilities."""


@dataclass(frozen=True)
class Ranker:
    """A network that ranks the classes.

    Attributes:
        predictions: gives its class probabilities of the test images, in their order.
        stages: what `dvc repro` runs to make them.
    """

    name: str
    predictions: Callable[[], Iterable[Prediction]]
    stages: str


def ranked_scores(
    test: StoredPairs, tuning: StoredPairs, rankers: Sequence[Ranker], params: Params
) -> dict[str, Figures]:
    """Return the errors of the boxes under each ranker, percent with intervals, by its name.

    Two or more rankers are scored as an `ENSEMBLE` too. Boxes and thresholds do not depend on the
    ranker, nor does the GT-known error. Images without a box count for classification alone.

    Args:
        test, tuning: predictions of the network that localizes, with the maps of the images' own
            classes; of the test split, and of the split that chooses the thresholds.

    Raises:
        InputError: a ranker has other images or classes; as `single_label_figures`.
    """
    classes = test.split.classes
    judged = outcomes_of(test, params.input)
    tuned = judged if tuning is test else outcomes_of(tuning, params.input)
    ranks = ranks_by(rankers, test.split, len(classes))
    boxes = BoxErrors(judged.hits, tuned.hits) if len(tuned.boxed) else None

    def localization(weights: Weights) -> Figures:
        return {
            name: boxes.localization(own[judged.boxed], weights) if boxes else {}
            for name, own in ranks.items()
        }

    of_boxes = of_some(judged.boxed, localization)

    def figures(weights: Weights) -> Figures:
        found = of_boxes(weights)
        return {
            name: classification_errors(own, weights) | found.get(name, {})
            for name, own in ranks.items()
        }

    count = judged.counts("test") | boxed_count("tuning", len(tuned.labels), len(tuned.boxed))
    found = estimate(figures, len(judged.labels), params)
    return {name: errors | {"n": count} for name, errors in found.items()}


def ranks_by(
    rankers: Sequence[Ranker], records: Iterable[Record], classes: int
) -> dict[str, NDArray[np.int64]]:
    """Return how many classes each ranker, and the ensemble, rank before the images' own, (n,).

    Raises:
        InputError: a ranker has other images or classes.
    """
    streams = [iter(ranker.predictions()) for ranker in rankers]
    ranks: dict[str, list[int]] = {ranker.name: [] for ranker in rankers}
    several = len(rankers) > 1
    if several:
        ranks[ENSEMBLE] = []
    for record in records:
        scores = [
            _scores(ranker, stream, record, classes)
            for ranker, stream in zip(rankers, streams, strict=True)
        ]
        if several:
            scores.append(np.mean(scores, axis=0, dtype=np.float64))
        for of_ranker, own in zip(ranks.values(), scores, strict=True):
            of_ranker.append(int(label_ranks(own[None], record.labels)[0]))
    for ranker, stream in zip(rankers, streams, strict=True):
        if (left := next(stream, None)) is not None:
            raise _foreign(ranker, "no more images", f"image {left.id}")
    return {name: np.array(own) for name, own in ranks.items()}


def _scores(
    ranker: Ranker, stream: Iterator[Prediction], record: Record, classes: int
) -> NDArray[np.floating]:
    """Return the ranker's probabilities (C,) of the next image, which must be that of `record`."""
    found = next(stream, None)
    if found is None or found.id != record.id:
        raise _foreign(ranker, f"image {record.id}", f"image {found.id}" if found else "none")
    if len(found.scores) != classes:
        raise _foreign(ranker, f"{classes} classes", str(len(found.scores)))
    return found.scores


def _foreign(ranker: Ranker, expected: str, got: str) -> InputError:
    return InputError(
        f"ranker {ranker.name}: {expected} expected, got {got}: its class scores are of other "
        f"data; run `dvc repro -f {ranker.stages}`"
    )
