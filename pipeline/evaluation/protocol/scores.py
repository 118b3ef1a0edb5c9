"""All scores of one network, in percent with intervals."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from pipeline.evaluation.protocol import multi_label, single_label
from pipeline.evaluation.protocol.estimates import Figures, Judged, merged
from pipeline.evaluation.protocol.object_energy import Control
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.packed.record import Task
from pipeline.params import Params

SCORED_SPLITS: dict[Task, tuple[str, ...]] = {
    "multi": ("train", "val", "test"),
    "single": ("val", "test"),
}
"""CorLoc is measured on the training images (SPN Table 4); thresholds are chosen on val."""


def scores_of(
    pairs: Mapping[str, Pairs],
    classes: tuple[str, ...],
    params: Params,
    task: Task,
    control: Control | None = None,
) -> Figures:
    """Return every metric of a task: {"value", "low", "high"} in percent; undefined ones left out.

    `low` and `high` are the 95 % bootstrap interval over images. Counts (`n`) and thresholds are
    plain numbers. Arguments and errors as `judge`.
    """
    return merged(judge(pairs, classes, params, task, control), params)


def judge(
    pairs: Mapping[str, Pairs],
    classes: tuple[str, ...],
    params: Params,
    task: Task,
    control: Control | None = None,
) -> Sequence[Judged]:
    """Return the figures of a task, of each set of images that it is judged on.

    Args:
        pairs: predictions and records of each of `SCORED_SPLITS[task]`; each is read once.
        control: as `ObjectEnergy`; of the multi-label track.

    Raises:
        InputError: a split without images or boxes, a map that is not finite, predictions of
            other images.
    """
    return JUDGES[task](pairs, classes, params, control)


def _multi_label(
    pairs: Mapping[str, Pairs],
    classes: tuple[str, ...],
    params: Params,
    control: Control | None,
) -> Sequence[Judged]:
    located = multi_label.boxes_of_maps(chain(pairs["train"], pairs["val"]), params.input)
    return (
        multi_label.test_figures(pairs["test"], classes, params, control),
        multi_label.cor_loc_figures(located, ("cor_loc", "cor_loc_oracle"), classes),
    )


def _single_label(
    pairs: Mapping[str, Pairs],
    classes: tuple[str, ...],
    params: Params,
    control: Control | None,
) -> Sequence[Judged]:
    source = params.evaluate.threshold_from
    found = single_label.single_label_figures(pairs["test"], pairs[source], classes, params.input)
    return (found._replace(fixed=found.fixed | {"threshold_from": source}),)


Judge = Callable[[Mapping[str, Pairs], tuple[str, ...], Params, Control | None], Sequence[Judged]]
JUDGES: dict[Task, Judge] = {"multi": _multi_label, "single": _single_label}
