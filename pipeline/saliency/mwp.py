"""Marginal winning probability (MWP: excitation backpropagation, Zhang et al., ECCV 2016)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.params import SaliencyParams
from pipeline.saliency.layers import maps_of
from pipeline.saliency.relevance import Relevance, divided

KEY = "saliency.excitation_layer"


def mwp(network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams) -> Tensor:
    """Return the winning probability of each cell of a stage of the backbone, (n, h, w).

    The class unit wins with probability 1. A winner chooses among the units that excite it:
    P(i | j) = w_ij+ x_i / sum_k w_kj+ x_k, for activations x >= 0 (Sec. 3.2); biases have no part.
    The map is the sum over channels at the layer `excitation_layer`. (The released code looks at
    pool2/3x3_s2 of GoogLeNet, TorchRay's reproduction at pool4 of VGG16.)

    Linear bottlenecks and standardised features have negative values, which the paper leaves out.
    Here a contribution w x counts with its sign, and a winner of negative value was excited by
    the contributions that are negative; where no value is negative that is the paper's rule. A
    unit that nothing excites passes nothing on: the map of such a class is 0 everywhere.

    Args:
        network: one with a `backbone` (`pipeline.models.backbones.Backbone`).

    Raises:
        InputError: the backbone has no such layer, or the score does not rest on it.
    """
    return winning(network, images, classes, params.excitation_layer, (1.0,))[0]


def winning(
    network: nn.Module, images: Tensor, classes: Tensor, layer: str, signs: Sequence[float]
) -> list[Tensor]:
    """Return the map for each sign: 1 asks what excites the class unit, -1 what inhibits it.

    The latter is the winning probability in a network with the class unit's weights negated.
    """
    with (
        maps_of(network, layer, KEY) as found,
        Relevance(winners, winners, with_bias=False),
    ):
        logits = network(images.detach().requires_grad_())
    features, scores = found[-1], logits.gather(1, classes[:, None])
    maps = []
    for sign in signs:
        # A mass of 1; where it goes is told by the sign, see `winners`.
        slope = divided(torch.full_like(scores, sign), scores.detach().abs())
        (slope,) = torch.autograd.grad(scores, features, slope, True, allow_unused=True)
        if slope is None:
            raise InputError(
                f"{KEY}: the class scores do not rest on layer {layer!r}; choose another (a "
                "convolution and the batch normalisation after it are one: choose the latter)"
            )
        maps.append((features.detach() * slope).sum(1))
    return maps


def winners(
    slope: Tensor, value: Tensor, positive: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the slopes of both sums under excitation backpropagation.

    The probability of a unit is |G y|. A positive G asks for what excites it; a negative one, which
    units of negative value have and the class unit may be given, for what inhibits it.
    """
    mass = value.abs()
    return (
        divided(slope.clamp(min=0) * mass, positive),
        divided(slope.clamp(max=0) * -mass, negative),
    )
