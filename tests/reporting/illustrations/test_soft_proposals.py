import numpy as np
import pytest
import torch

from pipeline.methods.bases.spn.soft_proposal import SoftProposal
from pipeline.reporting.illustrations.soft_proposals import (
    FIELDS,
    STEPS,
    best_cells,
    coupled,
    misplaced,
    overlapping,
    walk_maps,
)
from tests.parameters import changed


@pytest.fixture(params=[{}, {"spn__border_correction": True, "spn__sharpness": 2.0}], ids=str)
def module(params, request):
    return SoftProposal(changed(params, **request.param).spn)


def test_the_walk_begins_uniform_and_comes_to_rest_at_the_map_of_the_network(module):
    torch.manual_seed(0)
    features = torch.randn(2, 8, 5, 7).relu()
    steps, rest = walk_maps(module, features)
    assert len(steps) == len(STEPS) and STEPS[0] == 0
    torch.testing.assert_close(rest, module(features))
    for place in range(2):
        away = [misplaced(own[place].numpy(), rest[place].numpy()) for own in steps]
        assert away == sorted(away, reverse=True)
        assert away[-1] < away[0] / 5
    if module.params.sharpness == 1:
        torch.testing.assert_close(steps[0], torch.full((2, 5, 7), 1 / 35))


def test_mass_that_is_all_elsewhere_is_misplaced():
    here, there = np.array([[1.0, 0]], np.float32), np.array([[0, 1.0]], np.float32)
    assert (misplaced(here, here), misplaced(here, there)) == (0, 100)
    assert misplaced(here, (here + there) / 2) == 50


def test_coupling_darkens_by_the_share_of_the_maximum():
    image = np.full((4, 8, 3), 200, np.uint8)
    found = coupled(image, np.array([[0.25, 0.5]], np.float32))
    assert found[:, 0].max() == 100 and found[:, -1].min() == 200


def test_the_best_cells_come_first_and_no_more_than_a_hundred():
    proposal = np.arange(12 * 10, dtype=np.float32).reshape(12, 10)
    rows, columns = best_cells(proposal)
    assert len(rows) == FIELDS
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (11, 9, 2, 0)
    assert best_cells(proposal[:2]).shape == (2, 20)


def test_a_pixel_is_as_bright_as_the_share_of_fields_that_it_lies_in():
    image = np.full((100, 100, 3), 200, np.uint8)
    fields = np.zeros((1, 2, 4))
    fields[0] = [[0, 0, 0.6, 1], [0.4, 0, 1, 1]]
    cells = np.array([[0, 0], [0, 1]])
    found = overlapping(image, cells, fields)
    assert [found[5, x, 0] for x in (10, 50, 90)] == [100, 200, 100]
    assert found[50, 25].tolist() == [255, 255, 0] == found[50, 75].tolist()
    alone = overlapping(image, cells[:, :1], fields)
    assert [alone[5, x, 0] for x in (10, 90)] == [200, 0]
