"""Folders as earlier stages leave them, made once for the tests of a stage."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.interface import WEIGHTS
from pipeline.models.weights import save_weights
from pipeline.params import Params
from stages.paths import model_folder
from tests.parameters import changed


@pytest.fixture(scope="session")
def listed(quick: Params) -> Params:
    """The quick parameters with every method on its list."""
    every = {kind: registry.listed(kind) for kind in ("methods", "proposals")}
    return changed(quick, **every)


@pytest.fixture(scope="session")
def furnished(packed_once: Path, backbone_file: Path) -> Callable[[Path], Path]:
    """Fill a folder as `preprocess` and `pretrain` do, for fixtures that outlive a test."""

    def fill(folder: Path) -> Path:
        shutil.copytree(packed_once, folder / "data/packed")
        (folder / "data/weights").mkdir()
        shutil.copy(backbone_file, folder / "data/weights/backbone.safetensors")
        return folder

    return fill


@pytest.fixture(scope="session")
def leave_network(quick: Params) -> Callable[..., None]:
    """Leave random weights of a model where its training would, some layers filled with a value."""

    def leave(model: str, **values: float) -> None:
        torch.manual_seed(0)
        network = registry.method(model).network(Backbone(quick.backbone), 3, quick)
        for name, value in values.items():
            layer = network.get_submodule(name)
            assert isinstance(layer.weight, torch.Tensor)
            layer.weight.data.fill_(value)
        save_weights(network, model_folder(model) / WEIGHTS)

    return leave
