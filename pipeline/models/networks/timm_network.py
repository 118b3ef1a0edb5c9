"""Any network of timm that gives features, by timm's name."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.models.networks.network import IMAGENET_CLASSES


@dataclass(frozen=True)
class TimmNetwork:
    """A timm network; the methods are those of `Network`."""

    name: str
    auxiliary: tuple[str, ...] = ()

    def classifier(self, classes: int = IMAGENET_CLASSES) -> nn.Module:
        """Return the whole network with random weights; InputError for an unknown tag."""
        try:
            return timm.create_model(self.name, num_classes=classes)
        except RuntimeError as error:
            raise InputError(f"backbone.name: {self.name!r}: {error}") from error

    def features(self, output_stride: int) -> nn.Module:
        """Return the network without its head, images -> one map per stage, random weights.

        Raises:
            InputError: timm gives no features of this network at `output_stride`.
        """
        try:
            features: Any = timm.create_model(
                self.name, features_only=True, output_stride=output_stride
            )
        except (RuntimeError, TypeError, AttributeError, AssertionError, KeyError) as error:
            raise InputError(
                f"backbone.name: timm cannot give features of {self.name!r} at output stride "
                f"{output_stride} ({type(error).__name__}: {error})"
            ) from error
        found = features.feature_info.reduction()[-1]
        if found != output_stride:
            raise InputError(
                f"backbone.output_stride: {self.name} gives {found}, not {output_stride}"
            )
        return features

    def published(self) -> Mapping[str, Tensor]:
        """Return the ImageNet weights that timm publishes."""
        # The hub's client would tell each of its retries; what fails is told once, by the caller.
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        return timm.create_model(self.name, pretrained=True).state_dict()
