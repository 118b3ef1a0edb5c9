import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.methods import wsddn
from pipeline.methods.wsddn import Regions, WeaklySupervisedDetector
from pipeline.models.backbones import Backbone
from pipeline.models.weights import save_weights
from tests.parameters import changed

CLASSES = 3


class Features(nn.Module):
    """A backbone whose one map (B, 1, 4, 4) is given."""

    channels = (1,)

    def __init__(self, values):
        super().__init__()
        self.values = values

    def forward(self, images):
        return [self.values]


@pytest.fixture
def network(quick):
    torch.manual_seed(0)
    return WeaklySupervisedDetector(Backbone(quick.backbone), CLASSES, quick.wsddn).eval()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=generator)


def some_regions(count=5):
    """Regions of two images, all of them present."""
    generator = torch.Generator().manual_seed(2)
    corners = torch.rand(2, count, 2, generator=generator) * 0.5
    sides = torch.rand(2, count, 2, generator=generator) * 0.4 + 0.1
    scores = torch.rand(2, count, generator=generator) * 0.9 + 0.1
    boxes = torch.cat([corners, corners + sides], dim=2)
    return Regions(boxes, scores, torch.ones(2, count, dtype=torch.bool))


def test_scores_are_softmax_over_classes_times_softmax_over_regions(params):
    """Two regions and two classes by hand: features 1 and 3, logits that are their multiples."""
    chosen = changed(params, wsddn__grid=1, wsddn__hidden=1)
    values = torch.ones(1, 1, 4, 4)
    values[..., 2:] = 3
    network = WeaklySupervisedDetector(Features(values), 2, chosen.wsddn)
    network.layers = nn.Identity()
    with torch.no_grad():
        network.classification.weight.copy_(torch.tensor([[1.0], [0.0]]))
        network.detection.weight.copy_(torch.tensor([[0.5], [-0.5]]))
        network.classification.bias.zero_()
        network.detection.bias.zero_()
    boxes = torch.tensor([[[0, 0, 0.25, 1], [0.75, 0, 1, 1]]])
    regions = Regions(boxes, torch.tensor([[1.0, 0.5]]), torch.ones(1, 2, dtype=torch.bool))
    found = network(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), regions)
    features = torch.tensor([1.0, 1.5])  # 1 of score 1, 3 of score 0.5
    what = torch.stack([features, torch.zeros(2)], dim=1).softmax(1)
    where = torch.stack([features / 2, -features / 2], dim=1).softmax(0)
    torch.testing.assert_close(found[0], what * where)
    assert found[0, 1, 0] > found[0, 0, 0] and found[0, 0, 1] > found[0, 1, 1]


def test_a_region_is_pooled_from_where_it_lies(params):
    chosen = changed(params, wsddn__grid=2, wsddn__hidden=1)
    values = torch.arange(4.0).repeat(4, 1)[None, None]  # the column's number
    network = WeaklySupervisedDetector(Features(values), 2, chosen.wsddn)
    boxes = torch.tensor([[[0.25, 0, 0.75, 1], [0, 0, 1, 1.0]]])
    regions = Regions(boxes, torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool))
    pooled = network._pooled(values, regions).unflatten(1, (2, 2))
    # Columns 1 and 2 have their centres at 1.5 and 2.5 of 4.
    torch.testing.assert_close(pooled[0], torch.tensor([[1.0, 2], [1, 2]]))
    torch.testing.assert_close(pooled[1], torch.tensor([[0.5, 2.5], [0.5, 2.5]]))


def test_the_probabilities_of_an_image_are_at_most_1(network, images):
    scores = network(images, some_regions())
    assert scores.shape == (2, 5, CLASSES)
    assert (scores >= 0).all()
    probabilities = scores.sum(1)
    assert ((probabilities > 0) & (probabilities <= 1 + 1e-6)).all()


def test_padding_changes_nothing(network, images):
    regions = some_regions()
    noise = some_regions(9)
    padded = Regions(
        torch.cat([regions.boxes, noise.boxes], dim=1),
        torch.cat([regions.scores, 100 * noise.scores], dim=1),
        torch.cat([regions.present, ~noise.present], dim=1),
    )
    found = network(images, padded)
    torch.testing.assert_close(found[:, :5], network(images, regions))
    assert not found[:, 5:].any()


def test_each_image_has_its_own_regions(network, images):
    regions = some_regions()
    few = regions._replace(present=torch.tensor([[True] * 5, [True, False, True, False, False]]))
    found = network(images, few)
    torch.testing.assert_close(found[0], network(images[:1], Regions(*(r[:1] for r in few)))[0])
    kept = Regions(*(r[1:, [0, 2]] for r in few))
    torch.testing.assert_close(found[1, [0, 2]], network(images[1:], kept)[0])


def test_an_image_without_any_region_has_no_class_and_a_finite_gradient(network, images):
    regions = some_regions()
    none = regions._replace(present=torch.tensor([[True] * 5, [False] * 5]))
    scores = network(images, none)
    assert not scores[1].any()
    scores.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_both_streams_and_the_backbone_learn(network, images):
    (-network(images, some_regions()).sum(1).log().sum()).backward()
    for stream in (network.classification, network.detection, network.layers[0]):
        assert stream.weight.grad.abs().sum() > 0
    assert any(p.grad is not None and p.grad.any() for p in network.backbone.parameters())


def test_the_order_of_the_regions_does_not_matter(network, images):
    regions, order = some_regions(), torch.tensor([3, 0, 4, 1, 2])
    shuffled = Regions(*(each[:, order] for each in regions))
    found = network(images, shuffled)
    torch.testing.assert_close(found, network(images, regions)[:, order])


def test_trained_weights_are_those_of_the_file(quick, network, images, tmp_path):
    path = tmp_path / "wsddn.safetensors"
    save_weights(network, path)
    loaded = wsddn.trained(quick, CLASSES, path)
    assert torch.equal(loaded(images, some_regions()), network.eval()(images, some_regions()))
    with pytest.raises(InputError, match="not the weights of this network"):
        wsddn.trained(quick, CLASSES + 1, path)


def test_missing_weights_name_the_stage_to_run(quick, tmp_path):
    with pytest.raises(InputError, match="not found; run `dvc repro train_wsddn`"):
        wsddn.trained(quick, CLASSES, tmp_path / "gone.safetensors")
