import pytest
import torch
from captum.attr import LRP
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule
from torch import nn
from torch.nn import functional as F

from pipeline.saliency.lrp import lrp, relevance
from tests.saliency.networks import Functional, images, layer, modules

CLASSES = torch.tensor([2, 0, 3])
FIRST = torch.tensor([0])


def row(activation=None, weights=(2, -1, 1), bias=None, out=(1,)):
    """One unit on three pixels in a row, an activation, one class."""
    unit = layer(nn.Conv2d(1, 1, (1, 3), bias=bias is not None), weights, bias)
    last = layer(nn.Linear(1, 1, bias=False), out)
    return nn.Sequential(unit, activation or nn.ReLU(), nn.Flatten(), last).eval()


def found(network, pixels=(1.0, 2.0, 3.0)):
    return lrp(network, torch.tensor(pixels).reshape(1, 1, 1, -1), FIRST, None).flatten().tolist()


def test_agreeing_contributions_share_twice_the_relevance_and_the_others_lose_it_once():
    # Contributions 2, -2, 3: S = 3. The class unit has one, which agrees: the unit gets R = 6.
    # Then 2 * 6 * (2/5, 3/5), and -1 * 6 * (-2/-2).
    assert found(row()) == pytest.approx([4.8, -6, 7.2])


def test_the_bias_keeps_its_share():
    # S = 4 and R = 8; z+ = 2 + 3 + 1.
    assert found(row(bias=[1])) == pytest.approx([2 * 8 * 2 / 6, -8, 2 * 8 * 3 / 6])
    # S = 2 and R = 4; z- = -2 - 1.
    assert found(row(bias=[-1])) == pytest.approx([2 * 4 * 2 / 5, -4 * 2 / 3, 2 * 4 * 3 / 5])


def test_pixels_below_zero_contribute_with_their_sign():
    assert found(row(weights=(-2, 1, 1)), (-1.0, -2.0, 3.0)) == pytest.approx([4.8, -6, 7.2])


def test_in_a_unit_of_negative_value_the_negative_contributions_agree():
    # Without activation y = -3, and the class says -1 * y = 3: it agrees twice, R = 6.
    network = row(nn.Identity(), weights=(-2, 1, -1), out=(-1,))
    assert found(network) == pytest.approx([4.8, -6, 7.2])


def test_evidence_for_a_class_is_positive_when_its_score_is_negative_too():
    # S = -5 + 2 = -3: pixel 1 speaks for the class.
    weights = torch.tensor([-2.0, 1.0, -1.0])
    network = nn.Sequential(layer(nn.Conv2d(1, 1, (1, 3), bias=False), weights), nn.Flatten())
    values = found(network)
    assert values[1] > 0 > max(values[0], values[2])
    assert sum(values) == pytest.approx(-3)


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.Hardtanh(0, 2, inplace=True), nn.SiLU()])
def test_an_activation_passes_relevance_on_wherever_it_bends(activation):
    network = row(activation)
    score = float(network(torch.tensor([[[[1.0, 2.0, 3.0]]]])))
    assert found(network) == pytest.approx([share * score / 3 for share in (4.8, -6, 7.2)])


def test_captum_finds_the_same_by_alpha_1_beta_0():
    network = modules(bias=False)
    labels = network(images()).argmax(1)
    for module in network:
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.rule = Alpha1_Beta0_Rule()
        elif isinstance(module, nn.Flatten):
            module.rule = EpsilonRule()
    expected = LRP(network).attribute(images(), labels).sum(1)
    network = Functional(modules(bias=False))
    torch.testing.assert_close(relevance(network, images(), labels, 1.0), expected)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_without_biases_relevance_is_conserved(alpha):
    # Many inputs each: every unit has contributions of both signs.
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 4, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4, bias=False)
    )
    pictures = torch.randn(5, 3, 4, 4)
    labels = torch.arange(5) % 4
    total = relevance(network, pictures, labels, alpha).sum((1, 2))
    torch.testing.assert_close(total, network(pictures)[torch.arange(5), labels])


def normalised(affine, bias):
    """A convolution and a batch normalisation, and one convolution that is both."""
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 6, 3, bias=bias), nn.BatchNorm2d(6, eps=0.3, affine=affine)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    scale, shift = (norm.running_var + norm.eps).rsqrt(), torch.zeros(6)
    if affine:
        norm.weight.data.normal_()
        norm.bias.data.normal_()
        scale, shift = scale * norm.weight, norm.bias
    own = conv.bias if bias else 0
    both = layer(
        nn.Conv2d(3, 6, 3),
        conv.weight * scale[:, None, None, None],
        shift + scale * (own - norm.running_mean),
    )
    head = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(600, 4))
    return nn.Sequential(conv, norm, head).eval(), nn.Sequential(both, head).eval()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_batch_normalisation_after_a_convolution_is_one_layer_with_it(affine, bias):
    two, one = normalised(affine, bias)
    torch.testing.assert_close(
        lrp(two, images(), CLASSES, None), lrp(one, images(), CLASSES, None), rtol=1e-4, atol=1e-5
    )


def test_batch_normalisation_alone_leaves_relevance_where_it_is():
    class Standardised(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, images):
            features = torch.relu(self.network[0](images))
            ones = torch.ones(1)
            features = F.batch_norm(features, 2 * ones, 4 * ones, eps=0)
            return self.network[3](features.flatten(1))

    # y = (3 - 2) / 2: S = 0.5.
    assert found(Standardised(row())) == pytest.approx([x / 6 for x in (4.8, -6, 7.2)])


def test_terms_of_a_sum_share_by_what_agrees_with_it():
    class Residual(nn.Module):
        def __init__(self, in_place):
            super().__init__()
            self.in_place = in_place
            self.one = layer(nn.Conv2d(1, 1, 1, bias=False), [1])

        def forward(self, images):
            left, right = self.one(images[..., :1]), self.one(images[..., 1:])
            if self.in_place:
                left += right
            else:
                left = left + right
            return left.flatten(1)

    for in_place in (True, False):
        network = Residual(in_place)
        image = torch.tensor([[[[5.0, -2.0]]]])
        with torch.no_grad():
            assert network(image).item() == 3
        # Only the first term agrees; each convolution has one contribution, which is doubled.
        # The image is what the first convolution got: the left pixel.
        assert lrp(network, image, FIRST, None).flatten().tolist() == pytest.approx([6])


@pytest.mark.parametrize(
    "average",
    [
        lambda x: x.mean((2, 3)),
        lambda x: torch.mean(x, dim=(2, 3)),
        lambda x: x.sum((2, 3)) / 2,
        lambda x: torch.sum(x, dim=(2, 3)) / 2,
        lambda x: F.avg_pool2d(x, (1, 2)).flatten(1),
        lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
    ],
)
def test_cells_of_an_average_share_by_what_agrees_with_it(average):
    class Averaged(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = layer(nn.Conv2d(1, 1, 1, bias=False), [1])

        def forward(self, images):
            return average(self.one(images))

    # S = (5 - 2) / 2; the one contribution of the convolution is doubled.
    assert found(Averaged(), (5.0, -2.0)) == pytest.approx([3, 0])


def test_local_response_normalisation_passes_relevance_on():
    normalise = nn.LocalResponseNorm(1, alpha=1.0, beta=0.5, k=7.0)
    network = row(nn.Sequential(nn.ReLU(), normalise))
    score = 3 / (7 + 9) ** 0.5
    assert found(network) == pytest.approx([share * score / 3 for share in (4.8, -6, 7.2)])


def test_a_gate_is_a_constant_factor():
    class Gated(nn.Module):
        def __init__(self, gate):
            super().__init__()
            self.network, self.gate = row(), gate

        def forward(self, images):
            features = torch.relu(self.network[0](images))
            return self.network[3]((features * self.gate(features)).flatten(1))

    for gate in (torch.sigmoid, F.hardsigmoid, lambda x: x.sigmoid()):
        factor = float(gate(torch.tensor(3.0)))
        assert found(Gated(gate)) == pytest.approx([factor * x for x in (4.8, -6, 7.2)])


def test_padding_is_no_part_of_the_map():
    # Pixels 1, 2 and a 0 that is padded: contributions 2, -2, 0, and S = 0 without the bias 3.
    network = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 0)), row(bias=[3]))
    assert found(network, (1.0, 2.0)) == pytest.approx([2 * 6 * 2 / 5, -6])


def test_relevance_refers_to_the_normalised_image():
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = row()

        def forward(self, images):
            return self.network((images - 10) / 2)

    assert found(Normalised(), (12.0, 14.0, 16.0)) == pytest.approx([4.8, -6, 7.2])
