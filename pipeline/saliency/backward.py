"""Other backward passes for the functions of a network, without touching the network."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

TorchFunction = Callable[..., Any]

ACTIVATIONS: tuple[TorchFunction, ...] = (
    F.relu,
    F.relu6,
    F.hardtanh,
    F.leaky_relu,
    F.prelu,
    F.elu,
    F.selu,
    F.silu,
    F.gelu,
    F.mish,
    F.hardswish,
    torch.relu,
    torch.relu_,
    torch.selu,
    torch.Tensor.relu,
    torch.Tensor.relu_,
)
"""What networks of torch, torchvision and timm apply to each value after a layer; all f(0) = 0."""


class Replaced(TorchFunctionMode):
    """Inside `with`, some torch functions give the same values but have another backward pass.

    A module ends in torch functions like any other code, so that `nn.ReLU6`, `F.relu(x)` and
    `x += y` are all caught, which patches of modules and hooks on them are not. The mode is over
    with its `with`: nothing is left to remove.

    A subclass lists in `replacements` its method for each function; called with the function and
    its arguments, the method returns the result. In-place functions must not alter their input
    there: the network goes on with what they return.
    """

    replacements: ClassVar[Mapping[TorchFunction, Callable[..., Any]]]

    def __torch_function__(
        self,
        func: TorchFunction,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        replacement = self.replacements.get(func)
        if replacement is None:
            return func(*args, **kwargs or {})
        return replacement(self, func, *args, **kwargs or {})


def class_score(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the sum of the scores (n, C) of each image's class (n,): its slope is theirs."""
    return logits.gather(1, classes[:, None]).sum()
