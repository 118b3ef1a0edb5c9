"""What the predictions of a trained row come to, image by image."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pipeline.evaluation.metrics.bootstrap import Weights
from pipeline.evaluation.protocol import multi_label
from pipeline.evaluation.protocol.estimates import Figures, Judged, Statistic, measure
from pipeline.evaluation.protocol.object_energy import ObjectEnergy
from pipeline.evaluation.protocol.pairs import StoredPairs, stored_pairs
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, judge
from pipeline.evaluation.protocol.sources import PLAIN_SOURCES, SPG_SOURCES, source_figures
from pipeline.methods.registry import MODELS
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, load
from stages import PARAMS
from stages.paths import predictions_file, split_folder
from studies.study import Row

SOURCES = {**PLAIN_SOURCES, **SPG_SOURCES}


class Part(NamedTuple):
    """Figures of some images: `statistic` takes the weights of `ids`, in their order."""

    ids: tuple[str, ...]
    statistic: Statistic


def judged(row: Row, clone: Path, judged_on: str) -> list[Part]:
    """Return the figures of a row that was trained in `clone`, those of its test images first.

    With `judged_on` "val" the validation images stand in for the test images. Of these the
    multi-label track keeps no maps of absent classes, so that there is no pointing with prediction.
    """
    params, track = load(clone / PARAMS), MODELS[row.model].track
    splits = {name: PackedSplit(clone / split_folder(track, name)) for name in SCORED_SPLITS[track]}
    splits["test"] = splits[judged_on]
    path = clone / predictions_file(row.model)
    pairs = {name: stored_pairs(path, split) for name, split in splits.items()}
    if row.source:
        return [_located(row.source, pairs, splits, params)]
    classes = splits["test"].classes
    if judged_on == "val" and track == "multi":
        found = _chosen_by(pairs, classes, params)
    else:
        found = judge(pairs, classes, params, track)
    groups = (("test",), ("train", "val"))
    return [
        Part(_ids(splits, names), each.statistic)
        for names, each in zip(groups, found, strict=False)
    ]


def _chosen_by(
    pairs: Mapping[str, StoredPairs], classes: tuple[str, ...], params: Params
) -> Sequence[Judged]:
    """Return what can be told of multi-label images whose own classes alone have maps."""
    images = pairs["test"]
    energy, count = measure(images, [ObjectEnergy(params.seed)], params.input)
    scored = ((prediction.scores, record) for prediction, record in images)
    parts = [
        multi_label.pointing_figures(images, classes, params).statistic,
        multi_label.classification_figures(scored, classes).statistic,
        energy,
    ]

    def figures(weights: Weights) -> Figures:
        return {name: value for part in parts for name, value in part(weights).items()}

    trained = chain(pairs["train"], pairs["val"])
    located = multi_label.boxes_of_maps(trained, params.input)
    boxes = multi_label.cor_loc_figures(located, ("cor_loc", "cor_loc_oracle"), classes)
    return [Judged(figures, count, {}), boxes]


def _located(
    source: str,
    pairs: Mapping[str, StoredPairs],
    splits: Mapping[str, PackedSplit],
    params: Params,
) -> Part:
    """Return the localization errors of boxes from `source`."""
    tuning = pairs[params.evaluate.threshold_from]
    found = source_figures(pairs["test"], tuning, {source: SOURCES[source]}, params)
    return Part(_ids(splits, ("test",)), found[source].statistic)


def _ids(splits: Mapping[str, PackedSplit], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(record.id for name in names for record in splits[name])
