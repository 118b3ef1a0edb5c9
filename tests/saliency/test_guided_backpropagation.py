import pytest
import torch
from captum.attr import GuidedBackprop, Saliency
from torch import nn

from pipeline.saliency.guided_backpropagation import guided_backpropagation
from tests.saliency.networks import Functional, images, modules, pixel, two_units

CLASSES = torch.tensor([2, 0, 3])


@pytest.mark.parametrize(
    ("activation", "value", "expected"),
    [
        # Slopes of the units are -1 and 2: only 2 passes, and only where its unit is active.
        (nn.ReLU(), 3, 0),
        (nn.ReLU(), -3, 2),
        (nn.ReLU(inplace=True), -3, 2),
        (nn.ReLU6(inplace=True), -3, 2),
        (nn.ReLU6(), -9, 0),
        (nn.LeakyReLU(0.25), 3, 0.5),
    ],
)
def test_the_positive_slope_passes_times_the_derivative(activation, value, expected):
    network = two_units(activation, 1, -1, [-1, 2])
    found = guided_backpropagation(network, pixel(value), torch.tensor([0]), None)
    assert found.item() == pytest.approx(expected)


def test_captum_finds_the_same_where_activations_are_relu_modules():
    expected = GuidedBackprop(modules()).attribute(images().requires_grad_(), CLASSES)
    found = guided_backpropagation(modules(), images(), CLASSES, None)
    torch.testing.assert_close(found, expected.abs().amax(1))


def test_activations_as_functions_and_in_place_make_no_difference():
    expected = guided_backpropagation(modules(), images(), CLASSES, None)
    found = guided_backpropagation(Functional(modules()), images(), CLASSES, None)
    torch.testing.assert_close(found, expected)


def test_captum_leaves_relu6_as_it_is_which_is_why_this_is_written_here():
    network = modules(nn.ReLU6)
    theirs = GuidedBackprop(network).attribute(images().requires_grad_(), CLASSES)
    plain = Saliency(network).attribute(images().requires_grad_(), CLASSES, abs=False)
    torch.testing.assert_close(theirs, plain)
    # No value reaches 6 here, so that the map is that of the same network with ReLU.
    found = guided_backpropagation(network, images(), CLASSES, None)
    torch.testing.assert_close(found, guided_backpropagation(modules(), images(), CLASSES, None))


def test_what_an_activation_gives_may_be_changed_in_place():
    class InPlace(nn.Module):
        def forward(self, x):
            x = torch.relu(x)
            x += 1
            return torch.relu_(x)

    network = two_units(InPlace(), 1, -1, [-1, 2])
    assert guided_backpropagation(network, pixel(-3), torch.tensor([0]), None).item() == 2
