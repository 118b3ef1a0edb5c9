"""The saliency methods by name, and the one way to call them: a new one is a file and a line."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil

import torch
from torch import Tensor, nn

from pipeline.params import SaliencyMethod, SaliencyParams
from pipeline.saliency.c_mwp import c_mwp
from pipeline.saliency.deconvolution import deconvolution
from pipeline.saliency.feedback import feedback
from pipeline.saliency.grad_cam import grad_cam
from pipeline.saliency.gradient import gradient
from pipeline.saliency.guided_backpropagation import guided_backpropagation
from pipeline.saliency.lrp import lrp
from pipeline.saliency.mwp import mwp

Method = Callable[[nn.Module, Tensor, Tensor, SaliencyParams], Tensor]
"""(network, images (n, 3, S, S) float, the class (n,) asked of each, parameters) -> maps (n, h, w).
"""

METHODS: Mapping[SaliencyMethod, Method] = {
    "gradient": gradient,
    "deconvolution": deconvolution,
    "guided_backpropagation": guided_backpropagation,
    "lrp": lrp,
    "grad_cam": grad_cam,
    "mwp": mwp,
    "c_mwp": c_mwp,
    "feedback": feedback,
}
PASSES = 4
"""Passes that a batch of images with one class each is dealt to: going back through a network takes
several times the memory of going forward, and smaller passes are as fast."""


def saliency_maps(
    network: nn.Module,
    images: Tensor,
    targets: Sequence[Sequence[int]],
    method: SaliencyMethod,
    params: SaliencyParams,
) -> list[Tensor]:
    """Return for each image the maps of the classes asked of it: (k, h, w) float32 on the CPU.

    The network is in evaluation mode meanwhile, and afterwards as it was; its parameters get no
    gradients. A pass has a fourth as many (image, class) pairs as there are images, rounded up,
    whatever the number of classes, so that memory depends on the batch alone.

    Args:
        network: images -> logits (B, C).
        images: (B, 3, S, S), uint8 or float, 0..255, on the network's device.
        targets: the classes asked of each image; there may be none.

    Raises:
        InputError: as the method.
    """
    rows = [row for row, classes in enumerate(targets) for _ in classes]
    asked = [label for classes in targets for label in classes]
    if not rows:
        return [torch.zeros(0, *images.shape[2:]) for _ in targets]
    together, maps = ceil(len(images) / PASSES), []
    with evaluating(network), torch.enable_grad():
        for start in range(0, len(rows), together):
            chosen = images[rows[start : start + together]].float()
            classes = torch.tensor(asked[start : start + together], device=images.device)
            maps.append(METHODS[method](network, chosen, classes, params).detach().float().cpu())
    return list(torch.cat(maps).split([len(classes) for classes in targets]))


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode; afterwards each of its modules is as it was."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
