"""Any network of timm that gives features, by timm's name."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.layers.format import Format
from timm.models import FeatureListNet
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from pipeline.errors import InputError, first_line
from pipeline.models.networks.network import IMAGENET_CLASSES, no_head


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

    def features_and_head(self, output_stride: int) -> nn.Module:
        """Return `features` with one stage more, which ends behind the activation of conv_head.

        Raises:
            InputError: as `features`; the network is not of the family of EfficientNet, to which
                MobileNetV2 belongs, or has no such head.
        """
        with torch.device("meta"):
            whole = self.classifier()
            if not isinstance(whole, EfficientNet) or not isinstance(whole.conv_head, nn.Conv2d):
                raise no_head(self.name)
            info: Any = self.features(output_stride).feature_info
        complaint = f"backbone.name: timm cannot build {self.name}"
        network: Any = self._create(complaint, output_stride=output_stride)
        head = {"module": "bn2", "num_chs": network.num_features, "reduction": output_stride}
        network.feature_info = [*info.get_dicts(("module", "num_chs", "reduction")), head]
        every = tuple(range(len(network.feature_info)))
        features: Any = FeatureListNet(network, out_indices=every, flatten_sequential=True)
        features.pretrained_cfg = network.pretrained_cfg
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
