import pytest
import torch

from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.bases.spn.network import SoftProposalNetwork
from pipeline.models.backbones import Backbone
from tests.parameters import changed


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("kind", [ClassActivationNetwork, SoftProposalNetwork])
def test_without_convolution_the_head_is_linear_on_the_last_map(quick, images, kind):
    params = changed(quick, spn__convolution=False)
    network = kind(Backbone(params.backbone), 3, params.spn).eval()
    features = network.features(images)
    assert torch.equal(features, network.backbone(images)[-1].relu())
    found = network.localize(images)
    expected = torch.einsum(
        "ck,bkhw->bchw",
        network.classifier.weight,
        features * network.proposal_maps(features)[:, None],
    )
    torch.testing.assert_close(found.response_maps, expected)
    own = {name for name, _ in network.named_parameters() if not name.startswith("backbone.")}
    assert own == {"classifier.weight", "classifier.bias"}


def test_the_groups_of_no_convolution_do_not_matter(quick):
    params = changed(quick, spn__convolution=False, spn__groups=16)
    ClassActivationNetwork(Backbone(params.backbone), 3, params.spn)


def test_controls_have_the_width_of_the_coupled_maps(quick):
    params = changed(quick, spn__convolution=False)
    network = SoftProposalNetwork(Backbone(params.backbone), 3, params.spn)
    assert next(network.control_maps(5, 6, seed=0)).shape == (5, 6)
    assert network.width == network.backbone.channels[-1]
