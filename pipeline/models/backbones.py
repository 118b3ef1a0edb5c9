"""Feature extractors on images, by name: any network of `pipeline.models.networks`."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import InputError, first_line
from pipeline.models.networks.network import IMAGENET_MEAN, IMAGENET_STD
from pipeline.models.networks.registry import find
from pipeline.models.weights import load_first_weights
from pipeline.params import BackboneParams, Normalisation


class Normalise(nn.Module):
    """uint8 images (B, 3, S, S) to what a network was trained on: its mean and deviation.

    "imagenet" takes those of ImageNet, whatever the network was trained on.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, normalisation: Normalisation = "own") -> None:
        super().__init__()
        config: Any = network.pretrained_cfg
        own = config["mean"], config["std"]
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if normalisation == "imagenet" else own
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] * 255, False)
        self.register_buffer("std", torch.tensor(std)[:, None, None] * 255, False)

    def forward(self, images: Tensor) -> Tensor:
        # Bytes are turned to the layout that convolutions are fast in, then all is in place.
        values = images.contiguous(memory_format=torch.channels_last)
        return values.to(self.mean.dtype, copy=True).sub_(self.mean).div_(self.std)


class Classifier(nn.Module):
    """A whole network with random weights, for training a backbone from scratch."""

    def __init__(self, params: BackboneParams, classes: int) -> None:
        super().__init__()
        self.backbone = find(params.name).classifier(classes)
        self.normalise = Normalise(self.backbone, params.normalisation)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.backbone(self.normalise(images))
        return logits


class Backbone(nn.Module):
    """A network without its classifier, (B, 3, S, S) uint8 -> one feature map per stage.

    With `freeze_statistics` those of its batch normalisation stay at their first values, as is
    usual in fine-tuning with small batches; `frozen_stages` leading stages do not learn. With
    `standardise` each map's channels get mean 0 and deviation 1: layers added to maps of linear
    bottlenecks, whose deviation is 3 to 8, would diverge at the papers' learning rates.

    Attributes:
        channels: channels of each stage's map.
        strides: input px per cell of each stage's map.
    """

    def __init__(self, params: BackboneParams, weights: Path | None = None) -> None:
        """Build the network; take its first weights from `weights`, made by stage pretrain.

        Raises:
            InputError: there is no such network, it has another output stride, fewer stages or no
                head, or the weights are missing or not its own.
        """
        super().__init__()
        network = find(params.name)
        cut = {"stage": network.features, "head": network.features_and_head}[params.last]
        self.network = cut(params.output_stride)
        if weights is not None:
            load_first_weights(self.network, weights)
        info: Any = self.network.feature_info
        self.channels: list[int] = info.channels()
        self.scales = nn.ModuleList(
            nn.BatchNorm2d(c, affine=False) if params.standardise else nn.Identity()
            for c in self.channels
        )
        self.strides: list[int] = info.reduction()
        for parameter in _leading(self.network, params.frozen_stages):
            parameter.requires_grad_(False)
        self.normalise = Normalise(self.network, params.normalisation)
        self.freeze_statistics = params.freeze_statistics

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self.network(self.normalise(images))
        return [scale(each) for scale, each in zip(self.scales, features, strict=True)]

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode, but keep the statistics that are frozen."""
        super().train(mode)
        for module in self.network.modules():
            if self.freeze_statistics and isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def network_for(params: BackboneParams, size: int) -> nn.Module:
    """Return the network of a `Backbone`, tried on an image of `size` x `size` px.

    Raises:
        InputError: as `Backbone`; it takes no such image, or gives no maps of it.
    """
    backbone = Backbone(params).eval()
    config: Any = backbone.network.pretrained_cfg
    try:
        with torch.no_grad():
            maps = backbone(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    except Exception as error:  # networks refuse images each in its own way
        raise InputError(
            f"input.size: {params.name} takes no images of {size} px, its own are of "
            f"{config['input_size'][-1]} px ({first_line(error)})"
        ) from error
    channels = [each.shape[1] if each.ndim == 4 else 0 for each in maps]
    if channels != backbone.channels:
        raise InputError(
            f"backbone.name: {params.name} gives maps of {channels} channels where it says "
            f"{backbone.channels}; name another network"
        )
    return backbone.network


@torch.enable_grad()
def _leading(network: nn.Module, stages: int) -> list[nn.Parameter]:
    """Return the parameters that the maps of the first `stages` stages rest on.

    Found by a gradient, since the order and names of its layers do not tell it of every network.
    """
    if stages == 0:
        return []
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    config: Any = network.pretrained_cfg
    image = torch.zeros(1, *config["input_size"], device=learning[0].device)
    maps = network.eval()(image)
    network.train()
    if stages > len(maps):
        raise InputError(f"backbone.frozen_stages: {stages} is more than {len(maps)} stages")
    leading = [each.sum() for each in maps[:stages]]
    slopes = torch.autograd.grad(leading, learning, allow_unused=True)
    return [each for each, slope in zip(learning, slopes, strict=True) if slope is not None]
