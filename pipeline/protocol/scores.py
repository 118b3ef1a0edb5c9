"""All scores of one network, as plain numbers."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import isnan
from typing import Any

import torch

from pipeline.datasets.record import Record, Task
from pipeline.datasets.store import PackedSplit
from pipeline.localization.maps import Map
from pipeline.localization.predictions import Prediction
from pipeline.models.soft_proposal import SoftProposal
from pipeline.params import Params, SpnParams
from pipeline.protocol import multi_label, single_label

SCORED_SPLITS: dict[Task, tuple[str, ...]] = {
    "multi": ("train", "val", "test"),
    "single": ("val", "test"),
}
"""CorLoc is measured on the training images (SPN Table 4); thresholds are chosen on val."""

Pairs = list[tuple[Prediction, Record]]


def scores_of(
    predictions: Iterable[Prediction], splits: Mapping[str, PackedSplit], params: Params
) -> dict[str, Any]:
    """Return every metric of the splits' task, in percent; undefined ones are left out.

    Args:
        predictions: one per image, split by split in the order of `splits`.
    """
    images = (record for split in splits.values() for record in split)
    pairs: dict[str, Pairs] = defaultdict(list)
    for prediction, record in zip(predictions, images, strict=True):
        pairs[prediction.split].append((prediction, record))
    test = splits["test"]
    scores = SCORERS[test.task](pairs, test, params)
    return {"dataset": test.name, "classes": list(test.classes)} | without_nan(scores)


def _multi_label(pairs: dict[str, Pairs], test: PackedSplit, params: Params) -> dict[str, Any]:
    training = pairs["train"] + pairs["val"]
    scores = multi_label.test_scores(pairs["test"], test.classes, params.evaluate)
    scores["n"]["trainval"] = len(training)
    scores["cor_loc"] = multi_label.localization_scores(training, test.classes)
    if pairs["test"][0][0].proposal_map is not None:
        scores["object_energy"] = _object_energies(pairs["test"], params)
    return scores


def _object_energies(pairs: Pairs, params: Params) -> dict[str, float]:
    """Return the Object Energy of the network's proposals and of controls that see no image."""
    found = [prediction.proposal_map for prediction, _ in pairs]
    records = [record for _, record in pairs]
    height, width = pairs[0][0].maps.shape[1:]
    maps = multi_label.control_maps(len(pairs), height, width)
    maps["random_features"] = random_feature_maps(
        len(pairs), height, width, params.spn, params.seed
    )
    maps["model"] = [m for m in found if m is not None]
    return {name: multi_label.mean_object_energy(each, records) for name, each in maps.items()}


def random_feature_maps(
    count: int, height: int, width: int, params: SpnParams, seed: int
) -> list[Map]:
    """Return proposal maps (height, width) of rectified Gaussian noise instead of features."""
    generator = torch.Generator().manual_seed(seed)
    proposal = SoftProposal(params)
    shape = (1, params.channels, height, width)
    noise = (torch.randn(shape, generator=generator).relu() for _ in range(count))
    return [proposal(features)[0].numpy() for features in noise]


def _single_label(pairs: dict[str, Pairs], test: PackedSplit, params: Params) -> dict[str, Any]:
    source = params.evaluate.threshold_from
    scores = single_label.single_label_scores(pairs["test"], pairs[source])
    return scores | {"threshold_from": source}


SCORERS: dict[Task, Callable[[dict[str, Pairs], PackedSplit, Params], dict[str, Any]]] = {
    "multi": _multi_label,
    "single": _single_label,
}


def without_nan(scores: dict[str, Any]) -> dict[str, Any]:
    """Return `scores` without undefined values, such as accuracy over no image."""
    nested = {k: without_nan(v) if isinstance(v, dict) else v for k, v in scores.items()}
    return {k: v for k, v in nested.items() if not (isinstance(v, float) and isnan(v))}
