"""Marginal winning probability (MWP: excitation backpropagation, Zhang et al., ECCV 2016)."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.params import SaliencyParams
from pipeline.saliency.relevance import Relevance, divided


def mwp(network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams) -> Tensor:
    """Return the winning probability of each cell of a stage of the backbone, (n, h, w).

    The class unit wins with probability 1. A winner chooses among the units that excite it:
    P(i | j) = w_ij+ x_i / sum_k w_kj+ x_k, for activations x >= 0 (Sec. 3.2); biases have no part.
    The map is the sum over channels at the last stage of stride `excitation_stride`. (The released
    code looks at pool2 of GoogLeNet, TorchRay's reproduction at pool4 of VGG16.)

    Linear bottlenecks and standardised features have negative values, which the paper leaves out.
    Here a contribution w x counts with its sign, and a winner of negative value was excited by
    the contributions that are negative; where no value is negative that is the paper's rule. A
    unit that nothing excites passes nothing on: the map of such a class is 0 everywhere.

    Args:
        network: one with a `backbone` (`pipeline.models.backbones.Backbone`).

    Raises:
        InputError: the backbone has no stage of that stride, or the score does not rest on it.
    """
    return winning(network, images, classes, params.excitation_stride, (1.0,))[0]


def winning(
    network: nn.Module, images: Tensor, classes: Tensor, stride: int, signs: Sequence[float]
) -> list[Tensor]:
    """Return the map for each sign: 1 asks what excites the class unit, -1 what inhibits it.

    The latter is the winning probability in a network with the class unit's weights negated.
    """
    whole: Any = network
    stage = stage_of(whole.backbone.strides, stride)
    stages = _Recorded(whole.backbone.network)
    backbone = _with_child(whole.backbone, "network", stages)
    with Relevance(winners, winners, with_bias=False):
        logits = _with_child(whole, "backbone", backbone)(images.detach().requires_grad_())
    features, scores = stages.found[stage], logits.gather(1, classes[:, None])
    maps = []
    for sign in signs:
        # A mass of 1; where it goes is told by the sign, see `winners`.
        slope = divided(torch.full_like(scores, sign), scores.detach().abs())
        (slope,) = torch.autograd.grad(scores, features, slope, True, allow_unused=True)
        if slope is None:
            raise InputError(
                f"saliency.excitation_stride: the class scores do not rest on the stage of stride "
                f"{stride}; choose another of {whole.backbone.strides}"
            )
        maps.append((features.detach() * slope).sum(1))
    return maps


def stage_of(strides: list[int], stride: int) -> int:
    """Return the index of the last stage of a stride; InputError lists the strides there are."""
    if stride not in strides:
        raise InputError(
            f"saliency.excitation_stride: {stride} is none of the backbone's strides {strides}; "
            "choose one of them, or leave mwp and c_mwp out of saliency.methods"
        )
    return len(strides) - 1 - strides[::-1].index(stride)


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


class _Recorded(nn.Module):
    """A network that keeps the maps that it gave."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.found: list[Tensor] = []

    def forward(self, images: Tensor) -> list[Tensor]:
        self.found = self.network(images)
        return self.found


def _with_child(module: nn.Module, name: str, child: nn.Module) -> nn.Module:
    """Return a copy with the same weights and another child; `module` stays as it is."""
    twin = copy.copy(module)
    twin._modules = {**module._modules, name: child}
    return twin
