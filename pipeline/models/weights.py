"""Weights as safetensors: writing them, and loading them whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipeline.disk import require_room
from pipeline.errors import InputError
from pipeline.files import atomic_path

SHOWN = 4
"""Layers that do not fit are named up to this number."""


def save_weights(module: nn.Module, path: Path) -> None:
    """Write the state of `module` as safetensors; the same state gives the same bytes.

    The file of a classifier says in its metadata, under `network`, which one it is.
    """
    _write(module.state_dict(), module, path)


def save_first_weights(classifier: nn.Module, features: nn.Module, path: Path) -> None:
    """Write what `load_first_weights` needs of `classifier`: the layers that `features` has too.

    The head, nine tenths of VGG16, stays out.
    """
    needed = {layer_name(name) for name in features.state_dict()}
    state = {n: value for n, value in classifier.state_dict().items() if layer_name(n) in needed}
    _write(state, classifier, path)


def _write(state: Mapping[str, Tensor], module: nn.Module, path: Path) -> None:
    config: Any = getattr(module, "pretrained_cfg", None)
    metadata = {"network": config["architecture"]} if config else None
    values = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    content = save(values, metadata)
    require_room(path.parent, len(content), path.name)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def load_weights(module: nn.Module, path: Path, stage: str) -> None:
    """Load a state written by `save_weights`.

    Raises:
        InputError: the file is missing (the message names `stage`, which makes it) or damaged, or
            its layers are not those of `module`.
    """
    require(path, stage)
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: damaged ({error}); run `dvc repro -f {stage}`") from error
    load_state(module, state, f"{path}: not the weights of this network (run `dvc repro {stage}`)")


def load_first_weights(features: nn.Module, path: Path) -> None:
    """Load into `features` its part of the classifier that stage pretrain wrote to `path`.

    Raises:
        InputError: the file is missing, damaged, of another network, or lacks a layer.
    """
    require(path, "pretrain")
    config: Any = features.pretrained_cfg
    try:
        with safe_open(path, "pt") as file:
            network = (file.metadata() or {}).get("network", "no network that it names")
            if network != config["architecture"]:
                raise InputError(
                    f"{path}: weights of {network}, but backbone.name is "
                    f"{config['architecture']}; run `dvc repro pretrain`"
                )
            stored = {layer_name(name): name for name in file.keys()}  # noqa: SIM118
            needed = {name: stored.get(layer_name(name)) for name in features.state_dict()}
            state = {name: file.get_tensor(found) for name, found in needed.items() if found}
    except SafetensorError as error:
        raise InputError(f"{path}: damaged ({error}); run `dvc repro -f pretrain`") from error
    load_state(features, state, f"{path}: not all of {network} (run `dvc repro -f pretrain`)")


def layer_name(path: str) -> str:
    """Return a module's or tensor's name that is the same in a classifier and in its features.

    Of a layer `a.b` timm's wrappers make `a_b`, `body.a.b` or `model.a.b`.
    """
    return path.replace(".", "_").removeprefix("body_").removeprefix("model_")


def load_state(module: nn.Module, state: Mapping[str, Tensor], complaint: str) -> None:
    """Load `state`, which must have every layer of `module` in its shape, and no other.

    Counters of batch normalisation may be missing: files older than they are lack them.

    Raises:
        InputError: `complaint`, and the layers that do not fit.
    """
    problems = _differences(module.state_dict(), state)
    number = sum(map(len, problems))
    if number:
        more = f"; and {number - SHOWN} more" if number > SHOWN else ""
        raise InputError(f"{complaint}: {'; '.join(_some(problems))}{more}")
    module.load_state_dict(dict(state))


def _some(problems: Sequence[Sequence[str]]) -> Iterable[str]:
    """The first of each kind, then the second, up to `SHOWN`; told kind by kind."""
    chosen = [line for turn in zip_longest(*problems) for line in turn if line][:SHOWN]
    return (line for kind in problems for line in kind if line in chosen)


def _differences(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> tuple[list[str], list[str], list[str]]:
    """One line for each tensor of another shape, missing, or unknown."""
    shapes = [
        f"{name} is {_shape(found[name])}, expected {_shape(value)}"
        for name, value in expected.items()
        if name in found and found[name].shape != value.shape
    ]
    missing = [
        f"{name} ({_shape(value)}) is missing"
        for name, value in expected.items()
        if name not in found and not name.endswith("num_batches_tracked")
    ]
    unknown = [
        f"{name} ({_shape(value)}) is no layer of it"
        for name, value in sorted(found.items())
        if name not in expected
    ]
    return shapes, missing, unknown


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "one number"


def require(path: Path, stage: str) -> None:
    """Raise InputError naming the stage to run when `path` does not exist."""
    if not path.exists():
        raise InputError(f"{path}: not found; run `dvc repro {stage}`")
