"""Relevance: passing the score of a class back through a network, share by share.

LRP and excitation backpropagation send a relevance R from each unit to its inputs. What is sent
here, where autograd sends a gradient, is the slope G = R / y: relevance for each unit of value.
Where inputs get relevance in proportion to what they contribute to y - in maximum pooling,
concatenation, dropout at rest, products with a constant - that slope is the gradient, and autograd
does all. Only layers of other rules are replaced:

- convolution and linear layers share R by a rule on positive and negative contributions w x;
  batch normalisation after a convolution is one layer with it, of fused weights;
- sums and averages, whose terms may differ in sign, by such a rule with weights 1;
- an activation, batch normalisation alone and local response normalisation pass R unchanged;
- a gate (sigmoid) is a constant factor: the relevance goes to the signal (Arras et al., 2017).

Functions that are none of these keep their gradient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from pipeline.saliency.backward import ACTIVATIONS, Replaced, TorchFunction

Parts = Callable[..., tuple[Tensor, Tensor]]
"""Inputs -> the sums of their positive (>= 0) and of their negative (<= 0) contributions."""

Rule = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(slope G, value y, positive sum, negative sum), all of y's shape -> the slopes of both sums."""


class Layer(NamedTuple):
    """A convolution that was just made, for the batch normalisation that may follow.

    `apply` is (x, weight, bias) -> value.
    """

    value: Tensor
    apply: TorchFunction
    x: Tensor
    weight: Tensor
    bias: Tensor | None


class Relevance(Replaced):
    """Backward passes that share relevance.

    Args:
        layers: the rule of convolution and linear layers.
        sums: that of sums and averages.
        with_bias: whether the bias of a layer counts among the contributions, and keeps its share.

    Attributes:
        image: the first tensor that a convolution or padding got: the normalised image, which
            relevance at the pixels refers to.
    """

    def __init__(self, layers: Rule, sums: Rule, with_bias: bool) -> None:
        super().__init__()
        self.layers, self.sums, self.with_bias = layers, sums, with_bias
        self.image: Tensor | None = None
        self.last: Layer | None = None

    def pad(self, func: TorchFunction, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.image = x if self.image is None else self.image
        return func(x, *args, **kwargs)

    def layer(
        self,
        func: TorchFunction,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        self.image = x if self.image is None else self.image

        def apply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
            return func(x, weight, bias, *args, **kwargs)

        value = _Shared.apply(
            lambda x: apply(x, weight, bias), self.parts(apply, weight, bias), self.layers, x
        )
        self.last = Layer(value, apply, x, weight, bias)
        return value

    def batch_norm(
        self,
        func: TorchFunction,
        x: Tensor,
        mean: Tensor,
        variance: Tensor,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Any:
        def normalise(x: Tensor) -> Any:
            return func(x, mean, variance, weight, bias, training, momentum, eps)

        if self.last is None or self.last.value is not x:
            return _Passed.apply(x, normalise)
        _, apply, inputs, kernel, offset = self.last
        scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
        shift = (0 if bias is None else bias) + scale * ((0 if offset is None else offset) - mean)
        fused = scale.view(-1, *(1,) * (kernel.ndim - 1)) * kernel
        parts, value = self.parts(apply, fused, shift), x.detach()
        return _Shared.apply(lambda _: normalise(value), parts, self.layers, inputs)

    def parts(self, apply: TorchFunction, weight: Tensor, bias: Tensor | None) -> Parts:
        """Return the contributions to `apply(x, weight, bias)`, those of the bias if it counts."""
        counted = bias if self.with_bias else None

        def parts(x: Tensor) -> tuple[Tensor, Tensor]:
            up, down = _signs(weight.detach())
            bias_up, bias_down = (None, None) if counted is None else _signs(counted.detach())
            if x.detach().amin() >= 0:  # as after an activation: half the work
                return apply(x, up, bias_up), apply(x, down, bias_down)
            high, low = _signs(x)
            positive = apply(high, up, bias_up) + apply(low, down, None)
            return positive, apply(high, down, bias_down) + apply(low, up, None)

        return parts

    def add(self, func: TorchFunction, a: Any, b: Any, **kwargs: Any) -> Any:
        if kwargs or not (isinstance(a, Tensor) and isinstance(b, Tensor)):
            return func(a, b, **kwargs)

        def parts(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            (a_up, a_down), (b_up, b_down) = _signs(a), _signs(b)
            return a_up + b_up, a_down + b_down

        return _Shared.apply(torch.add, parts, self.sums, a, b)

    def pool(self, func: TorchFunction, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        def apply(x: Tensor) -> Any:
            return func(x, *args, **kwargs)

        def parts(x: Tensor) -> tuple[Tensor, Tensor]:
            up, down = _signs(x)
            return apply(up), apply(down)

        return _Shared.apply(apply, parts, self.sums, x)

    def unit(self, func: TorchFunction, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return _Passed.apply(x, lambda x: func(x, *args, **kwargs))

    def gate(self, func: TorchFunction, *args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs).detach()

    replacements = {
        F.pad: pad,
        F.conv2d: layer,
        F.linear: layer,
        F.batch_norm: batch_norm,
        F.local_response_norm: unit,
        **dict.fromkeys(ACTIVATIONS, unit),
        **dict.fromkeys((torch.add, torch.Tensor.add, torch.Tensor.add_), add),
        **dict.fromkeys((F.avg_pool2d, F.adaptive_avg_pool2d), pool),
        **dict.fromkeys((torch.mean, torch.sum, torch.Tensor.mean, torch.Tensor.sum), pool),
        **dict.fromkeys((F.sigmoid, torch.sigmoid, torch.Tensor.sigmoid, F.hardsigmoid), gate),
    }


def divided(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide; where the denominator is 0 there is nobody to share with, and the result is 0."""
    return (numerator / denominator).masked_fill_(denominator == 0, 0)


def _signs(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.clamp(min=0), x.clamp(max=0)


class _Shared(Function):
    """A layer whose inputs share the relevance of its value by a rule on their contributions."""

    @staticmethod
    def forward(ctx: Any, apply: TorchFunction, parts: Parts, rule: Rule, *inputs: Tensor) -> Any:
        value = apply(*inputs)
        ctx.parts, ctx.rule = parts, rule
        ctx.save_for_backward(value, *inputs)
        return value

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        value, *inputs = ctx.saved_tensors
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() for x in inputs]
            sums = ctx.parts(*leaves)
        slopes = ctx.rule(slope, value, *(each.detach() for each in sums))
        return None, None, None, *torch.autograd.grad(sums, leaves, slopes)


class _Passed(Function):
    """A function that hands each value's relevance on unchanged: G_in = G_out y / x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, apply: TorchFunction) -> Any:
        value = apply(x.clone())
        ctx.save_for_backward(x, value)
        return value

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        x, value = ctx.saved_tensors
        return slope * divided(value, x), None
