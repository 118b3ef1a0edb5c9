"""All scores of one network, in percent with intervals."""

from collections.abc import Callable, Mapping
from itertools import chain

from pipeline.datasets.record import Task
from pipeline.params import Params
from pipeline.protocol import multi_label, single_label
from pipeline.protocol.estimates import Figures
from pipeline.protocol.pairs import Pairs

SCORED_SPLITS: dict[Task, tuple[str, ...]] = {
    "multi": ("train", "val", "test"),
    "single": ("val", "test"),
}
"""CorLoc is measured on the training images (SPN Table 4); thresholds are chosen on val."""


def scores_of(
    pairs: Mapping[str, Pairs], classes: tuple[str, ...], params: Params, task: Task
) -> Figures:
    """Return every metric of a task: {"value", "low", "high"} in percent; undefined ones left out.

    `low` and `high` are the 95 % bootstrap interval over images. Counts (`n`) and thresholds are
    plain numbers.

    Args:
        pairs: predictions and records of each of `SCORED_SPLITS[task]`; each is read once.

    Raises:
        InputError: a split without images or boxes, a map that is not finite, predictions of
            other images.
    """
    return SCORERS[task](pairs, classes, params)


def _multi_label(pairs: Mapping[str, Pairs], classes: tuple[str, ...], params: Params) -> Figures:
    test = multi_label.test_scores(pairs["test"], classes, params)
    located = multi_label.mean_threshold_boxes(chain(pairs["train"], pairs["val"]))
    training = multi_label.cor_loc_scores(located, classes, params)
    return test | training | {"n": test["n"] | training["n"]}


def _single_label(pairs: Mapping[str, Pairs], classes: tuple[str, ...], params: Params) -> Figures:
    source = params.evaluate.threshold_from
    scores = single_label.single_label_scores(pairs["test"], pairs[source], classes, params)
    return scores | {"threshold_from": source}


SCORERS: dict[Task, Callable[[Mapping[str, Pairs], tuple[str, ...], Params], Figures]] = {
    "multi": _multi_label,
    "single": _single_label,
}
