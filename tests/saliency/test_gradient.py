import torch
from captum.attr import Saliency
from torch import nn

from pipeline.saliency.gradient import gradient
from tests.saliency.networks import images, layer, modules, pixel, two_units


def test_of_a_linear_network_the_map_is_its_largest_weight_in_any_colour():
    weight = torch.tensor([[1.0, -5.0], [2.0, 1.0], [-3.0, 0.0]]).reshape(1, 3, 1, 2)
    network = nn.Sequential(nn.Flatten(), layer(nn.Linear(6, 1), weight.flatten()))
    found = gradient(network, torch.rand(2, 3, 1, 2), torch.zeros(2, dtype=torch.long), None)
    torch.testing.assert_close(found, torch.tensor([[[3.0, 5.0]]]).expand(2, 1, 2))


def test_only_active_units_count():
    network = two_units(nn.ReLU(), 1, -1, [-1, 2])
    for value, slope in ((3, 1), (-3, 2)):
        assert gradient(network, pixel(value), torch.tensor([0]), None).item() == slope


def test_captum_finds_the_same():
    network, classes = modules(), torch.tensor([2, 0, 3])
    expected = Saliency(network).attribute(images().requires_grad_(), classes).amax(1)
    torch.testing.assert_close(gradient(network, images(), classes, None), expected)
