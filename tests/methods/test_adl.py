import pytest
import torch

from pipeline.methods.adl import AttentionDropout, AttentionDropoutNetwork
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.models.backbones import Backbone
from pipeline.params import AdlParams


@pytest.fixture
def features():
    """An image of 2 channels: attention (mean over channels) 4, 3.6, 1 and 0."""
    return torch.tensor([[[4.0, 3.6], [2.0, 0.0]], [[4.0, 3.6], [0.0, 0.0]]])[None]


def masked(features, drop_rate, threshold=0.8, training=True):
    layer = AttentionDropout(AdlParams(drop_rate=drop_rate, threshold=threshold))
    return layer.train(training)(features)


def test_the_drop_mask_hides_the_most_attended_cells_of_each_image(features):
    found = masked(torch.cat([features, features.flip(3) / 10]), drop_rate=1.0)
    assert (found[0] == features[0] * torch.tensor([[0, 0], [1, 1]])).all()
    assert (found[1] == features[0].flip(2) / 10 * torch.tensor([[0, 0], [1, 1]])).all()


def test_a_cell_at_the_threshold_stays(features):
    found = masked(features, 1.0, threshold=0.9)[0, :, 0]
    assert torch.equal(found, torch.tensor([[0, 3.6], [0, 3.6]]))


def test_the_importance_map_is_the_sigmoid_of_the_attention(features):
    weights = torch.sigmoid(torch.tensor([[4, 3.6], [1, 0]]))
    torch.testing.assert_close(masked(features, drop_rate=0.0), features * weights)


def test_a_step_drops_with_the_given_probability(features):
    torch.manual_seed(0)
    dropped = [bool((masked(features, 0.75)[0, :, 0, 0] == 0).all()) for _ in range(2000)]
    assert sum(dropped) / len(dropped) == pytest.approx(0.75, abs=0.03)


def test_in_evaluation_nothing_is_masked(features):
    assert torch.equal(masked(features, 1.0, training=False), features)


def test_evaluated_it_is_the_class_activation_network_of_the_same_weights(quick):
    cam = ClassActivationNetwork(Backbone(quick.backbone), 3, quick.spn).eval()
    adl = AttentionDropoutNetwork(Backbone(quick.backbone), 3, quick).eval()
    adl.load_state_dict(cam.state_dict())
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(adl.localize(images).response_maps, cam.localize(images).response_maps)
    assert not torch.equal(adl.train()(images), cam.train()(images))
