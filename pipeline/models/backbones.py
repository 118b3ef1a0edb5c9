"""Feature extractors: any timm model with features, by name."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.params import BackboneParams


class Normalise(nn.Module):
    """uint8 images (B, 3, S, S) to what a timm network was trained on: its mean and deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        config: Any = network.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"])[:, None, None] * 255, False)
        self.register_buffer("std", torch.tensor(config["std"])[:, None, None] * 255, False)

    def forward(self, images: Tensor) -> Tensor:
        normalised = (images.to(self.mean.dtype) - self.mean) / self.std
        return normalised.contiguous(memory_format=torch.channels_last)


def create(name: str, classes: int = 1000) -> nn.Module:
    """Return a whole timm network with random weights; InputError when timm has none so named."""
    try:
        return timm.create_model(name, num_classes=classes)
    except RuntimeError as error:
        raise InputError(f"backbone.name: {error}; see timm.list_models()") from error


class Classifier(nn.Module):
    """A whole timm network with random weights, for training a backbone from scratch."""

    def __init__(self, name: str, classes: int) -> None:
        super().__init__()
        self.backbone = create(name, classes)
        self.normalise = Normalise(self.backbone)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.backbone(self.normalise(images))
        return logits


class Backbone(nn.Module):
    """A timm network without its classifier, (B, 3, S, S) uint8 -> one feature map per stage.

    The statistics of its batch normalisation stay at their first values, as is usual in
    fine-tuning with small batches; `frozen_stages` leading stages do not learn at all. With
    `standardise` each map's channels get mean 0 and deviation 1: layers added to maps of linear
    bottlenecks, whose deviation is 3 to 8, would diverge at the papers' learning rates.

    Attributes:
        channels: channels of each stage's map.
        strides: input px per cell of each stage's map.
    """

    def __init__(self, params: BackboneParams, weights: Path | None = None) -> None:
        """Build the network; take its first weights from `weights`, made by stage pretrain."""
        super().__init__()
        self.network = _create(params, weights)
        info: Any = self.network.feature_info
        self.channels: list[int] = info.channels()
        self.scales = nn.ModuleList(
            nn.BatchNorm2d(c, affine=False) if params.standardise else nn.Identity()
            for c in self.channels
        )
        self.strides: list[int] = info.reduction()
        for module in self._leading_modules(info.module_name(), params.frozen_stages):
            module.requires_grad_(False)
        self.normalise = Normalise(self.network)

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self.network(self.normalise(images))
        return [scale(each) for scale, each in zip(self.scales, features, strict=True)]

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode of all but batch normalisation, whose statistics never move."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def _leading_modules(self, names: list[str], stages: int) -> list[nn.Module]:
        """Return the parts of the network up to the end of the first `stages` of stages `names`."""
        if stages > len(names):
            raise InputError(f"backbone.frozen_stages: {stages} is more than {len(names)} stages")
        if stages == 0:
            return []
        modules = {f"{name}.": m for name, m in self.network.named_modules() if name}
        # Of a stage `a.b` timm's wrapper makes the child `a_b`, unless the network is its own.
        last = f"{names[stages - 1]}.".replace(".", "_")
        paths = list(modules)
        end = max(i for i, path in enumerate(paths) if path.replace(".", "_").startswith(last))
        later = paths[end + 1 :]
        complete = (p for p in paths[: end + 1] if not any(q.startswith(p) for q in later))
        return [modules[path] for path in complete]


def _create(params: BackboneParams, weights: Path | None) -> nn.Module:
    if weights is not None and not weights.exists():
        raise InputError(f"{weights}: not found; run `dvc repro pretrain`")
    try:
        return timm.create_model(
            params.name,
            features_only=True,
            output_stride=params.output_stride,
            pretrained=weights is not None,
            pretrained_cfg_overlay={"file": str(weights)} if weights else None,
        )
    except (RuntimeError, TypeError, AttributeError, AssertionError, KeyError) as error:
        raise InputError(
            f"backbone.name: timm cannot give features of {params.name!r} at output stride "
            f"{params.output_stride} ({error}); see timm.list_models(), or run `dvc repro pretrain`"
        ) from error
    except SafetensorError as error:
        raise InputError(f"{weights}: damaged ({error}); run `dvc repro -f pretrain`") from error
