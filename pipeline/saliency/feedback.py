"""Feedback (Fb: Cao et al., Look and Think Twice, ICCV 2015)."""

from collections.abc import Callable
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from pipeline.params import SaliencyParams
from pipeline.saliency.backward import (
    ACTIVATIONS,
    Replaced,
    TorchFunction,
    class_score,
)
from pipeline.saliency.gradient import image_saliency

Gates = dict[int, Tensor]
"""Which units are open, by the number of their activation in the forward pass."""


def feedback(network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams) -> Tensor:
    """Return max_c |dS/dI_c| of the network when only units that favour the class are open.

    A gate z in {0, 1} stands on every activation, y = z f(x), and z is to maximise the class score
    S. That is NP-hard; the paper relaxes z to [0, 1] and ascends dS/dz = f(x) dS/dy
    from z = 1. It leaves open the step, the number of steps, ties, and what is not a ReLU. Here:

    - a step goes all the way: z = 1 where dS/dy >= 0, else 0, for all units at once;
    - `feedback_iterations` rounds of a look and such a step, then the look that gives the map.
      Two rounds and more raise S further, but take deep networks to values that they never saw in
      training, and the maps get worse: 1 is the default;
    - an active unit, y > 0, passes the slope whole: the paper's ReLU is a gate, z = 1 where x > 0.
      For ReLU there is no difference; ReLU6 would stop the slope wherever the open units
      drive it beyond 6.

    Maximum pooling keeps its switches.
    """
    gates: Gates = {}
    for _ in range(params.feedback_iterations):
        pixels = images.detach().requires_grad_()
        chosen: Gates = {}
        with Gated(gates, chosen):
            logits = network(pixels)
        torch.autograd.grad(class_score(logits, classes), pixels)
        gates = chosen
    return image_saliency(network, images, classes, Gated(gates, {}))


class Gated(Replaced):
    """Activations times their `gates`; a backward pass fills `chosen` with those of the next round.

    The first round has none, which are open gates.
    """

    def __init__(self, gates: Gates, chosen: Gates) -> None:
        super().__init__()
        self.gates, self.chosen, self.numbers = gates, chosen, count()

    def activation(self, func: TorchFunction, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        number = next(self.numbers)

        def gated(values: Tensor) -> Tensor:
            value: Tensor = func(values, *args, **kwargs)
            return value * self.gates[number] if number in self.gates else value

        def choose(slope: Tensor) -> None:
            self.chosen[number] = slope >= 0

        return _Activation.apply(x, gated, choose)

    replacements = dict.fromkeys(ACTIVATIONS, activation)


class _Activation(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gated: Callable[[Tensor], Tensor], choose: Callable[[Tensor], None]
    ) -> Tensor:
        value = gated(x.clone())
        ctx.choose, ctx.active = choose, value > 0
        return value

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        ctx.choose(slope)
        return slope * ctx.active, None, None
