"""Networks of a few units, where the methods' answers for the same image are told apart."""

import pytest
import torch
from torch import nn

from pipeline.saliency.methods import saliency_maps

PIXELS = 2


def dense(weights, bias):
    """Two pixels of three colours to units: weights (units, pixel, colour)."""
    weight = torch.tensor(weights, dtype=torch.float32)
    layer = nn.Conv2d(3, len(weights), (1, PIXELS))
    layer.weight.data.copy_(weight.transpose(1, 2).unsqueeze(2))
    layer.bias.data.copy_(torch.tensor(bias, dtype=torch.float32))
    return layer


def linear(weights, bias):
    layer = nn.Linear(len(weights[0]), len(weights))
    layer.weight.data.copy_(torch.tensor(weights))
    layer.bias.data.copy_(torch.tensor(bias))
    return layer


def map_of(network, image, label, method, params):
    (maps,) = saliency_maps(network, image, [[label]], method, params)
    assert maps.shape == (1, 1, PIXELS)
    return maps.flatten().tolist()


@pytest.mark.parametrize(
    ("method", "rounds", "expected"),
    [
        # dS/dh = -1, 1, -1, 1 and h2 is silent: (-1 2 0, -4 0 -8)
        ("gradient", 1, [2, 8]),
        # -g2 and -h3 do not pass, h2 is silent: (1 -2 0, 0 0 -6)
        ("guided_backpropagation", 1, [2, 6]),
        # -g2 and -h3 do not pass, h2 does: (1 3 0, 0 0 -6)
        ("deconvolution", 1, [3, 6]),
        # g2, h1 and h3 are closed, h2 is silent: (0 0 0, 0 0 -7)
        ("feedback", 1, [0, 7]),
        # While g2 is closed h1 speaks for the class: (1 -2 0, 0 0 -6)
        ("feedback", 2, [2, 6]),
    ],
)
def test_the_methods_differ_in_the_units_that_they_let_pass(params, method, rounds, expected):
    # For an image of ones h = 3, 0 (-95), 2, 1; g1 = 5, g2 = 6; S = g1 - g2.
    weights = [
        [[1, -2, 0], [0, 0, 1]],
        [[0, 5, 0], [0, 0, 0]],
        [[0, 0, 0], [4, 0, 0]],
        [[0, 0, 0], [0, 0, -7]],
    ]
    network = nn.Sequential(
        dense(weights, [3, -100, -2, 8]),
        nn.ReLU(),
        nn.Flatten(),
        linear([[1.0, 1.0, -1.0, 1.0], [2.0, 0.0, 0.0, 0.0]], [3.0, 0.0]),
        nn.ReLU(),
        linear([[1.0, -1.0]], [0.0]),
    )
    image = torch.ones(1, 3, 1, PIXELS)
    assert network(image).item() == -1
    saliency = params.saliency.model_copy(update={"feedback_iterations": rounds})
    assert map_of(network, image, 0, method, saliency) == expected


# Pixel 0 is (1, 2, 0) and pixel 1 is (0, 0, 2). Contributions to unit a, of value 3, are 1 + 2 and
# -1, with a bias of 1; to unit b, of value 2, they are -1 and 4, with a bias of -1.
RELEVANT = [[[1, 1, 0], [0, 0, -0.5]], [[-1, 0, 0], [0, 0, 2]]]


def relevant(out):
    return nn.Sequential(dense(RELEVANT, [1, -1]), nn.ReLU(), nn.Flatten(), linear(out, [0.0, 0.0]))


def test_lrp_of_two_layers_of_colours_with_biases(params):
    network = relevant([[2.0, -1.0], [-2.0, 1.0]])
    image = torch.tensor([[1.0, 0], [2, 0], [0, 2]]).reshape(1, 3, 1, PIXELS)
    assert network(image).tolist() == [[4, -4]]
    # S = 6 - 2: R_a = 2 * 4 and R_b = -1 * 4.
    # From a: 2 * 3/4 * 8 = 12 and -1 * 1/1 * 8 = -8; its bias keeps 2 * 1/4 * 8 = 4.
    # From b: -1 * 1/2 * -4 = 2 and 2 * 4/4 * -4 = -8; its bias keeps -1 * 1/2 * -4 = 2.
    expected = [12 + 2, -8 - 8]
    assert sum(expected) + 4 + 2 == 4
    assert map_of(network, image, 0, "lrp", params.saliency) == pytest.approx(expected)
    # -S is made of the same contributions with the other sign, and so is its map.
    opposite = [-value for value in expected]
    assert map_of(network, image, 1, "lrp", params.saliency) == pytest.approx(opposite)


def test_lrp_has_nothing_to_share_where_no_contribution_disagrees(params):
    # Eq. 60 then loses -beta: each layer doubles the relevance. S = 3 by unit a alone, R_a = 6;
    # then 12 * 3/4 to pixel 0, while pixel 1 disagrees and gets -6.
    network = relevant([[1.0, 0.0], [0.0, 1.0]])
    image = torch.tensor([[1.0, 0], [2, 0], [0, 2]]).reshape(1, 3, 1, PIXELS)
    assert map_of(network, image, 0, "lrp", params.saliency) == pytest.approx([9, -6])
