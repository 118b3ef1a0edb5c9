"""What a trained network answers on its splits, kept in one file, and how that is judged.

A network is known by what it can do: `localize` (maps of classes), `detect` (a box of each class)
or `propose` (boxes of anything).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from torch import nn

from pipeline.evaluation.localization.inference import predict
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.estimates import Figures
from pipeline.evaluation.protocol.pairs import stored_pairs
from pipeline.evaluation.protocol.proposal_scores import proposal_scores
from pipeline.evaluation.protocol.region_scores import region_scores
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, scores_of
from pipeline.evaluation.sharing import PREDICTIONS, PROPOSALS, Form, write_answers
from pipeline.models.device import compute_device
from pipeline.models.interface import Detector, Proposer
from pipeline.packed.proposals import Proposals, StoredProposals
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
        form: of the file that keeps the answers.
        ask: (network, split, the model's folder, parameters) -> an answer per image, in order.
        judge: (file, network, splits, parameters) -> the scores.
    """

    ability: str
    splits: Callable[[Task], tuple[str, ...]]
    form: Form
    ask: Callable[[Any, PackedSplit, Path, Params], Iterable[Any]]
    judge: Callable[[Path, Any, Splits, Params], Figures]

    def write(
        self, path: Path, network: Any, splits: Splits, folder: Path, params: Params, scratch: Path
    ) -> None:
        """Ask the network and write the answers to `path`, as `write_answers` does.

        Args:
            folder: the model's.
        """

        def ask(split: PackedSplit) -> Iterable[Any]:
            return self.ask(network, split, folder, params)

        batch_size = params.evaluate.batch_size
        write_answers(path, self.form, list(splits.values()), ask, batch_size, scratch)


def answers_of(network: nn.Module) -> Answers:
    """Return the kind of answers that `network` gives; TypeError if it gives none."""
    for kind in ANSWERS:
        if hasattr(network, kind.ability):
            return kind
    raise TypeError(f"{type(network).__name__} has none of {', '.join(k.ability for k in ANSWERS)}")


def _localize(
    network: Any, split: PackedSplit, folder: Path, params: Params
) -> Iterator[Prediction]:
    return predict(network, split, params.input, params.evaluate)


def _judge_maps(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    test = splits["test"]
    pairs = {name: stored_pairs(path, split) for name, split in splits.items()}
    control = getattr(network, "control_maps", None)
    return scores_of(pairs, test.classes, params, test.task, control)


def _detect(network: Any, split: PackedSplit, folder: Path, params: Params) -> Iterator[Proposals]:
    return cast(Detector, network.to(compute_device())).detect(split, folder, params)


def _judge_detections(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    def pairs(name: str) -> Iterator[tuple[Proposals, Record]]:
        return zip(StoredProposals(path, name), splits[name], strict=True)

    training = chain(pairs("train"), pairs("val"))
    return region_scores(training, pairs("test"), splits["test"].classes, params)


def _propose(network: Any, split: PackedSplit, folder: Path, params: Params) -> Iterator[Proposals]:
    return cast(Proposer, network.to(compute_device())).propose(split, params)


def _judge_proposals(path: Path, network: Any, splits: Splits, params: Params) -> Figures:
    return proposal_scores(path, splits["test"], params)


ANSWERS = (
    Answers("localize", SCORED_SPLITS.__getitem__, PREDICTIONS, _localize, _judge_maps),
    Answers("detect", SCORED_SPLITS.__getitem__, PROPOSALS, _detect, _judge_detections),
    Answers("propose", lambda track: ("test",), PROPOSALS, _propose, _judge_proposals),
)
