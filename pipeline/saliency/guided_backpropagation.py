"""Guided backpropagation (Springenberg et al., ICLR workshop 2015, Sec. 3.4)."""

from typing import Any

from torch import Tensor, nn
from torch.autograd import Function

from pipeline.params import SaliencyParams
from pipeline.saliency.backward import ACTIVATIONS, Replaced, TorchFunction
from pipeline.saliency.gradient import image_saliency


def guided_backpropagation(
    network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams
) -> Tensor:
    """Return max_c |G_c| over the colour channels of the guided gradient G.

    An activation f passes what is positive in the slope, times its own derivative:
    G_in = f'(x) max(G_out, 0). The paper defines it for ReLU.
    """
    return image_saliency(network, images, classes, GuidedBackpropagation())


class GuidedBackpropagation(Replaced):
    """Activations that let no negative slope pass."""

    def activation(self, func: TorchFunction, *args: Any, **kwargs: Any) -> Any:
        return _PositiveSlope.apply(func(*args, **kwargs))

    replacements = dict.fromkeys(ACTIVATIONS, activation)


class _PositiveSlope(Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        # A copy: autograd forbids to change a view of it in place, which the network may do.
        return value.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return slope.clamp(min=0)
