"""Any network of timm that gives features, by timm's name."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.layers.format import Format
from torch import Tensor, nn

from pipeline.errors import InputError, first_line
from pipeline.models.networks.network import IMAGENET_CLASSES


@dataclass(frozen=True)
class TimmNetwork:
    """A timm network; the methods are those of `Network`."""

    name: str
    auxiliary: tuple[str, ...] = ()

    def classifier(self, classes: int = IMAGENET_CLASSES) -> nn.Module:
        """Return the whole network with random weights; InputError for an unknown tag."""
        return self._create(f"backbone.name: timm cannot build {self.name}", num_classes=classes)

    def features(self, output_stride: int) -> nn.Module:
        """Return the network without its head, images -> one map per stage, random weights.

        Few networks of timm can be asked for a stride; one that has it is built as it is.

        Raises:
            InputError: timm gives no features of this network at `output_stride`.
        """
        with torch.device("meta"):
            plain = self._create(
                f"backbone.name: timm has no features of {self.name}", features_only=True
            )
        own = _last_stride(plain)
        wanted = {} if own == output_stride else {"output_stride": output_stride}
        complaint = (
            f"backbone.output_stride: {self.name} has {own}, not {output_stride}; set it to {own}"
        )
        features = self._create(complaint, features_only=True, **wanted)
        if _last_stride(features) != output_stride:
            raise InputError(complaint)
        if getattr(features, "output_fmt", None) == Format.NHWC:
            features.register_forward_hook(_channels_first)
        return features

    def published(self) -> Mapping[str, Tensor]:
        """Return the ImageNet weights that timm publishes."""
        # The hub's client would tell each of its retries; what fails is told once, by the caller.
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        return timm.create_model(self.name, pretrained=True).state_dict()

    def _create(self, complaint: str, **options: Any) -> nn.Module:
        """Return what timm makes of the name; InputError with `complaint` and timm's reason."""
        try:
            return timm.create_model(self.name, **options)
        except Exception as error:  # networks refuse what they do not know each in its own way
            raise InputError(f"{complaint} ({first_line(error)})") from error


def _last_stride(features: Any) -> int:
    """Input px per cell of the last map."""
    return int(features.feature_info.reduction()[-1])


def _channels_first(features: nn.Module, images: object, maps: list[Tensor]) -> list[Tensor]:
    """Turn maps (B, h, w, C), as Swin's are, into (B, C, h, w)."""
    return [each.permute(0, 3, 1, 2) for each in maps]
