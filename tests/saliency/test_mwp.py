import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.models.backbones import Backbone
from pipeline.saliency.c_mwp import c_mwp
from pipeline.saliency.mwp import mwp, winning
from tests.parameters import changed
from tests.saliency.networks import Backbone as TinyBackbone
from tests.saliency.networks import Staged, images, layer

CLASSES = torch.tensor([2, 0, 3])
STAGES = ["first", ""]


@pytest.fixture
def at(params):
    """Parameters with another layer."""
    return lambda layer: params.saliency.model_copy(update={"excitation_layer": layer})


def excite(p, x, weight, **options):
    """One layer of excitation backpropagation: P_in = x * W+^T (P_out / (W+ x))."""
    positive = weight.clamp(min=0)
    if weight.ndim == 2:
        return x * ((p / (x @ positive.T)).nan_to_num(0, 0, 0) @ positive)
    total = F.conv2d(x, positive, **options)
    return x * F.conv_transpose2d((p / total).nan_to_num(0, 0, 0), positive, **options)


def by_hand(network, pictures, labels, sign):
    """Winning probabilities at both stages of a `Staged`, written out layer by layer."""
    stages = network.backbone.network
    first, second = stages(pictures)
    top = torch.relu(network.convolution(second))
    pooled = top.mean((2, 3))
    p = torch.zeros(len(pictures), 4).scatter(1, labels[:, None], 1.0)
    p = excite(p, pooled, sign * network.classifier.weight)
    cells = top.shape[2] * top.shape[3]
    p = top * (p / (pooled * cells)).nan_to_num(0, 0, 0)[:, :, None, None]
    p = at_second = excite(p, second, network.convolution.weight, padding=1)
    halved = stages.second[0](first)
    p = excite(p, halved, stages.second[1].weight, padding=1)
    _, where = F.max_pool2d(first, 2, return_indices=True)
    at_first = F.max_unpool2d(p, where, 2)
    return at_first, at_second


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_on_a_relu_network_it_is_excitation_backpropagation(name, sign):
    network = Staged().eval()
    with torch.no_grad():
        expected = by_hand(network, images(), CLASSES, sign)[STAGES.index(name)].sum(1)
    (found,) = winning(network, images(), CLASSES, name, [sign])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", STAGES)
def test_probabilities_sum_to_one_whatever_the_sign_of_the_score(at, name):
    network = Staged().eval()
    scores = network(images())[torch.arange(3), CLASSES]
    assert (scores > 0).any() and (scores < 0).any()
    found = mwp(network, images(), CLASSES, at(name))
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3))


def test_two_units_win_by_their_excitation_of_the_class(at):
    # Cells 1, 3 under a 1x1 convolution of weights 2 and -1 to two channels, mean pooling, then
    # weights 1 and 5: only the first channel is excited, its cells 1 : 3.
    stages = nn.Identity()
    network = nn.Sequential(
        layer(nn.Conv2d(1, 2, 1), [2, -1], [0, 0]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).append(layer(nn.Linear(2, 1), [1, 5], [7]))

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = TinyBackbone(_List(stages), [1])
            self.head = network

        def forward(self, pictures):
            return self.head(self.backbone(pictures)[-1])

    picture = torch.tensor([[[[1.0, 3.0]]]])
    found = mwp(Whole(), picture, torch.tensor([0]), at(""))
    torch.testing.assert_close(found, torch.tensor([[[0.25, 0.75]]]))
    # -5 and -1: nothing inhibits the class, as the second channel is silent; weight 1 excites.
    torch.testing.assert_close(c_mwp(Whole(), picture, torch.tensor([0]), at("")), found)


class _List(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return [self.inner(x)]


def test_a_winner_of_negative_value_was_excited_by_negative_contributions(at):
    # A linear bottleneck: cell x, y = -2 x, then weight -3: S = 6 x. All goes to the one cell, and
    # of two cells to those whose sign suits it.
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = TinyBackbone(_List(nn.Identity()), [1])
            self.bottleneck = layer(nn.Conv2d(1, 1, (1, 2), bias=False), [-2, 1])
            self.last = layer(nn.Linear(1, 1, bias=False), [-3])

        def forward(self, pictures):
            return self.last(self.bottleneck(self.backbone(pictures)[-1]).flatten(1))

    for cells, expected in (([4, 1], [1, 0]), ([4, -8], [0.5, 0.5]), ([1, -6], [0.25, 0.75])):
        picture = torch.tensor(cells, dtype=torch.float32).reshape(1, 1, 1, 2)
        found = mwp(Whole(), picture, torch.tensor([0]), at(""))
        torch.testing.assert_close(found.flatten(), torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("name", STAGES)
def test_the_contrast_may_be_taken_anywhere_below_the_class_unit(at, name):
    # The released code subtracts just below it and sends the difference down; cf. `by_hand`.
    network = Staged().eval()
    negated = copy.deepcopy(network)
    negated.classifier.weight.data.neg_()
    with torch.no_grad():
        for_it = by_hand(network, images(), CLASSES, 1.0)[STAGES.index(name)]
        against = by_hand(negated, images(), CLASSES, 1.0)[STAGES.index(name)]
    expected = (for_it - against).sum(1).clamp(min=0)
    found = c_mwp(network, images(), CLASSES, at(name))
    assert (found > 0).any() and (found == 0).any()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("model", ["cam_multi", "spn_multi"])
@pytest.mark.parametrize("name", ["blocks.2", ""])
def test_on_linear_bottlenecks_and_standardised_features_it_is_a_probability_too(
    quick, at, model, name
):
    torch.manual_seed(0)
    network = registry.find(model, quick).load().network(Backbone(quick.backbone), 4, quick).eval()
    found = mwp(network, 255 * images(3, 64), CLASSES, at(name))
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3), rtol=1e-3, atol=1e-3)


def test_a_layer_has_the_name_that_the_published_network_gives_it(params):
    """Pool4 of VGG16, which is no end of a stage: 14 x 14 cells at 224, half of that here."""
    vgg16 = {"name": "vgg16", "output_stride": 16, "frozen_stages": 0, "standardise": False}
    chosen = changed(params, **{f"backbone__{k}": v for k, v in vgg16.items()})
    torch.manual_seed(0)
    network = ClassActivationNetwork(Backbone(chosen.backbone), 4, chosen.spn).eval()
    pool4 = network.backbone.network.features_23
    seen = []
    pool4.register_forward_hook(lambda module, inputs, output: seen.append(output))
    pictures = 255 * images(1, 112)
    found = mwp(
        network,
        pictures,
        CLASSES[:1],
        changed(chosen, saliency__excitation_layer="features.23").saliency,
    )
    assert found.shape == (1, 7, 7) == (1, *seen[0].shape[2:])
    assert found.sum().item() == pytest.approx(1, abs=1e-3)
    at_conv5 = mwp(network, pictures, CLASSES[:1], chosen.saliency)
    assert at_conv5.shape == found.shape and not torch.allclose(at_conv5, found, atol=1e-3)


def test_a_layer_that_the_backbone_does_not_have_lists_its_parts(at):
    told = r"excitation_layer: 'third' is no layer of the backbone; choose one within first, second"
    with pytest.raises(InputError, match=told):
        mwp(Staged().eval(), images(), CLASSES, at("third"))


def test_a_layer_without_maps_is_refused(params, at):
    vit = {"name": "test_vit", "output_stride": 16, "frozen_stages": 0, "standardise": False}
    chosen = changed(params, **{f"backbone__{k}": v for k, v in vit.items()})
    built = ClassActivationNetwork(Backbone(chosen.backbone), 4, chosen.spn).eval()
    with pytest.raises(InputError, match="layer 'blocks.0' gives no maps; choose another"):
        mwp(built, 255 * images(1, 64), CLASSES[:1], at("blocks.0"))


def test_a_stage_that_the_scores_do_not_rest_on_is_refused(at):
    network = Staged().eval()
    network.backbone.network = _Aside(network.backbone.network)
    with pytest.raises(InputError, match="do not rest on layer 'aside'; choose another"):
        mwp(network, images(), CLASSES, at("aside"))


class _Aside(nn.Module):
    """Stages the first of which leads nowhere."""

    def __init__(self, stages):
        super().__init__()
        self.stages = stages
        self.aside = nn.Conv2d(3, 5, 1)

    def forward(self, images):
        return [self.aside(images), self.stages(images)[1]]


def test_the_network_is_left_as_it_was(at):
    network = Staged().eval()
    backbone, inner, names = network.backbone, network.backbone.network, list(network.state_dict())
    mwp(network, images(), CLASSES, at("second"))
    assert network.backbone is backbone and backbone.network is inner
    assert list(network.state_dict()) == names
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
