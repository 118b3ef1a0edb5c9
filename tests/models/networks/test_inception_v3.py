"""Inception-v3 at stride 8 computes torchvision's blocks with the paddings of SPG's release."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.models import Inception3

from pipeline.models.networks.inception_v3 import INCEPTION_V3
from pipeline.models.weights import load_state


@pytest.fixture(scope="module")
def theirs():
    """torchvision's classifier."""
    torch.manual_seed(0)
    return Inception3(aux_logits=False, init_weights=True).eval()


@pytest.fixture(scope="module")
def ours(theirs):
    """Our features with the same weights."""
    features = INCEPTION_V3.features(8).eval()
    weights = theirs.state_dict()
    load_state(features, {name: weights[name] for name in features.state_dict()}, "inception_v3")
    return features


def random_maps(channels, side):
    return torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("blocks", "channels"),
    [
        (["Mixed_5b", "Mixed_5c", "Mixed_5d"], 192),
        (["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"], 768),
    ],
)
@torch.no_grad()
def test_inception_blocks_are_torchvisions(theirs, ours, blocks, channels):
    expected = found = random_maps(channels, 9)
    for block in blocks:
        expected = theirs.get_submodule(block)(expected)
        found = ours.get_submodule(block)(found)
    assert torch.equal(found, expected)


@torch.no_grad()
def test_every_second_cell_of_mixed_6a_is_torchvisions(theirs, ours):
    given = random_maps(288, 9)
    found = ours.get_submodule("Mixed_6a")(given)
    assert found.shape == (1, 768, 9, 9)
    expected = theirs.Mixed_6a(given)
    # torchvision's windows are not padded: its first is centred on our second cell.
    torch.testing.assert_close(found[..., 1:-1:2, 1:-1:2], expected)


@torch.no_grad()
def test_the_first_stages_are_padded_as_in_the_released_code(theirs, ours):
    given = random_maps(3, 224)
    first = theirs.Conv2d_1a_3x3
    maps = F.conv2d(given, first.conv.weight, stride=2, padding=1)
    maps = theirs.Conv2d_2b_3x3(theirs.Conv2d_2a_3x3(first.bn(maps).relu()))
    found = ours(given)
    torch.testing.assert_close(found[0], maps)
    maps = F.max_pool2d(maps, 3, stride=2, padding=1, ceil_mode=True)
    maps = theirs.Conv2d_4a_3x3(theirs.Conv2d_3b_1x1(maps))
    torch.testing.assert_close(found[1], maps)
    maps = F.max_pool2d(maps, 3, stride=2, padding=1, ceil_mode=True)
    maps = theirs.Mixed_5d(theirs.Mixed_5c(theirs.Mixed_5b(maps)))
    torch.testing.assert_close(found[2], maps)


def test_b1_and_b2_of_spg_have_their_stages_at_stride_8(ours):
    info = ours.feature_info
    b1 = info.reduction().index(8)
    assert info.module_name()[b1 : b1 + 2] == ["Mixed_5d", "Mixed_6d"]
    assert info.channels()[b1 : b1 + 2] == [288, 768]
