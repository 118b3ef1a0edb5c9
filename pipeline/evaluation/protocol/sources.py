"""Boxes from other maps than the attention map of the class: SPG's guidance, and controls.

The paper and its release take SPG's boxes from the attention map alone (SPG Sec. 4.1). The maps of
its branches tell objects from background whatever the class; classes are ranked as before. All maps
are compared at the size of the image.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.localization.boxes import component_boxes
from pipeline.evaluation.localization.maps import Map, normalise, to_levels
from pipeline.evaluation.metrics.bootstrap import Weights
from pipeline.evaluation.metrics.box_localization import level_hits
from pipeline.evaluation.metrics.object_energy import centred_gaussian
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.estimates import Figures, Judged
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.evaluation.protocol.single_label import BoxErrors, answers
from pipeline.params import InputParams, Params

Source = Callable[[Answer], Map]
"""An answer -> the map (H, W) at the image's size that its box surrounds the peak of."""

CONTROL_SIGMA = 0.2
"""Standard deviation of the Gaussian beside the attention map, as a share of each side."""


def attention(answer: Answer) -> Map:
    """Return the map of the image's class, which the paper takes the box from."""
    return answer.response(answer.record.labels[0])


def branch(name: str) -> Source:
    """Return the source of a branch's map, in [0, 1]: "b1", "b2" or "c"."""
    return lambda answer: answer.at_image_size(answer.prediction.guidance[name])


def mean_of_b(answer: Answer) -> Map:
    """Return the mean of B1's and B2's maps, which is what teaches branch C (SPG Sec. 3.2)."""
    mean: Map = (branch("b1")(answer) + branch("b2")(answer)) / np.float32(2)
    return mean


def gaussian(answer: Answer) -> Map:
    """Return a Gaussian in the middle, whatever the image shows."""
    return centred_gaussian(answer.record.height, answer.record.width, CONTROL_SIGMA)


def centred_boxes(answer: Answer) -> Map:
    """Return a map in [0, 1] that is at least t in the centred box of 1 - t of the sides.

    The threshold that serves it best is that of the best centred box.
    """
    down, right = (_offsets(side) for side in (answer.record.height, answer.record.width))
    boxes: Map = np.float32(1) - 2 * np.maximum(down[:, None], right)
    return boxes


def both(one: Source, other: Source) -> Source:
    """Return the sum of two maps, each brought to [0, 1] in each image."""
    return lambda answer: normalise(one(answer)) + normalise(other(answer))


class Named(NamedTuple):
    """A source and the name of its boxes in the tables."""

    label: str
    source: Source


def _offsets(side: int) -> NDArray[np.float32]:
    """Return how far pixels are from the middle, as shares of the side, (side,)."""
    return np.abs((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5)


ATTENTION = "attention"
"""Name of the source that is the map of the class alone."""

SPG_SOURCES: Mapping[str, Named] = {
    "b2": Named("SPG, boxes from B2", branch("b2")),
    "b1": Named("SPG, boxes from B1", branch("b1")),
    "b": Named("SPG, boxes from the mean of B1 and B2", mean_of_b),
    "c": Named("SPG, boxes from C", branch("c")),
    "attention+b": Named("SPG, boxes from attention + guidance", both(attention, mean_of_b)),
    "attention+gaussian": Named(
        "control: SPG, boxes from attention + centred Gaussian", both(attention, gaussian)
    ),
}
"""The sources of SPG's predictions besides its attention."""

PLAIN_SOURCES: Mapping[str, Named] = {
    ATTENTION: Named("SPG-plain", attention),
    "attention+gaussian": Named(
        "control: SPG-plain, boxes from attention + centred Gaussian", both(attention, gaussian)
    ),
    "centred_box": Named("control: best centred box, ranked by SPG-plain", centred_boxes),
}
"""The sources of SPG-plain's predictions: what all are compared with, and controls."""


def source_of(name: str) -> Source:
    """Return the source of SPG's boxes that a value of `spg.localize_from` names."""
    return attention if name == ATTENTION else SPG_SOURCES[name].source


DEFAULT = "attention+b"
"""The source of SPG's boxes where nothing names another: what params.yaml comes with."""

GUIDED = "spg"
"""The model that has these sources."""

RECOMMENDED = f"{GUIDED}:guidance"
"""Name of the model whose boxes come from the source that `spg.localize_from` names."""


def figures_by_source(
    spg: tuple[Pairs, Pairs], plain: tuple[Pairs, Pairs], params: Params
) -> dict[str, Judged]:
    """Return the localization errors, percent, by `spg:<source>` and `spg_plain:<source>`.

    `spg.localize_from` stands there as RECOMMENDED too, which tells its name as `source`, unless it
    is the attention.

    Args:
        spg, plain: the predictions of SPG and of SPG-plain, as for `source_figures`.
    """
    with_c = params.spg.with_c
    own = {name: named for name, named in SPG_SOURCES.items() if name != "c" or with_c}
    found = {
        f"{model}:{name}": figures
        for model, pairs, sources in ((GUIDED, spg, own), ("spg_plain", plain, PLAIN_SOURCES))
        for name, figures in source_figures(*pairs, sources, params).items()
    }
    name = params.spg.localize_from
    if found and name != ATTENTION:
        chosen = found[f"{GUIDED}:{name}"]
        told = {"label": "SPG, boxes from its guidance", "source": name}
        found[RECOMMENDED] = chosen._replace(fixed=chosen.fixed | told)
    return found


def source_figures(
    pairs: Pairs, tuning: Pairs, sources: Mapping[str, Named], params: Params
) -> dict[str, Judged]:
    """Return the localization errors of each source's boxes, percent, by its name.

    Predictions are read once for all sources, and of each map 256 hits are kept. Images without a
    box do not count, and without any in one of the splits there are no errors.

    Args:
        pairs: predictions of the test split and their records.
        tuning: those of the split that chooses each source's thresholds; `pairs` itself is the
            papers' own protocol.

    Raises:
        InputError: a split is empty, a map is not finite.
    """
    judged = _seen(pairs, sources, params.input)
    tuned = judged if tuning is pairs else _seen(tuning, sources, params.input)
    if not (len(judged.ranks) and len(tuned.ranks)):
        return {}
    fixed = {
        "n": {"test": len(judged.ranks), "tuning": len(tuned.ranks)},
        "threshold_from": params.evaluate.threshold_from,
    }
    return {
        name: _judged(judged.hits[name], tuned.hits[name], judged.ranks, fixed | {"label": label})
        for name, (label, _) in sources.items()
    }


class _Seen(NamedTuple):
    """How classes are ranked before the images' own, (n,), and the hits (n, 256) by source."""

    ranks: NDArray[np.int64]
    hits: dict[str, NDArray[np.bool_]]


def _seen(pairs: Pairs, sources: Mapping[str, Named], params: InputParams) -> _Seen:
    ranks: list[int] = []
    hits: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in sources}
    for answer in answers(pairs, params):
        ranks.append(answer.rank)
        for name, (_, source) in sources.items():
            boxes = component_boxes(to_levels(source(answer)))
            hits[name].append(level_hits(boxes, answer.record.boxes_xyxy))
    return _Seen(np.array(ranks), {name: np.array(own) for name, own in hits.items()})


def _judged(
    hits: NDArray[np.bool_], tuned: NDArray[np.bool_], ranks: NDArray[np.int64], fixed: Figures
) -> Judged:
    boxes = BoxErrors(hits, tuned)

    def figures(weights: Weights) -> Figures:
        return boxes.localization(ranks, weights)

    return Judged(figures, len(ranks), boxes.thresholds() | fixed)
