"""Class activation maps with global average pooling: the twin that SPN is compared with."""

import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Localization, Method
from pipeline.params import SpnParams


class ClassActivationNetwork(nn.Module):
    """Backbone, 3x3 convolution, spatial pooling weighted by M, dropout, linear layer.

    Here M is uniform, which is global average pooling (Zhou et al., CVPR 2016); SPN replaces
    nothing but M. Without `spn.convolution` the backbone's maps are pooled as they are.
    """

    def __init__(self, backbone: Backbone, classes: int, params: SpnParams) -> None:
        super().__init__()
        self.backbone = backbone
        inputs = backbone.channels[-1]
        self.convolution = _convolution(inputs, params) if params.convolution else nn.Identity()
        self.width = params.channels if params.convolution else inputs
        self.dropout = nn.Dropout(params.dropout)
        self.classifier = nn.Linear(self.width, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return U (B, K, h, w) >= 0 of images (B, 3, S, S) uint8."""
        return torch.relu(self.convolution(self.backbone(images)[-1]))

    def proposal_maps(self, features: Tensor) -> Tensor:
        """Return M (B, h, w), each with sum 1: here uniform."""
        batch, _, height, width = features.shape
        return features.new_full((batch, height, width), 1 / (height * width))

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        return self._scores(features * self.proposal_maps(features)[:, None])

    def _scores(self, coupled: Tensor) -> Tensor:
        """Return logits (B, C) of V = U * M (SPN Eq. 3): spatial sum, dropout, linear."""
        logits: Tensor = self.classifier(self.dropout(coupled.sum((2, 3))))
        return logits

    def localize(self, images: Tensor) -> Localization:
        """Return scores and R_c = sum_k w_kc U_k * M, without bias (SPN Sec. 3.3)."""
        features = self.features(images)
        return self._localization(features, self.proposal_maps(features))

    def _localization(self, features: Tensor, proposals: Tensor) -> Localization:
        coupled = features * proposals[:, None]
        responses = torch.einsum("ck,bkhw->bchw", self.classifier.weight, coupled)
        return Localization(self._scores(coupled), responses)


def _convolution(inputs: int, params: SpnParams) -> nn.Conv2d:
    if inputs % params.groups:
        raise InputError(
            f"spn.groups: {params.groups} must divide the backbone's {inputs} channels"
        )
    return nn.Conv2d(inputs, params.channels, 3, padding=1, groups=params.groups)


KEYS = ("spn.convolution", "spn.channels", "spn.groups", "spn.dropout")
"""Keys of params.yaml that decide this network."""

METHOD = Method(
    network=lambda backbone, classes, params: ClassActivationNetwork(backbone, classes, params.spn),
    schedule=lambda params, track: params.spn.schedule(track),
    sections=("spn",),
    keys=KEYS,
)
