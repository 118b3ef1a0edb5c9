import numpy as np
import pytest
from torch import nn

from pipeline.reporting.illustrations.receptive_fields import receptive_fields

SIZE, STRIDE = 32, 4


class Net(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.features = nn.Sequential(*layers)


class Gated(nn.Module):
    """Scales maps by their mean, as squeeze-and-excitation does."""

    def forward(self, maps):
        return maps * maps.mean((2, 3), keepdim=True)


def strided(*more):
    """Two convolutions of stride 2 and a pooling between: a cell sees 1 + 2 + 4 + 4 = 11 px."""
    return Net(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=1, padding=1),
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
        *more,
    ).eval()


def test_fields_are_those_of_the_arithmetic_of_convolutions():
    fields = receptive_fields(strided(), SIZE, STRIDE)
    assert fields.shape == (8, 8, 4)
    # Cell 4 lies on pixel 16, the middle of its 11 px.
    assert fields[4, 4].tolist() == [11, 11, 22, 22]
    assert fields[2, 5].tolist() == [15, 3, 26, 14]
    assert fields[0, 7].tolist() == [23, 0, 32, 6]


def test_a_deeper_network_sees_more_on_both_sides():
    plain = receptive_fields(strided(), SIZE, STRIDE)
    deeper = receptive_fields(strided(nn.Conv2d(4, 4, 3, padding=1)), SIZE, STRIDE)
    assert deeper[4, 4].tolist() == (plain[4, 4] + [-4, -4, 4, 4]).tolist()


def test_without_padding_there_are_fewer_cells_that_begin_at_the_edge():
    fields = receptive_fields(Net(nn.Conv2d(3, 4, 5, stride=4)).eval(), SIZE, STRIDE)
    assert fields.shape == (7, 7, 4)
    assert fields[0, 0].tolist() == [0, 0, 5, 5] and fields[6, 6].tolist() == [24, 24, 29, 29]


def test_a_cell_that_a_mean_of_all_reaches_sees_the_whole_picture():
    fields = receptive_fields(strided(Gated()), SIZE, STRIDE)
    assert np.unique(fields.reshape(-1, 4), axis=0).tolist() == [[0, 0, SIZE, SIZE]]


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_the_network_is_left_as_it_was(name):
    network = strided()
    before = getattr(network.features[0], name).clone()
    receptive_fields(network, SIZE, STRIDE)
    after = getattr(network.features[0], name)
    assert after.dtype == before.dtype and bool((after == before).all())
