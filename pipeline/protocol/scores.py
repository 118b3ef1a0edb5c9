"""All scores of one network, as plain numbers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from math import isnan
from typing import Any

import torch

from pipeline.datasets.record import Task
from pipeline.localization.maps import Map
from pipeline.models.soft_proposal import SoftProposal
from pipeline.params import Params, SpnParams
from pipeline.protocol import multi_label, single_label
from pipeline.protocol.pairs import Pairs

SCORED_SPLITS: dict[Task, tuple[str, ...]] = {
    "multi": ("train", "val", "test"),
    "single": ("val", "test"),
}
"""CorLoc is measured on the training images (SPN Table 4); thresholds are chosen on val."""


def scores_of(
    pairs: Mapping[str, Pairs], classes: tuple[str, ...], params: Params, task: Task
) -> dict[str, Any]:
    """Return every metric of a task, in percent; undefined ones are left out.

    Args:
        pairs: predictions and records of each of `SCORED_SPLITS[task]`.
    """
    return without_nan(SCORERS[task](pairs, classes, params))


def _multi_label(
    pairs: Mapping[str, Pairs], classes: tuple[str, ...], params: Params
) -> dict[str, Any]:
    test, training = pairs["test"], [pairs["train"], pairs["val"]]
    scores = multi_label.test_scores(test, classes, params.evaluate)
    scores["n"]["trainval"] = sum(map(len, training))
    scores["cor_loc"] = multi_label.localization_scores(chain(*training), classes)
    first, _ = next(iter(test))
    if first.proposal_map is not None:
        height, width = first.proposal_map.shape
        scores["object_energy"] = _object_energies(test, height, width, params)
    return scores


def _object_energies(test: Pairs, height: int, width: int, params: Params) -> dict[str, float]:
    """Return the Object Energy of the network's proposals and of controls that see no image."""
    count = len(test)
    maps: dict[str, Iterable[Map]] = dict(multi_label.control_maps(count, height, width))
    maps["random_features"] = random_feature_maps(count, height, width, params.spn, params.seed)
    maps["model"] = (p.proposal_map for p, _ in test if p.proposal_map is not None)
    return {
        name: multi_label.mean_object_energy(each, (record for _, record in test))
        for name, each in maps.items()
    }


def random_feature_maps(
    count: int, height: int, width: int, params: SpnParams, seed: int
) -> Iterator[Map]:
    """Yield proposal maps (height, width) of rectified Gaussian noise instead of features."""
    generator = torch.Generator().manual_seed(seed)
    proposal = SoftProposal(params)
    shape = (1, params.channels, height, width)
    for _ in range(count):
        yield proposal(torch.randn(shape, generator=generator).relu())[0].numpy()


def _single_label(
    pairs: Mapping[str, Pairs], classes: tuple[str, ...], params: Params
) -> dict[str, Any]:
    source = params.evaluate.threshold_from
    scores = single_label.single_label_scores(pairs["test"], pairs[source])
    return scores | {"threshold_from": source}


SCORERS: dict[Task, Callable[[Mapping[str, Pairs], tuple[str, ...], Params], dict[str, Any]]] = {
    "multi": _multi_label,
    "single": _single_label,
}


def without_nan(scores: dict[str, Any]) -> dict[str, Any]:
    """Return `scores` without undefined values, such as accuracy over no image."""
    nested = {k: without_nan(v) if isinstance(v, dict) else v for k, v in scores.items()}
    return {k: v for k, v in nested.items() if not (isinstance(v, float) and isnan(v))}
