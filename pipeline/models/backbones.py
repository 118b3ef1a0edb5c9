"""Feature extractors on images, by name: the papers' networks and any timm model with features."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.models.networks.network import IMAGENET_MEAN, IMAGENET_STD
from pipeline.models.networks.registry import find
from pipeline.models.weights import layer_name, load_first_weights
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
        normalised = (images.to(self.mean.dtype) - self.mean) / self.std
        return normalised.contiguous(memory_format=torch.channels_last)


class Classifier(nn.Module):
    """A whole network with random weights, for training a backbone from scratch."""

    def __init__(self, params: BackboneParams, classes: int) -> None:
        super().__init__()
        self.backbone = find(params.name).classifier(classes)
        self.normalise = Normalise(self.backbone, params.normalisation)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.backbone(self.normalise(images))
        return logits


def skeleton(params: BackboneParams) -> nn.Module:
    """Return the network of a `Backbone` without memory for its weights: names and shapes only.

    Raises:
        InputError: there is no such network, or it has another output stride.
    """
    with torch.device("meta"):
        return find(params.name).features(params.output_stride)


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
            InputError: there is no such network, it has another output stride or fewer stages, or
                the weights are missing or not its own.
        """
        super().__init__()
        self.network = find(params.name).features(params.output_stride)
        if weights is not None:
            load_first_weights(self.network, weights)
        info: Any = self.network.feature_info
        self.channels: list[int] = info.channels()
        self.scales = nn.ModuleList(
            nn.BatchNorm2d(c, affine=False) if params.standardise else nn.Identity()
            for c in self.channels
        )
        self.strides: list[int] = info.reduction()
        for module in self._leading_modules(info.module_name(), params.frozen_stages):
            module.requires_grad_(False)
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

    def _leading_modules(self, names: list[str], stages: int) -> list[nn.Module]:
        """Return the parts of the network up to the end of the first `stages` of stages `names`."""
        if stages > len(names):
            raise InputError(f"backbone.frozen_stages: {stages} is more than {len(names)} stages")
        if stages == 0:
            return []
        modules = {f"{name}.": m for name, m in self.network.named_modules() if name}
        last = layer_name(f"{names[stages - 1]}.")
        paths = list(modules)
        inside = [i for i, path in enumerate(paths) if layer_name(path).startswith(last)]
        if not inside:
            raise InputError(
                f"backbone.frozen_stages: stage {stages} of this network is no layer of it and "
                "cannot be frozen; use 0"
            )
        end = inside[-1]
        later = paths[end + 1 :]
        complete = (p for p in paths[: end + 1] if not any(q.startswith(p) for q in later))
        return [modules[path] for path in complete]
