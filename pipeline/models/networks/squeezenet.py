"""SqueezeNet 1.1 (Iandola et al., 2016; torchvision's): ReLU throughout, 13x13 cells at 224."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision.models import SqueezeNet

from pipeline.models.networks.network import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Network,
    Stage,
    torchvision_weights,
)

# B1 reads fire5, B2 fire7; A and C read fire9.
SQUEEZENET1_1 = Network(
    name="squeezenet1_1",
    create=partial(SqueezeNet, "1_1"),
    dense=partial(SqueezeNet, "1_1"),
    stages=(
        Stage("features.1", 64, 2),
        Stage("features.4", 128, 4),
        Stage("features.7", 256, 8),
        Stage("features.10", 384, 16),
        Stage("features.12", 512, 16),
    ),
    published=partial(torchvision_weights, "squeezenet1_1"),
    published_bytes=4_958_716,
)

CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Mean colour, BGR in [0, 255], that Caffe models want subtracted."""
_LAYERS = {
    "conv1": "features.0",
    "fire2": "features.3",
    "fire3": "features.4",
    "fire4": "features.6",
    "fire5": "features.7",
    "fire6": "features.9",
    "fire7": "features.10",
    "fire8": "features.11",
    "fire9": "features.12",
    "conv10": "classifier.1",
}


def from_caffe(layers: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Tensor]:
    """Return torchvision's state dict, for its normalised RGB images, of a Caffe model's weights.

    Args:
        layers: kernel (H, W, in, out) and bias (out,) by the names of the authors' Caffe model,
            as `fire2/squeeze1x1`; conv1 reads BGR in [0, 255] less `CAFFE_MEAN`.
    """
    state = {}
    for layer, (kernel, bias) in layers.items():
        weight, offset = torch.from_numpy(kernel).permute(3, 2, 0, 1), torch.from_numpy(bias)
        if layer == "conv1":
            weight, offset = _for_normalised_rgb(weight.double(), offset.double())
        block, _, part = layer.partition("/")
        name = _LAYERS[block] + part.replace("squeeze1x1", ".squeeze").replace("expand", ".expand")
        state[f"{name}.weight"] = weight.float().contiguous()
        state[f"{name}.bias"] = offset.float()
    return state


def _for_normalised_rgb(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return a convolution that makes of normalised RGB what `weight` makes of Caffe's BGR.

    It is exact because conv1 does not pad: a border of zeros would be another colour for each.
    """
    weight = weight.flip(1)
    mean, std = (255 * weight.new_tensor(values) for values in (IMAGENET_MEAN, IMAGENET_STD))
    shift = mean - weight.new_tensor(CAFFE_MEAN).flip(0)
    return weight * std[:, None, None], bias + weight.sum((2, 3)) @ shift
