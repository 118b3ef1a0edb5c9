"""The layer that a saliency method reads, by its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.models.weights import layer_name


@contextmanager
def maps_of(network: nn.Module, name: str, key: str) -> Iterator[list[Tensor]]:
    """Yield a list that gets the maps (n, K, h, w) of a layer at each pass inside `with`.

    Args:
        network: one with a `backbone` (`pipeline.models.backbones.Backbone`).
        name: of a layer of the backbone, as the published network has it: `features.23` of VGG16,
            `maxpool2` of GoogLeNet; "" is the last stage.
        key: the parameter that holds the name, for errors.

    Raises:
        InputError: the backbone has no such layer, or it gives no maps.
    """
    whole: Any = network
    maps: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, given: Any) -> None:
        found = given if isinstance(given, Tensor) else given[-1]
        if found.ndim != 4:
            raise InputError(f"{key}: layer {name!r} gives no maps; choose another")
        maps.append(found)

    handle = _layer(whole.backbone.network, name, key).register_forward_hook(keep)
    try:
        yield maps
    finally:
        handle.remove()


def _layer(network: nn.Module, name: str, key: str) -> nn.Module:
    """Return the layer called `name`, the network itself for ""."""
    if not name:
        return network
    for path, module in network.named_modules():
        if path and layer_name(path) == layer_name(name):
            return module
    parts = ", ".join(path for path, _ in network.named_children())
    raise InputError(
        f'{key}: {name!r} is no layer of the backbone; choose one within {parts}, or "" for the '
        "last stage"
    )
