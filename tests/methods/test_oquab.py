import pytest
import torch
from torch import nn

from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.oquab import MaxPoolingNetwork, pool
from pipeline.models.backbones import Backbone
from tests.parameters import changed

CLASSES = 5


@pytest.fixture
def build(quick):
    """Build a network with the same random weights each time."""

    def make(kind=MaxPoolingNetwork, **values):
        chosen = changed(quick, **{f"spn__{key}": value for key, value in values.items()})
        torch.manual_seed(0)
        return kind(Backbone(chosen.backbone), CLASSES, chosen.spn)

    return make


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 3, 64, 64), generator=generator, dtype=torch.uint8)


def test_a_class_scores_its_largest_cell():
    maps = torch.tensor([[[[1.0, -2.0], [0.5, 3.0]], [[-4.0, -1.0], [-2.0, -3.0]]]])
    assert pool(maps).tolist() == [[3.0, -1.0]]


@pytest.mark.parametrize("equal", [False, True])
def test_the_gradient_of_a_score_goes_to_one_cell(equal):
    maps = torch.zeros(2, 3, 4, 4) if equal else torch.rand(2, 3, 4, 4)
    maps.requires_grad_()
    pool(maps).sum().backward()
    cells = maps.grad.flatten(2)
    assert (cells.sum(2) == 1).all() and ((cells != 0).sum(2) == 1).all()


def test_a_class_map_is_the_linear_layer_at_each_cell(build, images):
    network = build().eval()
    with torch.no_grad():
        features, found = network.features(images), network.localize(images)
        cells = network.classifier(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(found.response_maps, cells)
    assert torch.equal(found.logits, found.response_maps.amax((2, 3)))
    torch.testing.assert_close(network(images), found.logits)


def test_training_drops_values_of_single_cells(build):
    network = build(channels=1, groups=1, dropout=0.5)
    network.features = lambda images: torch.ones(1, 1, 8, 8)
    nn.init.ones_(network.classifier.weight)
    nn.init.zeros_(network.classifier.bias)
    # Of 64 cells some are kept, at twice their value; a whole channel would often be dropped.
    assert all(network(None).tolist() == [[2.0] * CLASSES] for _ in range(20))


def test_it_starts_from_the_weights_of_its_twin(build):
    twin, network = build(ClassActivationNetwork).state_dict(), build().state_dict()
    assert twin.keys() == network.keys()
    assert all(torch.equal(twin[name], network[name]) for name in twin)
