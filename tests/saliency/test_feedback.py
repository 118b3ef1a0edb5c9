import pytest
import torch
from torch import nn

from pipeline.saliency.feedback import feedback
from pipeline.saliency.gradient import gradient
from tests.saliency.networks import images, modules, pixel, two_units

CLASSES = torch.tensor([2, 0, 3])


@pytest.fixture
def rounds(params):
    """Parameters with another number of rounds."""
    return lambda number: params.saliency.model_copy(update={"feedback_iterations": number})


def slope(network, value, params):
    return feedback(network, pixel(value), torch.tensor([0]), params).item()


def test_the_unit_that_speaks_against_the_class_is_closed(rounds):
    # S = -relu(x) + 2 relu(2 x): the slope is 3, and 4 without the first unit.
    network = two_units(nn.ReLU(), 1, 2, [-1, 2])
    assert gradient(network, pixel(3), torch.tensor([0]), None).item() == 3
    assert slope(network, 3, rounds(1)) == 4


def test_a_unit_without_say_stays_open(rounds):
    network = two_units(nn.ReLU(), 1, 2, [0, 2])
    assert slope(network, 3, rounds(1)) == 4


def test_an_active_unit_passes_the_slope_beyond_the_cap_of_relu6(rounds):
    network = two_units(nn.ReLU6(inplace=True), 1, 2, [-1, 2])
    assert gradient(network, pixel(9), torch.tensor([0]), None).item() == 0
    assert slope(network, 9, rounds(1)) == 4


def test_a_later_round_sees_what_the_earlier_ones_changed(rounds):
    class Woken(nn.Module):
        def forward(self, images):
            x = images.flatten(1)
            one, other = torch.relu(x), torch.relu(x)
            return x - one + 3 * torch.relu(2 * x - 2 * one - other)

    # The last unit is silent, so that only `one` speaks against the class. Without `one` the last
    # unit wakes, and now `other` does too. Slopes: 1 + 3 (2 - 1), then 1 + 3 * 2.
    assert [slope(Woken(), 3, rounds(number)) for number in (1, 2)] == [4, 7]


def test_with_all_gates_open_it_is_the_gradient(rounds):
    network = modules()
    for module in network:
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.weight.data.abs_()
    torch.testing.assert_close(
        feedback(network, images(), CLASSES, rounds(1)), gradient(network, images(), CLASSES, None)
    )


def test_gates_are_those_of_each_image_and_class(rounds):
    network = modules()
    together = feedback(network, images(), CLASSES, rounds(2))
    alone = [feedback(network, images()[[i]], CLASSES[[i]], rounds(2))[0] for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone))
