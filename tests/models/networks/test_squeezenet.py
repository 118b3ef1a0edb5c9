"""SqueezeNet 1.1: maps, and what packaged weights become."""

import pytest
import torch
from torch.nn import functional as F

from pipeline.models.backbones import Backbone, Normalise
from pipeline.models.networks.squeezenet import SQUEEZENET1_1
from pipeline.models.packages import PACKAGES, arrays, packaged_weights
from tests.parameters import changed

CHANNELS = [64, 128, 256, 384, 512]


@pytest.fixture(scope="module")
def published():
    """The layers as the package has them."""
    return arrays(PACKAGES["squeezenet1_1"].path())


@pytest.fixture(scope="module")
def weighted():
    network = SQUEEZENET1_1.classifier()
    network.load_state_dict(packaged_weights("squeezenet1_1", network))
    return network.eval()


@pytest.mark.parametrize(
    ("size", "sides"),
    [(128, [63, 31, 15, 7, 7]), (192, [95, 47, 23, 11, 11]), (256, [127, 63, 31, 15, 15])],
)
def test_maps_of_fires_3_5_7_and_9_behind_the_first_layer(size, sides):
    maps = SQUEEZENET1_1.features(16)(torch.zeros(1, 3, size, size))
    expected = zip(CHANNELS, sides, strict=True)
    assert [tuple(m.shape) for m in maps] == [(1, c, side, side) for c, side in expected]


@pytest.mark.parametrize("stages", range(1, 6))
def test_any_leading_stages_freeze(params, stages):
    values = {"name": "squeezenet1_1", "frozen_stages": stages}
    chosen = changed(params, **{f"backbone__{k}": v for k, v in values.items()})
    maps = Backbone(chosen.backbone).network(torch.zeros(1, 3, 64, 64))
    assert [m.requires_grad for m in maps] == [index >= stages for index in range(5)]


def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 32, 40), generator=generator, dtype=torch.uint8)


def test_conv1_makes_of_normalised_rgb_what_the_package_makes_of_bgr_less_its_mean(
    published, weighted
):
    kernel, bias = (torch.from_numpy(values) for values in published["conv1"])
    mean = torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    expected = F.conv2d(images().flip(1) - mean, kernel.permute(3, 2, 0, 1), bias, stride=2)
    found = weighted.features[0](Normalise(weighted)(images()))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-2)


def test_a_fire_joins_the_packages_1x1_and_3x3(published, weighted):
    def layer(x, name, **options):
        kernel, bias = (torch.from_numpy(values) for values in published[f"fire7/{name}"])
        return F.relu(F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, **options))

    x = torch.rand(1, 384, 5, 6, generator=torch.Generator().manual_seed(2))
    squeezed = layer(x, "squeeze1x1")
    parts = layer(squeezed, "expand1x1"), layer(squeezed, "expand3x3", padding=1)
    with torch.no_grad():
        torch.testing.assert_close(weighted.features[10](x), torch.cat(parts, 1))
