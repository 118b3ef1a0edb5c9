"""What a trained network answers on its splits, kept in one file, and how that is judged.

A network is known by what it can do: `localize` (maps of classes), `detect` (a box of each class)
or `propose` (boxes of anything).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.evaluation.localization.inference import predict
from pipeline.evaluation.localization.predictions import write_predictions
from pipeline.evaluation.protocol.estimates import Figures
from pipeline.evaluation.protocol.pairs import stored_pairs
from pipeline.evaluation.protocol.proposal_scores import proposal_scores
from pipeline.evaluation.protocol.region_scores import region_scores
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, scores_of
from pipeline.models.device import compute_device
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


def _write_maps(path: Path, network: Any, splits: Splits, folder: Path, params: Params) -> None:
    found = (predict(network, split, params.input, params.evaluate) for split in splits.values())
    write_predictions(path, chain.from_iterable(found))


def _judge_maps(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    test = splits["test"]
    pairs = {name: stored_pairs(path, split) for name, split in splits.items()}
    control = getattr(network, "control_maps", None)
    return scores_of(pairs, test.classes, params, test.task, control)


def _write_detections(
    path: Path, network: Any, splits: Splits, folder: Path, params: Params
) -> None:
    network = network.to(compute_device())
    found = (network.detect(split, folder, params) for split in splits.values())
    write_proposals(path, chain.from_iterable(found))


def _judge_detections(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    def pairs(name: str) -> Iterator[tuple[Proposals, Record]]:
        return zip(StoredProposals(path, name), splits[name], strict=True)

    training = chain(pairs("train"), pairs("val"))
    return region_scores(training, pairs("test"), splits["test"].classes, params)


def _write_proposals(
    path: Path, network: Any, splits: Splits, folder: Path, params: Params
) -> None:
    network = network.to(compute_device())
    found = (network.propose(split, params) for split in splits.values())
    write_proposals(path, chain.from_iterable(found))


def _judge_proposals(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    return proposal_scores(path, splits["test"], params)


ANSWERS = (
    Answers("localize", SCORED_SPLITS.__getitem__, _write_maps, _judge_maps),
    Answers("detect", SCORED_SPLITS.__getitem__, _write_detections, _judge_detections),
    Answers("propose", lambda track: ("test",), _write_proposals, _judge_proposals),
)
