"""What an experiment costs, estimated without running it: arithmetic, hours, bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from paper.experiment import Experiment
from paper.settings import Settings
from pipeline.download.archives import DISTRIBUTIONS, Distribution
from pipeline.download.provide import disk_space, download_size
from pipeline.evaluation.localization.inference import RANKED
from pipeline.methods import registry
from pipeline.methods.bases.spg.network import SelfProducedGuidance
from pipeline.methods.bases.spn.network import SoftProposalNetwork
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Localization, Localizer
from pipeline.models.networks.network import Network
from pipeline.models.networks.registry import find
from pipeline.params import Params, TrainParams

PACKED_BYTES_PER_PIXEL = 0.35
"""Of a stored photograph (JPEG, quality 90): measured 0.34 on VOC-style and 0.27 on CUB ones."""
ASPECT = 4 / 3
TEN_CROPS = 10


@dataclass(frozen=True)
class Cost:
    """Of one model: FLOPs (a multiplication and an addition are two) and bytes.

    Attributes:
        step: forward and backward pass of one image.
        forward: forward pass of one image.
        training, evaluation: all of it.
        predictions: bytes of its file of predictions.
    """

    model: str
    step: int
    forward: int
    training: float
    evaluation: float
    predictions: float

    def hours(self, tflops: float) -> float:
        """Return the hours at a sustained rate of `tflops` TFLOP/s."""
        return (self.training + self.evaluation) / (tflops * 1e12) / 3600


def costs(experiment: Experiment, settings: Settings, params: Params) -> Iterator[Cost]:
    """Yield the cost of each model of `experiment` under its `params`."""
    for model in experiment.models:
        yield cost(model, settings, params)


def cost(model: str, settings: Settings, params: Params) -> Cost:
    """Return the cost of training `model` on the training images and evaluating it on the test's.

    SPN's CorLoc makes a network of the multi-label track give predictions for all images.
    """
    track = registry.MODELS[model].track
    data = settings.data_sets[data_set(model, params)]
    network = meta_network(model, data.classes, params)
    images = meta_image(params)
    forward, found = _forward(network, images)
    step = step_flops(network, images)
    predicted = data.test + (data.train if track == "multi" else 0)
    crops = TEN_CROPS if track == "single" and params.evaluate.ten_crop else 0
    return Cost(
        model=model,
        step=step,
        forward=forward,
        training=float(step) * data.train * schedule(model, params).epochs,
        evaluation=float(forward) * predicted * (1 + crops),
        predictions=float(_prediction_bytes(found, track)) * predicted,
    )


def data_set(model: str, params: Params) -> str:
    """Return the name of the data set that `model` is trained on."""
    return {"multi": params.data.multi, "single": params.data.single}[registry.MODELS[model].track]


def schedule(model: str, params: Params) -> TrainParams:
    """Return the schedule that `model` is trained by."""
    return registry.method(model).schedule(params, registry.MODELS[model].track)


def meta_network(model: str, classes: int, params: Params) -> nn.Module:
    """Return the network without memory for its weights.

    The Soft Proposal, which looks at values, and is less than 1 % of the arithmetic, is left out.
    """
    with torch.device("meta"):
        network = registry.method(model).network(Backbone(params.backbone), classes, params)
        network.train()
    if isinstance(network, SoftProposalNetwork):
        network.proposal_maps = super(SoftProposalNetwork, network).proposal_maps  # type: ignore[method-assign]
    return network


def meta_image(params: Params) -> Tensor:
    """Return an image (1, 3, S, S) of the network's input size, without memory."""
    size = params.input.size
    return torch.empty(1, 3, size, size, dtype=torch.uint8, device="meta")


def step_flops(network: nn.Module, images: Tensor) -> int:
    """Return the FLOPs of a forward and backward pass; the loss itself is not counted."""
    with FlopCounterMode(display=False) as counter:
        torch.stack([output.sum() for output in _trained_outputs(network, images)]).sum().backward()
    return int(counter.get_total_flops())


def _trained_outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    """All that a loss stands on."""
    if isinstance(network, SelfProducedGuidance):
        maps = network.guided(images)
        return [m for m in (maps.attention, maps.b1, maps.b2, maps.c) if m is not None]
    return [network(images)]


def _forward(network: nn.Module, images: Tensor) -> tuple[int, Localization]:
    """The FLOPs of evaluating one image, and what that gives."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        found = cast(Localizer, network).localize(images)
    return int(counter.get_total_flops()), found


def _prediction_bytes(found: Localization, track: str) -> int:
    """Bytes of one image's scores and of the maps that are kept of it."""
    classes, height, width = found.response_maps.shape[1:]
    maps = classes if track == "multi" else min(classes, RANKED + 1)
    extra = len(found.guidance) + (found.proposal_maps is not None)
    return 4 * (classes + (maps + extra) * height * width)


def distributions(models: Iterable[str], params: Params) -> list[Distribution]:
    """Return the data sets that `models` need and that are not embedded."""
    names = dict.fromkeys(data_set(model, params) for model in models)
    return [DISTRIBUTIONS[name] for name in names]


def weights_bytes(name: str) -> int:
    """Return the bytes of the published weights of network `name`; of timm's, 4 for each number."""
    network = find(name)
    if isinstance(network, Network):
        return network.published_bytes
    with torch.device("meta"):
        return 4 * sum(parameter.numel() for parameter in network.classifier().parameters())


def packed_bytes(images: int, short_side: int) -> float:
    """Return the bytes of `images` stored photographs of an aspect of 4:3."""
    return images * short_side**2 * ASPECT * PACKED_BYTES_PER_PIXEL


@dataclass(frozen=True)
class Disk:
    """Bytes that the runs of a table take, as estimated."""

    download: int
    unpacked: int
    packed: float
    predictions: float

    @property
    def most(self) -> float:
        """All of it; packed images and predictions are shared with the cache of DVC."""
        return self.download + self.unpacked + self.packed + self.predictions


def disk(
    needed: Iterable[Distribution], settings: Settings, short_side: int, models: Iterable[Cost]
) -> Disk:
    """Return the space for the data sets `needed` and for the predictions of `models`."""
    names = dict.fromkeys(needed)
    images = sum(settings.data_sets[d.name].train + settings.data_sets[d.name].test for d in names)
    download = sum(download_size(distribution) for distribution in names)
    return Disk(
        download=download,
        unpacked=sum(disk_space(distribution) for distribution in names) - download,
        packed=packed_bytes(images, short_side),
        predictions=sum(each.predictions for each in models),
    )
