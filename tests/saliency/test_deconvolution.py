import pytest
import torch
from captum.attr import Deconvolution, Saliency
from torch import nn

from pipeline.saliency.deconvolution import deconvolution
from tests.saliency.networks import Functional, images, modules, pixel, two_units

CLASSES = torch.tensor([2, 0, 3])


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU(True), nn.ReLU6(), nn.ReLU6(True)])
@pytest.mark.parametrize("value", [3, 9, -3])
def test_the_positive_slope_passes_whatever_the_unit_got(activation, value):
    # Slopes of the units are -1 and 2; only 2 passes, times -1.
    network = two_units(activation, 1, -1, [-1, 2])
    assert deconvolution(network, pixel(value), torch.tensor([0]), None).item() == 2


def test_captum_finds_the_same_where_activations_are_relu_modules():
    expected = Deconvolution(modules()).attribute(images().requires_grad_(), CLASSES)
    found = deconvolution(modules(), images(), CLASSES, None)
    torch.testing.assert_close(found, expected.abs().amax(1))


def test_activations_as_functions_and_in_place_make_no_difference():
    expected = deconvolution(modules(), images(), CLASSES, None)
    torch.testing.assert_close(
        deconvolution(Functional(modules()), images(), CLASSES, None), expected
    )


def test_captum_leaves_relu6_as_it_is_which_is_why_this_is_written_here():
    network = modules(nn.ReLU6)
    theirs = Deconvolution(network).attribute(images().requires_grad_(), CLASSES)
    plain = Saliency(network).attribute(images().requires_grad_(), CLASSES, abs=False)
    torch.testing.assert_close(theirs, plain)
    ours = deconvolution(network, images(), CLASSES, None)
    assert not torch.allclose(ours, plain.abs().amax(1), rtol=0.1)


def test_without_maximum_pooling_the_map_knows_nothing_of_the_image():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(150, 2)
    )
    one, other = (
        deconvolution(network, images(1, seed=seed), torch.tensor([1]), None) for seed in (1, 2)
    )
    torch.testing.assert_close(one, other)
    with_switches = [deconvolution(modules(), images(1, seed=s), CLASSES[:1], None) for s in (1, 2)]
    assert not torch.allclose(*with_switches)
