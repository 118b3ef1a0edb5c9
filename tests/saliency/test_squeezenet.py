"""Saliency on SqueezeNet with its published weights: it has ReLU and maximum pooling alone."""

from zipfile import ZipFile

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.models.backbones import Backbone
from pipeline.models.pretrained import imagenet_classifier
from pipeline.models.weights import save_weights
from pipeline.saliency.deconvolution import deconvolution
from pipeline.saliency.methods import METHODS, saliency_maps
from pipeline.saliency.mwp import mwp
from tests.conftest import REPOSITORY
from tests.parameters import changed

SIDE = 128
CLASSES = torch.tensor([1, 1])


@pytest.fixture(scope="module")
def chosen(params):
    own = {"name": "squeezenet1_1", "standardise": False, "frozen_stages": 0}
    return changed(params, **{f"backbone__{k}": v for k, v in own.items()}, spn__channels=32)


@pytest.fixture(scope="module")
def network(chosen, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    save_weights(imagenet_classifier(chosen.backbone, chosen.pretrain), path)
    torch.manual_seed(0)
    return ClassActivationNetwork(Backbone(chosen.backbone, path), 3, chosen.spn).eval()


@pytest.fixture(scope="module")
def images(params):
    """The broccoli in the left upper quarter of a white image, and in the right lower one."""
    with ZipFile(REPOSITORY / "data/cutouts/cutouts.zip") as archive:
        cutout = (
            Image.open(archive.open(params.pretrain.check_picture))
            .convert("RGBA")
            .resize((SIDE // 2,) * 2)
        )
    canvases = []
    for corner in (0, SIDE // 2):
        canvas = Image.new("RGBA", (SIDE, SIDE), "white")
        canvas.alpha_composite(cutout, (corner, corner))
        canvases.append(pil_to_tensor(canvas.convert("RGB")))
    return torch.stack(canvases)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_finite_maps_that_are_not_empty(network, chosen, images, method):
    found = saliency_maps(network, images, [[0, 1, 2]] * 2, method, chosen.saliency)
    assert all(maps.isfinite().all() and maps.abs().max() > 0 for maps in found)


def concentration(maps):
    """Mean of two maps over the quarter where each image's object is, by that over the images."""
    middle = maps.shape[-1] // 2
    own = torch.stack([maps[0, :middle, :middle], maps[1, -middle:, -middle:]])
    return (own.mean() / maps.mean()).item()


def test_deconvolution_follows_the_object_through_maximum_pooling(network, chosen, images):
    maps = deconvolution(network, images.float(), CLASSES, chosen.saliency)
    assert maps.shape == (2, SIDE, SIDE)
    assert concentration(maps) > 2


@pytest.mark.parametrize(
    ("layer", "side"),
    [("features.2", 31), ("features.7", 15), ("features.8", 7), ("features.10", 7), ("", 7)],
)
def test_winning_probabilities_sum_to_one_at_every_layer(network, chosen, images, layer, side):
    params = chosen.saliency.model_copy(update={"excitation_layer": layer})
    maps = mwp(network, images.float(), CLASSES, params)
    assert maps.shape == (2, side, side) and (maps >= 0).all()
    torch.testing.assert_close(maps.sum((1, 2)), torch.ones(2), rtol=1e-3, atol=1e-3)
    assert concentration(maps) > 2
