import pytest
import torch
from torch.nn import functional as F

from pipeline.methods.acol import ComplementaryNetwork, ComplementaryObjective, erase
from pipeline.methods.bases.spg_plain import SpgPlain
from pipeline.models.backbones import Backbone
from pipeline.models.maps import normalise_maps
from tests.parameters import changed

CLASSES = 5


@pytest.fixture
def build(quick):
    """Build a network with the same random weights each time."""

    def make(kind=ComplementaryNetwork, erase_above=0.6, pooling=1):
        chosen = changed(quick, acol__erase_above=erase_above, acol__pooling=pooling)
        extra = (chosen.acol,) if kind is ComplementaryNetwork else ()
        torch.manual_seed(0)
        return kind(Backbone(chosen.backbone), CLASSES, chosen.spg, *extra).eval()

    return make


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 3, 64, 64), generator=generator, dtype=torch.uint8)


def test_cells_above_the_share_of_each_images_own_range_are_erased():
    attention = torch.tensor([[[-1.0, 0.0], [1.0, 3.0]], [[40.0, 10.0], [10.0, 31.0]]])
    # Scaled: 0, 0.25, 0.5, 1 and 1, 0, 0, 0.7. A value of exactly the share is kept.
    kept = torch.tensor([[[1.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
    features = torch.tensor([2.0, -3.0]).reshape(1, 2, 1, 1).expand(2, 2, 2, 2)
    assert torch.equal(erase(features, attention, above=0.5), features * kept[:, None])


def test_a_constant_map_erases_nothing():
    features = torch.ones(1, 2, 3, 3)
    assert torch.equal(erase(features, torch.full((1, 3, 3), 7.0), above=0.1), features)


def test_no_gradient_passes_through_the_map_that_erases():
    features, attention = torch.rand(2, 3, 4, 4, requires_grad=True), torch.rand(2, 4, 4)
    attention.requires_grad_()
    erase(features, attention, above=0.5).sum().backward()
    assert attention.grad is None
    assert set(features.grad.unique().tolist()) == {0.0, 1.0}


def test_b_teaches_its_own_layers_and_the_backbone_but_not_a(build, images):
    network = build()
    network.complementary(images, torch.tensor([0, 1, 2])).b.sum().backward()
    assert all(p.grad is None for layer in (network.a, network.a4) for p in layer.parameters())
    learning = [p for p in network.backbone.parameters() if p.requires_grad]
    for part in (network.b.parameters(), network.b4.parameters(), learning):
        assert any(p.grad is not None and p.grad.any() for p in part)


def test_b_sees_what_a_leaves_of_the_target_and_without_one_of_its_best_class(build, images):
    network = build()
    with torch.no_grad():
        features = network.backbone(images)[-1]
        a = network.a4(network.a(features))
        best = a.mean((2, 3)).argmax(1)
        for targets in (None, best, (best + 1) % CLASSES):
            chosen = best if targets is None else targets
            attention = torch.stack([a[row, label] for row, label in enumerate(chosen)])
            left = features * (normalise_maps(attention) <= 0.6)[:, None]
            found = network.complementary(images, targets)
            torch.testing.assert_close(found.b, network.b4(network.b(left)))
            assert torch.equal(found.a, a)


def test_the_fused_map_is_the_larger_of_both_scaled_maps(build, images):
    network = build()
    with torch.no_grad():
        found, maps = network.localize(images), network.complementary(images)
    assert found.response_maps.shape == (3, CLASSES, 4, 4)
    for image in range(3):
        for label in range(CLASSES):
            both = torch.stack([maps.a[image, label], maps.b[image, label]])
            expected = normalise_maps(both).amax(0)
            torch.testing.assert_close(found.response_maps[image, label], expected)


def test_another_share_changes_what_b_sees(build, images):
    with torch.no_grad():
        little, much = (build(erase_above=s).complementary(images) for s in (0.9, 0.1))
    assert torch.equal(little.a, much.a) and not torch.equal(little.b, much.b)


def test_a_is_spg_plain_with_its_first_weights_and_gives_the_scores(build, images):
    twin, network = build(SpgPlain), build()
    own = network.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in twin.state_dict().items())
    with torch.no_grad():
        expected = twin(images)
        torch.testing.assert_close(network(images), expected)
        torch.testing.assert_close(network.localize(images).logits, expected)


def test_both_classifiers_and_the_scores_read_the_averaged_map(build, images):
    plain, pooled = build(), build(pooling=3)
    last = plain.backbone(images)[-1]
    average = F.avg_pool2d(last, 3, stride=1, padding=1)
    torch.testing.assert_close(plain.features(images), last, rtol=0, atol=0)
    torch.testing.assert_close(pooled.features(images), average)
    maps = pooled.complementary(images, torch.tensor([0, 1, 2]))
    expected = pooled.a4(pooled.a(average))
    torch.testing.assert_close(maps.a, expected)
    torch.testing.assert_close(pooled(images), expected.mean((2, 3)))
    attention = expected[torch.arange(3), torch.tensor([0, 1, 2])]
    torch.testing.assert_close(maps.b, pooled.b4(pooled.b(erase(average, attention, 0.6))))


def test_both_classifiers_learn_the_label_with_its_own_map_erased(build, images):
    network, targets = build(), torch.tensor([2, 0, 1])
    losses = ComplementaryObjective(network)(images, targets, 0)
    maps = network.complementary(images, targets)
    assert losses.keys() == {"classification", "complementary"}
    for name, classifier in (("classification", maps.a), ("complementary", maps.b)):
        expected = F.cross_entropy(classifier.mean((2, 3)), targets)
        torch.testing.assert_close(losses[name], expected)
