"""ImageNet classifiers with their weights: from a package, a file or a hub; and a check of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

from pipeline.checksum import CorruptFile
from pipeline.checksum import verify as verify_checksum
from pipeline.errors import InputError, first_line
from pipeline.models.networks.network import Network
from pipeline.models.networks.registry import find
from pipeline.models.networks.timm_network import TimmNetwork
from pipeline.models.packages import PACKAGES, packaged_weights
from pipeline.models.weights import load_state
from pipeline.params import BackboneParams, PretrainParams
from pipeline.workspace import located

_WRAPPERS = re.compile(r"(?<![^.])(module|_orig_mod)\.")


def imagenet_classifier(backbone: BackboneParams, pretrain: PretrainParams) -> nn.Module:
    """Return the classifier `backbone.name` with the weights that `pretrain.source` names.

    Raises:
        InputError: the source is absent, fails its checksum, or does not fit the network; the
            message names the layers that do not fit.
    """
    network = find(backbone.name)
    classifier = network.classifier()
    state: Mapping[str, Tensor]
    if pretrain.source == "package":
        state = packaged_weights(backbone.name, classifier)
    elif pretrain.source == "hub":
        state = _published_state(network)
    else:
        state = _file_state(located(pretrain.file), pretrain.sha256)
    # Heads that only helped to train the published networks are in their files.
    unused = tuple(f"{head}." for head in network.auxiliary)
    built = {name: value for name, value in state.items() if not name.startswith(unused)}
    origin = f"file: {pretrain.file}" if pretrain.source == "file" else f"source: {pretrain.source}"
    load_state(classifier, built, f"pretrain.{origin}: not the ImageNet weights of {backbone.name}")
    return classifier


def _published_state(network: Network | TimmNetwork) -> Mapping[str, Tensor]:
    try:
        return network.published()
    except InputError:
        raise
    except Exception as error:  # the hubs' clients raise many kinds, none of them documented
        raise InputError(
            f"pretrain.source: the hub gave no weights for {network.name} ({error}); without a "
            f"connection set pretrain.source to package ({', '.join(PACKAGES)}) or file"
        ) from error


def _file_state(path: Path, sha256: str) -> dict[str, Tensor]:
    """Load a state dict from safetensors or a torch file of tensors, checked against `sha256`."""
    if not path.is_file():
        raise InputError(f"pretrain.file: {path} not found; name a .safetensors or torch file")
    try:
        if sha256.strip():
            verify_checksum(path, sha256)
    except CorruptFile as error:
        raise InputError(f"{error}; fetch it again, or correct pretrain.sha256") from None
    except InputError as error:
        raise InputError(f"pretrain.sha256: {error}") from None
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as there are readers
        raise InputError(
            f"{path}: not a readable state dict ({_reason(error)}); fetch it again, or load it "
            "where you trust it and save the network's state_dict() alone"
        ) from None
    return _unwrapped(path, content)


def _reason(error: Exception) -> str:
    """What is wrong with a file, without torch's advice to load it unsafely."""
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign:
        return f"it holds {foreign[1]} besides tensors"
    return "damaged, or no torch file" if isinstance(error, UnpicklingError) else first_line(error)


def _unwrapped(path: Path, content: Any) -> dict[str, Tensor]:
    """Return the tensors of a state dict or of a checkpoint that has it in `state_dict` or `model`.

    Names lose what data-parallel training and compiling put in: `module.` and `_orig_mod.`, in
    front of all names or within, as in `features.module.0.weight` of old torchvision files.
    """
    state = content
    for wrapped in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapped), dict):
            state = content[wrapped]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise InputError(
            f"{path}: holds no state dict; pretrain.file must map the names of layers to tensors, "
            "at its top, under state_dict or under model"
        )
    return {_WRAPPERS.sub("", name): value for name, value in state.items()}


def verify(network: nn.Module, picture: Image.Image, expected: int) -> None:
    """Check that `network` ranks ImageNet class `expected` of `picture` among its best five.

    Transparent parts of the picture count as white. Raises InputError if it does not.
    """
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture.convert("RGBA"))
    best = best_classes(network, white.convert("RGB"))
    if expected not in best:
        raise InputError(
            f"pretrain: the weights take pretrain.check_picture for classes {best}, not for "
            f"{expected}: they are damaged, or of no ImageNet-1k network"
        )


def best_classes(network: nn.Module, image: Image.Image) -> list[int]:
    """Return the five most probable classes of an RGB `image`, best first."""
    config: Any = network.pretrained_cfg
    transform = create_transform(**resolve_data_config(config))
    with torch.no_grad():
        scores = network.eval()(transform(image)[None])
    return [int(c) for c in scores[0].topk(5).indices]
