import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.saliency.c_mwp import c_mwp
from pipeline.saliency.mwp import mwp, stage_of, winning
from tests.saliency.networks import Backbone as TinyBackbone
from tests.saliency.networks import Staged, images, layer

CLASSES = torch.tensor([2, 0, 3])


@pytest.fixture
def at(params):
    """Parameters with another stride."""
    return lambda stride: params.saliency.model_copy(update={"excitation_stride": stride})


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


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_on_a_relu_network_it_is_excitation_backpropagation(stride, sign):
    network = Staged().eval()
    with torch.no_grad():
        expected = by_hand(network, images(), CLASSES, sign)[stride - 1].sum(1)
    (found,) = winning(network, images(), CLASSES, stride, [sign])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_probabilities_sum_to_one_whatever_the_sign_of_the_score(at, stride):
    network = Staged().eval()
    scores = network(images())[torch.arange(3), CLASSES]
    assert (scores > 0).any() and (scores < 0).any()
    found = mwp(network, images(), CLASSES, at(stride))
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
    found = mwp(Whole(), picture, torch.tensor([0]), at(1))
    torch.testing.assert_close(found, torch.tensor([[[0.25, 0.75]]]))
    # -5 and -1: nothing inhibits the class, as the second channel is silent; weight 1 excites.
    torch.testing.assert_close(c_mwp(Whole(), picture, torch.tensor([0]), at(1)), found)


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
        found = mwp(Whole(), picture, torch.tensor([0]), at(1))
        torch.testing.assert_close(found.flatten(), torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_contrast_may_be_taken_anywhere_below_the_class_unit(at, stride):
    # The released code subtracts just below it and sends the difference down; cf. `by_hand`.
    network = Staged().eval()
    negated = copy.deepcopy(network)
    negated.classifier.weight.data.neg_()
    with torch.no_grad():
        for_it = by_hand(network, images(), CLASSES, 1.0)[stride - 1]
        against = by_hand(negated, images(), CLASSES, 1.0)[stride - 1]
    expected = (for_it - against).sum(1).clamp(min=0)
    found = c_mwp(network, images(), CLASSES, at(stride))
    assert (found > 0).any() and (found == 0).any()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("model", ["cam_multi", "spn_multi"])
@pytest.mark.parametrize("stride", [8, 16])
def test_on_linear_bottlenecks_and_standardised_features_it_is_a_probability_too(
    quick, at, model, stride
):
    torch.manual_seed(0)
    network = registry.find(model).build(Backbone(quick.backbone), 4, quick).eval()
    found = mwp(network, 255 * images(3, 64), CLASSES, at(stride))
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3), rtol=1e-3, atol=1e-3)


def test_of_equal_strides_the_last_stage_is_taken():
    assert stage_of([2, 4, 8, 16, 16], 16) == 4
    assert stage_of([2, 4, 8, 16, 16], 8) == 2


def test_a_stride_that_the_backbone_does_not_have_lists_those_it_has(at):
    with pytest.raises(
        InputError, match=r"saliency.excitation_stride: 16 is none .* strides \[1, 2\]; choose"
    ):
        mwp(Staged().eval(), images(), CLASSES, at(16))


def test_a_stage_that_the_scores_do_not_rest_on_is_refused(at):
    network = Staged().eval()
    network.backbone.network = _Aside(network.backbone.network)
    with pytest.raises(InputError, match="do not rest on the stage of stride 1; choose another"):
        mwp(network, images(), CLASSES, at(1))


class _Aside(nn.Module):
    """Stages the first of which leads nowhere."""

    def __init__(self, stages):
        super().__init__()
        self.stages = stages

    def forward(self, images):
        return [self.stages.first(2 * images), self.stages(images)[1]]


def test_the_network_is_left_as_it_was(at):
    network = Staged().eval()
    backbone, inner, names = network.backbone, network.backbone.network, list(network.state_dict())
    mwp(network, images(), CLASSES, at(2))
    assert network.backbone is backbone and backbone.network is inner
    assert list(network.state_dict()) == names
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
