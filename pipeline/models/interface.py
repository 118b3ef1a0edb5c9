"""What a method is, and what its network gives to the evaluation."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from pipeline.models.backbones import Backbone
from pipeline.models.losses import Classification
from pipeline.models.weights import load_weights
from pipeline.packed.pictures import Annotate, ClassTargets
from pipeline.packed.proposals import Proposals
from pipeline.packed.record import Task
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, TrainParams

WEIGHTS = "weights.safetensors"
"""Name of the trained weights in a model's folder."""


def _nothing(folder: Path, splits: Mapping[str, PackedSplit], params: Params) -> None:
    """Most methods need no more than images and labels."""


def _unwatched(
    objective: nn.Module, split: PackedSplit, folder: Path, params: Params, epoch: int
) -> dict[str, float]:
    """Most methods have nothing to watch but their losses."""
    return {}


def _classes(split: PackedSplit, folder: Path, params: Params) -> Annotate:
    return ClassTargets(split)


@dataclass(frozen=True)
class Method:
    """A network, its objective and its schedule.

    Attributes:
        network: (backbone, number of classes, parameters) -> the network. What it answers is told
            by its method `localize` (see `Localizer`), `detect` or `propose`.
        schedule: (parameters, track) -> the schedule of the training.
        sections: sections of params.yaml that decide the network and the objective.
        keys: keys of params.yaml, or whole sections, that decide the network besides `input` and
            `backbone`: what a trained model must know of them.
        objective: (network, parameters) -> module (images, targets, epoch) -> loss terms by name,
            scalars to be summed; it has the network in its attribute `network`.
        prepare: (folder, splits, parameters) writes into `folder` what the training needs besides
            the packed images.
        targets: (split, that folder, parameters) -> what the objective learns from.
        watch: (objective, val split, that folder, parameters, epoch from 0) -> figures by name
            for the history, after each epoch. The objective is in evaluation mode; nothing of it
            may change. What an epoch leaves in the folder it may leave again: one that was cut off
            is repeated.
    """

    network: Callable[[Backbone, int, Params], nn.Module]
    schedule: Callable[[Params, Task], TrainParams]
    sections: tuple[str, ...]
    keys: tuple[str, ...] = ()
    objective: Callable[[nn.Module, Params], nn.Module] = lambda network, params: Classification(
        network
    )
    prepare: Callable[[Path, Mapping[str, PackedSplit], Params], None] = _nothing
    targets: Callable[[PackedSplit, Path, Params], Annotate] = _classes
    watch: Callable[[nn.Module, PackedSplit, Path, Params, int], dict[str, float]] = _unwatched

    def trained(self, folder: Path, classes: int, params: Params, stage: str) -> nn.Module:
        """Return the network for `classes` with the weights of a model's folder, for evaluation.

        Raises:
            InputError: the weights are missing, which `stage` makes, damaged or of another network.
        """
        network = self.network(Backbone(params.backbone), classes, params)
        load_weights(network, folder / WEIGHTS, stage)
        return network.eval()


@dataclass(frozen=True)
class Localization:
    """Scores and maps of a batch, at the network's own resolution.

    Attributes:
        logits: (B, C) class scores before softmax or sigmoid.
        response_maps: (B, C, h, w) evidence for each class, unbounded.
        proposal_maps: (B, h, w), each with sum 1; SPN only.
        guidance: maps in [0, 1] by the name of their branch, (B, h, w); SPG only.
    """

    logits: Tensor
    response_maps: Tensor
    proposal_maps: Tensor | None = None
    guidance: dict[str, Tensor] = field(default_factory=dict)


class Localizer(Protocol):
    """A network that classifies and localizes."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of images (B, 3, S, S) uint8."""

    def localize(self, images: Tensor) -> Localization:
        """Return scores and maps of images (B, 3, S, S) uint8."""


class Detector(Protocol):
    """A network that gives each class one box."""

    def detect(self, split: PackedSplit, folder: Path, params: Params) -> Iterator[Proposals]:
        """Yield for each image of `split`, in order, each class's box (C, 4) and score (C,).

        Args:
            folder: what the method's `prepare` has written is in it.
        """


class Proposer(Protocol):
    """A network that proposes boxes of objects of any class."""

    def propose(self, split: PackedSplit, params: Params) -> Iterator[Proposals]:
        """Yield the proposals of each image of `split`, in order."""
