"""Models as training leaves them, of random weights, and pictures for them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.folder import describe
from pipeline.models.interface import WEIGHTS
from pipeline.models.weights import save_weights
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from tests.coloured_boxes import coloured_box

Leave = Callable[..., Path]


@pytest.fixture(scope="session")
def leave(quick: Params, packed_once: Path) -> Leave:
    """Leave a model below a folder; some layers may be filled with a value."""

    def write(folder: Path, model: str, params: Params = quick, **values: float) -> Path:
        torch.manual_seed(0)
        method, own = registry.method(model), folder / "data/models" / model
        network = method.network(Backbone(params.backbone), 3, params)
        for name, value in values.items():
            network.get_submodule(name).weight.data.fill_(value)
        save_weights(network, own / WEIGHTS)
        track = registry.MODELS[model].track
        describe(own, model, method, PackedSplit(packed_once / track / "train"), params)
        return own

    return write


@pytest.fixture(scope="session")
def models_once(leave: Leave, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of both tracks, for all tests: to be copied where they are changed."""
    folder = tmp_path_factory.mktemp("models")
    for model in ("cam_single", "spg", "spn_multi"):
        leave(folder, model)
    return folder / "data/models"


@pytest.fixture
def models(models_once: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return shutil.copytree(models_once, tmp_path / "data/models")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of six pictures, 48 x 40 px, two of them in a folder below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(6):
        name = f"{number}.png" if number < 4 else f"more/{number}.png"
        (folder / name).write_bytes(coloured_box(number, "multi").image)
    return folder
