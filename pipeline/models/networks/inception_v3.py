"""Inception-v3 without its third block, at stride 8 (SPG Sec. 3.3): 28x28 cells at 224.

Paddings and strides are those of SPG's released code (inception3_spg.py); they change no weight.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import Inception3
from torchvision.models.inception import (
    BasicConv2d,
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
)

from pipeline.models.networks.network import (
    IMAGENET_CLASSES,
    Network,
    Stage,
    torchvision_weights,
)


class UnitStrideInceptionB(InceptionB):
    """Mixed_6a with stride 1 in place of 2, its borders padded: it keeps the resolution."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        for branch in (self.branch3x3, self.branch3x3dbl_3):
            branch.conv.stride = branch.conv.padding = (1, 1)

    def forward(self, features: Tensor) -> Tensor:
        single = self.branch3x3(features)
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(features)))
        pooled = F.max_pool2d(features, 3, stride=1, padding=1)
        return torch.cat([single, double, pooled], 1)


def create(classes: int) -> nn.Module:
    """Return the classifier of Szegedy et al., CVPR 2016."""
    return Inception3(classes, aux_logits=False, init_weights=True)


def dense() -> nn.Module:
    """Return the network with padded first layers and Mixed_6a at stride 1."""
    kinds = [BasicConv2d, InceptionA, UnitStrideInceptionB, InceptionC]
    kinds += [InceptionD, InceptionE, InceptionAux]
    network: Any = Inception3(
        IMAGENET_CLASSES, aux_logits=False, inception_blocks=kinds, init_weights=True
    )
    network.Conv2d_1a_3x3.conv.padding = (1, 1)
    network.maxpool1 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    network.maxpool2 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    return network


# B1 reads the third stage, B2 the fourth.
INCEPTION_V3 = Network(
    name="inception_v3",
    create=create,
    dense=dense,
    stages=(
        Stage("Conv2d_2b_3x3", 64, 2),
        Stage("Conv2d_4a_3x3", 192, 4),
        Stage("Mixed_5d", 288, 8),
        Stage("Mixed_6d", 768, 8),
        Stage("Mixed_6e", 768, 8),
    ),
    published=partial(torchvision_weights, "inception_v3"),
    published_bytes=108_949_747,
    auxiliary=("AuxLogits",),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    size=299,
    crop=299 / 342,
)
