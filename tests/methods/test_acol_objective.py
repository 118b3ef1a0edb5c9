import pytest
import torch
from pipeline.methods.acol_objective import ComplementaryObjective
from torch.nn import functional as F

from pipeline.methods.acol import ComplementaryNetwork
from pipeline.models.backbones import Backbone


@pytest.fixture
def network(quick):
    torch.manual_seed(0)
    return ComplementaryNetwork(Backbone(quick.backbone), 3, quick.spg, quick.acol).eval()


def test_both_classifiers_learn_the_label_with_its_own_map_erased(network):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (3, 3, 64, 64), generator=generator, dtype=torch.uint8)
    targets = torch.tensor([2, 0, 1])
    losses = ComplementaryObjective(network)(images, targets, 0)
    maps = network.complementary(images, targets)
    assert losses.keys() == {"classification", "complementary"}
    for name, classifier in (("classification", maps.a), ("complementary", maps.b)):
        expected = F.cross_entropy(classifier.mean((2, 3)), targets)
        torch.testing.assert_close(losses[name], expected)
