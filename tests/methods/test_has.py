import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.has import HideAndSeek, hidden_pixels
from pipeline.models.backbones import Backbone
from pipeline.models.losses import Classification
from pipeline.params import HasParams
from tests.parameters import changed


def hide(count, side, patch, probability):
    images = torch.zeros(count, 3, side, side, dtype=torch.uint8)
    return hidden_pixels(images, HasParams(patch=patch, probability=probability))


@given(st.integers(1, 40), st.integers(1, 50))
def test_patches_lie_on_a_grid_and_are_hidden_whole(side, patch):
    torch.manual_seed(side)
    hidden = hide(2, side, patch, 0.5)
    assert hidden.shape == (2, side, side)
    for y in range(0, side, patch):
        for x in range(0, side, patch):
            squares = hidden[:, y : y + patch, x : x + patch]
            assert torch.equal(squares, squares[:, :1, :1].expand_as(squares))


@pytest.mark.parametrize("probability", [0.3, 0.5, 0.8])
def test_the_share_of_hidden_pixels_is_the_probability(probability):
    torch.manual_seed(0)
    # 64 x 36 patches: a deviation of 0.01
    assert hide(64, 192, 32, probability).float().mean() == pytest.approx(probability, abs=0.04)


def test_probability_0_hides_nothing_and_1_everything():
    assert not hide(2, 50, 8, 0.0).any()
    assert hide(2, 50, 8, 1.0).all()


def test_patches_of_an_image_and_images_of_a_batch_are_drawn_for_themselves():
    torch.manual_seed(0)
    cells = hide(64, 4, 1, 0.5).flatten(1)
    assert len({tuple(row) for row in cells.tolist()}) == 64
    # Between any two of the 16 cells: no correlation beyond that of 64 samples
    apart = torch.corrcoef(cells.T.float()) - torch.eye(16)
    assert apart.abs().max() < 0.5


@pytest.fixture
def network(quick):
    torch.manual_seed(0)
    chosen = changed(quick, spn__dropout=0.0)
    return ClassActivationNetwork(Backbone(chosen.backbone), 3, chosen.spn).eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, 64, 64), generator=generator, dtype=torch.uint8)
    return images, torch.tensor([0, 1, 2, 0])


def test_the_network_takes_hidden_pixels_for_0_and_the_others_as_they_are(network, batch):
    seen = []
    network.backbone.normalise.register_forward_hook(lambda _, __, output: seen.append(output))
    params = HasParams(patch=24, probability=0.5)
    torch.manual_seed(5)
    HideAndSeek(network, params)(*batch, 0)
    torch.manual_seed(5)
    hidden = hidden_pixels(batch[0], params)[:, None]
    whole = network.backbone.normalise(batch[0])
    assert 0.2 < hidden.float().mean() < 0.8
    assert torch.equal(seen[0], torch.where(hidden, 0, whole))


def test_nothing_hidden_is_the_objective_of_the_twin(network, batch):
    found = HideAndSeek(network, HasParams(patch=16, probability=0.0))(*batch, 0)
    expected = Classification(network)(*batch, 0)
    assert found.keys() == expected.keys()
    torch.testing.assert_close(found["classification"], expected["classification"])
