"""Which families of timm serve as a backbone, each by its model with the fewest parameters.

    python -m benchmarks.timm_families

Each is taken at its own stride and image size. It serves if its maps have the channels and strides
that it tells, every layer finds its weights in the classifier, and freezing the first stage makes
the first map, and not the last, a constant. Nearly all is done without memory for the weights.
"""

import argparse
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import timm
import torch

from pipeline.errors import InputError
from pipeline.models.backbones import Backbone
from pipeline.models.networks.registry import find
from pipeline.models.weights import layer_name
from pipeline.params import BackboneParams, load

SMALLEST = Path(__file__).with_suffix(".txt").read_text().split()
"""Of each family of timm 1.0.31 the model with the fewest parameters."""


def main() -> None:
    """Print a line for each family, and how many serve."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    params = load(Path("params.yaml")).backbone
    families, served, started = timm.list_modules(), 0, time.perf_counter()
    for family in families:
        name = smallest(family)
        problem = refusal(name, params)
        served += not problem
        print(f"{family} ({name}): {problem or 'serves'}", flush=True)
    took = time.perf_counter() - started
    print(f"{served} of {len(families)} families serve ({took:.0f} s)")


def smallest(family: str) -> str:
    """Return the family's model in the list above, else its first.

    A tag tells timm's inception_v3 from the paper's.
    """
    models = timm.list_models(module=family)
    return next((name for name in SMALLEST if name.partition(".")[0] in models), models[0])


def refusal(name: str, params: BackboneParams) -> str:
    """Return why a network does not serve, in one line; "" if it does."""
    try:
        try:
            return _mismatch(name, params, "meta")
        except RuntimeError as error:
            if "meta tensors" not in str(error):
                raise
            return _mismatch(name, params, "cpu")
    except InputError as error:
        return str(error)
    except Exception as error:  # a traceback for a user
        return f"{type(error).__name__}, not told as an InputError: {error}".partition("\n")[0]


def _mismatch(name: str, params: BackboneParams, device: str) -> str:
    with torch.device(device):
        plain: Any = timm.create_model(name, features_only=True)
        own = {"name": name, "output_stride": plain.feature_info.reduction()[-1]}
        size = plain.pretrained_cfg["input_size"][-1]
        backbone = Backbone(params.model_copy(update=own | {"frozen_stages": 1})).eval()
        backbone.to(memory_format=torch.channels_last)
        maps = backbone(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        return (
            _of_maps(maps, backbone, size)
            or _of_freezing(maps)
            or _of_weights(backbone, find(name).classifier())
        )


def _of_maps(maps: list[torch.Tensor], backbone: Backbone, size: int) -> str:
    """What is wrong with shapes; without padding a side may be up to a seventh shorter."""
    shapes = [tuple(each.shape[1:]) for each in maps]
    fits = all(
        len(shape) == 3
        and shape[0] == channels
        and all(abs(side * stride / size - 1) <= 0.15 for side in shape[1:])
        for shape, channels, stride in zip(shapes, backbone.channels, backbone.strides, strict=True)
    )
    told = f"channels {backbone.channels}, strides {backbone.strides}"
    return "" if fits else f"maps of {shapes} for {size} px, told as {told}"


def _of_freezing(maps: list[torch.Tensor]) -> str:
    learning = [each.requires_grad for each in maps]
    return (
        "" if not learning[0] and learning[-1] else f"with one frozen stage maps learn {learning}"
    )


def _of_weights(backbone: Backbone, classifier: torch.nn.Module) -> str:
    stored = {layer_name(n): value.shape for n, value in classifier.state_dict().items()}
    missing = [
        name
        for name, value in backbone.network.state_dict().items()
        if stored.get(layer_name(name)) != value.shape
    ]
    return f"not in its classifier: {', '.join(missing[:4])}" if missing else ""


if __name__ == "__main__":
    main()
