"""Gradient saliency (Simonyan, Vedaldi and Zisserman, ICLR workshop 2014, Sec. 3)."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.params import SaliencyParams
from pipeline.saliency.backward import class_score


def gradient(network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams) -> Tensor:
    """Return max_c |dS/dI_c| over the colour channels, (n, S, S)."""
    return image_saliency(network, images, classes, nullcontext())


def image_saliency(
    network: nn.Module,
    images: Tensor,
    classes: Tensor,
    backward: AbstractContextManager[Any],
) -> Tensor:
    """Return the same of the slope that another `backward` pass gives, (n, S, S)."""
    pixels = images.detach().requires_grad_()
    with backward:
        logits = network(pixels)
    (slope,) = torch.autograd.grad(class_score(logits, classes), pixels)
    return slope.abs().amax(1)
