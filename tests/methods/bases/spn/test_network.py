from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.bases.spn.network import SoftProposalNetwork
from pipeline.models.backbones import Backbone
from tests.parameters import changed

CLASSES = 5


class Uniform(nn.Module):
    """Proposal maps that prefer no cell."""

    def forward(self, features):
        batch, _, height, width = features.shape
        return torch.full((batch, height, width), 1 / (height * width))


@pytest.fixture
def build(quick):
    """Build a network with the same random weights each time."""

    def make(kind, **values):
        chosen = changed(quick, **{f"spn__{key}": value for key, value in values.items()})
        torch.manual_seed(0)
        return kind(Backbone(chosen.backbone), CLASSES, chosen.spn)

    return make


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 3, 64, 64), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("kind", [ClassActivationNetwork, SoftProposalNetwork])
def test_a_response_map_and_the_bias_sum_to_the_logit(build, images, kind):
    network = build(kind).eval()
    found = network.localize(images)
    assert found.response_maps.shape == (3, CLASSES, 4, 4)
    summed = found.response_maps.sum((2, 3)) + network.classifier.bias
    torch.testing.assert_close(summed, found.logits)
    torch.testing.assert_close(network(images), found.logits)


def test_twins_start_from_the_same_weights(build):
    cam, spn = build(ClassActivationNetwork).state_dict(), build(SoftProposalNetwork).state_dict()
    assert cam.keys() == spn.keys()
    assert all(torch.equal(cam[name], spn[name]) for name in cam)


def test_spn_with_a_uniform_map_is_its_twin(build, images):
    cam, spn = build(ClassActivationNetwork).eval(), build(SoftProposalNetwork).eval()
    spn.soft_proposal = Uniform()
    expected, found = cam.localize(images), spn.localize(images)
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.response_maps, expected.response_maps)


def test_soft_proposals_change_the_scores(build, images):
    cam, spn = build(ClassActivationNetwork).eval(), build(SoftProposalNetwork).eval()
    assert not torch.allclose(cam(images), spn(images), rtol=1e-3)


def test_the_twin_is_global_average_pooling(build, images):
    network = build(ClassActivationNetwork).eval()
    average = network.features(images).mean((2, 3))
    torch.testing.assert_close(network(images), network.classifier(average))


def test_only_spn_reports_proposal_maps(build, images):
    assert build(ClassActivationNetwork).eval().localize(images).proposal_maps is None
    maps = build(SoftProposalNetwork).eval().localize(images).proposal_maps
    assert maps.shape == (3, 4, 4)
    torch.testing.assert_close(maps.sum((1, 2)), torch.ones(3))


def test_dropout_is_for_training_alone(build, images):
    network = build(SoftProposalNetwork, dropout=0.5)
    network.backbone.eval()
    features = network.features(images)
    coupled = features * network.proposal_maps(features)[:, None]
    network.train()
    assert not torch.equal(network._scores(coupled), network._scores(coupled))
    network.eval()
    assert torch.equal(network._scores(coupled), network._scores(coupled))


def test_the_backbone_learns_through_the_coupling(build, images):
    network = build(SoftProposalNetwork).train()
    network(images).sum().backward()
    learning = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)


def test_groups_divide_the_channels_of_the_backbone(build):
    with pytest.raises(InputError, match="spn.groups: 3 must divide the backbone's 64 channels"):
        build(ClassActivationNetwork, channels=15, groups=3)


def test_control_maps_are_reproducible_proposals_of_noise(build):
    network = build(SoftProposalNetwork)

    def three(seed):
        return list(islice(network.control_maps(5, 7, seed), 3))

    maps = three(4)
    np.testing.assert_array_equal(maps, three(4))
    assert not np.array_equal(maps[0], maps[1]) and not np.array_equal(maps, three(5))
    assert all(each.sum() == pytest.approx(1) for each in maps)
    shape = (1, network.convolution.out_channels, 5, 7)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    np.testing.assert_array_equal(maps[0], network.soft_proposal(noise.relu())[0])
