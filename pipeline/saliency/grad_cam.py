"""Grad-CAM (Selvaraju et al., ICCV 2017, Sec. 3)."""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.params import SaliencyParams
from pipeline.saliency.backward import (
    ACTIVATIONS,
    Replaced,
    TorchFunction,
    class_score,
)
from pipeline.saliency.layers import maps_of


def grad_cam(network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams) -> Tensor:
    """Return ReLU(sum_k a_k A^k), a_k = mean over cells of dS/dA^k (Eq. 1, 2), (n, h, w).

    A are the maps of the backbone's layer `grad_cam_layer`, or else the last feature maps: what an
    activation or a concatenation gave last, of more than one cell. Of a class activation network
    these give its CAM without the negative part.

    Raises:
        InputError: the network has no such maps.
    """
    pixels, name = images.detach().requires_grad_(), params.grad_cam_layer
    if name:
        with maps_of(network, name, "saliency.grad_cam_layer") as found:
            logits = network(pixels)
        maps = found[-1]
    else:
        with LastMaps() as last:
            logits = network(pixels)
        if last.maps is None:
            raise InputError("saliency.methods: grad_cam needs a network with feature maps")
        maps = last.maps
    (slope,) = torch.autograd.grad(class_score(logits, classes), maps)
    return (slope.mean((2, 3), keepdim=True) * maps).sum(1).relu()


class LastMaps(Replaced):
    """Keeps the last feature maps (n, K, h, w) of a forward pass."""

    maps: Tensor | None = None

    def keep(self, func: TorchFunction, *args: Any, **kwargs: Any) -> Any:
        value: Tensor = func(*args, **kwargs)
        if value.ndim == 4 and value[0, 0].numel() > 1:
            self.maps = value
        return value

    replacements = dict.fromkeys((*ACTIVATIONS, torch.cat), keep)
