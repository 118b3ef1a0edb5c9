"""What a trained network answers on its splits, kept in one file, and how that is judged.

A network is known by what it can do: `localize` (maps of classes), `detect` (a box of each class)
or `propose` (boxes of anything).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.evaluation.localization.inference import predict
from pipeline.evaluation.localization.predictions import (
    Prediction,
    read_predictions,
    write_predictions,
)
from pipeline.evaluation.metrics.average_precision import mean_of_defined
from pipeline.evaluation.protocol.energy_map import object_energies
from pipeline.evaluation.protocol.estimates import Figures, estimate
from pipeline.evaluation.protocol.pairs import StoredPairs
from pipeline.evaluation.protocol.region_scores import region_scores
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, scores_of
from pipeline.packed.proposals import Proposals, StoredProposals, write_proposals
from pipeline.packed.record import Record, Task
from pipeline.packed.store import PackedSplit
from pipeline.params import Params

Splits = Mapping[str, PackedSplit]


@dataclass(frozen=True)
class Answers:
    """What networks of one kind answer.

    Attributes:
        ability: the method that such networks have.
        splits: track -> the splits that they are asked on.
        write: (file, network, splits, the model's folder, parameters) asks the network and writes.
        judge: (file, network, splits, parameters) -> the scores.
    """

    ability: str
    splits: Callable[[Task], tuple[str, ...]]
    write: Callable[[Path, Any, Splits, Path, Params], None]
    judge: Callable[[Path, Any, Splits, Params], Figures]


def answers_of(network: nn.Module) -> Answers:
    """Return the kind of answers that `network` gives; TypeError if it gives none."""
    for kind in ANSWERS:
        if hasattr(network, kind.ability):
            return kind
    raise TypeError(f"{type(network).__name__} has none of {', '.join(k.ability for k in ANSWERS)}")


def device() -> torch.device:
    """Return where networks run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _write_maps(path: Path, network: Any, splits: Splits, folder: Path, params: Params) -> None:
    found = (predict(network, split, params.input, params.evaluate) for split in splits.values())
    write_predictions(path, chain.from_iterable(found))


def _judge_maps(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    test = splits["test"]
    pairs = {name: stored_maps(path, split) for name, split in splits.items()}
    control = getattr(network, "control_maps", None)
    return scores_of(pairs, test.classes, params, test.task, control)


def stored_maps(path: Path, split: PackedSplit) -> StoredPairs:
    """Return the predictions in `path` beside the records of `split`; read when asked for."""

    def read() -> Iterator[Prediction]:
        return read_predictions(path, split.split)

    return StoredPairs(read, split)


def _write_detections(
    path: Path, network: Any, splits: Splits, folder: Path, params: Params
) -> None:
    found = (network.to(device()).detect(split, folder, params) for split in splits.values())
    write_proposals(path, chain.from_iterable(found))


def _judge_detections(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    def pairs(name: str) -> Iterator[tuple[Proposals, Record]]:
        return zip(StoredProposals(path, name), splits[name], strict=True)

    training = chain(pairs("train"), pairs("val"))
    return region_scores(training, pairs("test"), splits["test"].classes, params)


def _write_proposals(
    path: Path, network: Any, splits: Splits, folder: Path, params: Params
) -> None:
    found = (network.to(device()).propose(split, params) for split in splits.values())
    write_proposals(path, chain.from_iterable(found))


def _judge_proposals(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    return proposal_scores(path, splits["test"], params)


def proposal_scores(path: Path, test: PackedSplit, params: Params) -> Figures:
    """Return the Object Energy of stored proposals, the mean over test images with objects.

    Raises:
        InputError: foreign or damaged proposals, or no test image with an object.
    """
    energies = object_energies(StoredProposals(path, "test"), test)
    if np.isnan(energies).all():
        raise InputError(
            f"{test.name}: none of {len(test)} test image(s) has a box, which Object Energy is "
            "judged on: check the lists and annotations of the data set"
        )
    mean = partial(mean_of_defined, energies)
    figures = estimate(lambda weights: {"object_energy": mean(weights)}, len(test), params)
    return {"n": {"test": len(test)}} | figures


ANSWERS = (
    Answers("localize", SCORED_SPLITS.__getitem__, _write_maps, _judge_maps),
    Answers("detect", SCORED_SPLITS.__getitem__, _write_detections, _judge_detections),
    Answers("propose", lambda track: ("test",), _write_proposals, _judge_proposals),
)
