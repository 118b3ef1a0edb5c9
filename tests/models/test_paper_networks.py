"""CAM, SPN and SPG on the papers' networks and others at 224: maps and gradients of one image."""

import pytest
import torch
from torch import nn

from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.bases.spg.network import SelfProducedGuidance, SpgPlain
from pipeline.methods.bases.spn.network import SoftProposalNetwork
from pipeline.models.backbones import Backbone
from pipeline.params import load
from tests.conftest import REPOSITORY
from tests.parameters import changed

CLASSES = 3
# Name: its output stride, channels and side of its last map at 224.
LAST_MAPS = {
    "cnn_s": (12, 512, 17),
    "alexnet": (16, 256, 13),
    "vgg16": (16, 512, 14),
    "googlenet": (32, 1024, 7),
    "googlenet_gap": (16, 832, 14),
    "inception_v3": (8, 768, 28),
    "resnet50": (16, 2048, 14),
    "tf_efficientnet_lite0": (16, 320, 14),
    "tf_efficientnet_lite2": (16, 352, 14),
    "squeezenet1_1": (16, 512, 13),
}
# Name: channels and sides of the maps that B1 and B2 of SPG read; CNN-S has none of stride 8.
GUIDED = {
    "alexnet": [(192, 27), (256, 13)],
    "vgg16": [(512, 28), (512, 14)],
    "googlenet": [(480, 28), (832, 14)],
    "googlenet_gap": [(480, 28), (832, 14)],
    "inception_v3": [(288, 28), (768, 28)],
    "resnet50": [(512, 28), (1024, 14)],
    "tf_efficientnet_lite0": [(40, 28), (112, 14)],
    "tf_efficientnet_lite2": [(48, 28), (120, 14)],
    "squeezenet1_1": [(256, 27), (384, 13)],
}


@pytest.fixture(scope="module", params=LAST_MAPS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def settings(name):
    """The repository's parameters for `name`, its first stage frozen and few added channels."""
    return changed(
        load(REPOSITORY / "params.yaml"),
        backbone__name=name,
        backbone__output_stride=LAST_MAPS[name][0],
        backbone__frozen_stages=1,
        backbone__standardise=False,
        spn__channels=16,
        spg__channels=8,
        spg__guidance_channels=4,
    )


@pytest.fixture(scope="module")
def shared(settings):
    """A backbone whose residual blocks are no identities, as some of timm's are at first."""
    torch.manual_seed(0)
    backbone = Backbone(settings.backbone).train()
    for layer in backbone.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
    return backbone


@pytest.fixture
def backbone(shared):
    """The backbone of `name`, without gradients of an earlier test."""
    shared.zero_grad()
    return shared


@pytest.fixture(scope="module")
def image():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, 3, 224, 224), generator=generator, dtype=torch.uint8)


def assert_learns(backbone):
    """Finite gradients that are not all 0 reach every learning layer but no frozen one."""
    gradients = {n: p.grad for n, p in backbone.network.named_parameters() if p.requires_grad}
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    first = next(name for name in gradients if name.endswith("weight"))
    assert gradients[first].abs().max() > 0, first
    frozen = [p.grad for p in backbone.network.parameters() if not p.requires_grad]
    assert frozen and all(gradient is None for gradient in frozen)


def test_the_last_map_is_that_of_the_papers_and_gradients_reach_the_first(name, backbone, image):
    maps = backbone(image)
    _, channels, side = LAST_MAPS[name]
    assert maps[-1].shape == (1, channels, side, side)
    assert [m.requires_grad for m in maps] == [False] + [True] * (len(maps) - 1)
    sum(features.square().mean() for features in maps).backward()
    assert_learns(backbone)


@pytest.mark.parametrize("kind", [ClassActivationNetwork, SoftProposalNetwork])
def test_cam_and_spn_localize_and_learn(name, settings, backbone, image, kind):
    network = kind(backbone, CLASSES, settings.spn).train()
    side = LAST_MAPS[name][2]
    assert network.localize(image).response_maps.shape == (1, CLASSES, side, side)
    network(image).square().mean().backward()
    assert_learns(backbone)


@pytest.mark.parametrize("name", GUIDED, indirect=True)
def test_spg_reads_its_stages_and_learns(name, settings, backbone, image):
    network = SelfProducedGuidance(backbone, CLASSES, settings.spg).train()
    found = network.guided(image)
    first, second = GUIDED[name]
    assert [network.b1[0].in_channels, network.b2[0].in_channels] == [first[0], second[0]]
    assert [found.b1.shape[1], found.b2.shape[1]] == [first[1], second[1]]
    assert found.c.shape[1] == found.attention.shape[2] == LAST_MAPS[name][2]
    sum(m.square().mean() for m in (found.attention, found.b1, found.b2, found.c)).backward()
    assert_learns(backbone)


def test_spg_plain_learns(settings, backbone, image):
    network = SpgPlain(backbone, CLASSES, settings.spg).train()
    network(image).square().mean().backward()
    assert_learns(backbone)
