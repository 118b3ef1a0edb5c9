"""GoogLeNet, 7x7 cells at 224, and its GAP form for localization, 14x14."""

from dataclasses import replace
from functools import partial

from torch import nn
from torchvision.models import GoogLeNet

from pipeline.models.networks.network import (
    IMAGENET_CLASSES,
    Network,
    Stage,
    torchvision_weights,
)


def create(classes: int = IMAGENET_CLASSES) -> nn.Module:
    """Return the classifier of Szegedy et al., CVPR 2015, with torchvision's batch normalisation.

    Its 5x5 convolutions are 3x3, as in the weights that torchvision publishes.
    """
    return GoogLeNet(classes, aux_logits=False, init_weights=True)


GOOGLENET = Network(
    name="googlenet",
    create=create,
    dense=create,
    stages=(
        Stage("conv1", 64, 2),
        Stage("conv3", 192, 4),
        Stage("inception3b", 480, 8),
        Stage("inception4e", 832, 16),
        Stage("inception5b", 1024, 32),
    ),
    published=partial(torchvision_weights, "googlenet"),
    published_bytes=52_147_035,
    auxiliary=("aux1", "aux2"),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)

# Zhou et al., CVPR 2016, Sec. 3, remove the layers after inception4e for a map of 14x14.
GOOGLENET_GAP = replace(GOOGLENET, name="googlenet_gap", stages=GOOGLENET.stages[:-1])
