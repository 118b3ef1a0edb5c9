"""Attention-based Dropout Layer (ADL, Choe and Shim, CVPR 2019)."""

import torch
from torch import Tensor, nn

from pipeline.methods.bases.cam import KEYS, ClassActivationNetwork
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Method
from pipeline.params import AdlParams, Params


class AttentionDropout(nn.Module):
    """Features times a mask of their own attention, in training alone (ADL Sec. 3).

    The attention of a cell is the mean of its features over channels. With probability `drop_rate`
    a step hides the cells whose attention exceeds `threshold` of the image's largest, so that the
    network must look elsewhere; else it weights all cells by the sigmoid of their attention.
    """

    def __init__(self, params: AdlParams) -> None:
        super().__init__()
        self.params = params

    def forward(self, features: Tensor) -> Tensor:
        """Return features (B, K, h, w) >= 0, masked; as they are in evaluation mode."""
        if not self.training:
            return features
        attention = features.mean(1, keepdim=True)
        # One draw for a step: drawn on the CPU, whose generator is part of the checkpoints.
        if torch.rand(()).item() < self.params.drop_rate:
            return features * (attention <= self.params.threshold * attention.amax((2, 3), True))
        return features * torch.sigmoid(attention)


class AttentionDropoutNetwork(ClassActivationNetwork):
    """The class activation network with such a layer behind its 3x3 convolution.

    The paper puts more of them between the stages of the backbone, whose features must then be
    those of a ReLU: the mean over channels says nothing on linear bottlenecks.
    """

    def __init__(self, backbone: Backbone, classes: int, params: Params) -> None:
        super().__init__(backbone, classes, params.spn)
        self.attention_dropout = AttentionDropout(params.adl)

    def features(self, images: Tensor) -> Tensor:
        masked: Tensor = self.attention_dropout(super().features(images))
        return masked


METHOD = Method(
    network=AttentionDropoutNetwork,
    schedule=lambda params, track: params.spn.schedule(track),
    sections=("spn", "adl"),
    keys=(*KEYS, "adl"),
)
