"""Deconvolution (Zeiler and Fergus, ECCV 2014, Sec. 2.1)."""

from typing import Any

from torch import Tensor, nn
from torch.autograd import Function

from pipeline.params import SaliencyParams
from pipeline.saliency.backward import ACTIVATIONS, Replaced, TorchFunction
from pipeline.saliency.gradient import image_saliency


def deconvolution(
    network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams
) -> Tensor:
    """Return max_c |D_c| over the colour channels of the image D that deconvolution makes.

    The class score goes back as in a gradient, but an activation passes what is positive in the
    slope, whatever its input was: D_in = max(D_out, 0). Maximum pooling keeps its switches. They
    are all that such a map knows of the image: of a network without maximum pooling, such as
    EfficientNet, it is the same for every image (Mahendran and Vedaldi, ECCV 2016).
    """
    return image_saliency(network, images, classes, Deconvolution())


class Deconvolution(Replaced):
    """Activations whose backward pass rectifies the slope instead of the signal."""

    def activation(self, func: TorchFunction, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return _Activation.apply(x, lambda values: func(values, *args, **kwargs))

    replacements = dict.fromkeys(ACTIVATIONS, activation)


class _Activation(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: TorchFunction) -> Any:
        return activation(x.clone())

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope.clamp(min=0), None
