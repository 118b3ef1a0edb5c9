"""What holds of every method on every kind of network."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.saliency.methods import METHODS, saliency_maps
from tests.parameters import changed

TARGETS = [[0, 2], [], [1], [2, 1, 0]]


class Features(nn.Module):
    """A `backbone` of two stages, of strides 2 and 4."""

    strides = [2, 4]

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images / 255 - 0.4)


class Headed(nn.Module):
    def __init__(self, network, channels):
        super().__init__()
        self.backbone = Features(network)
        self.dropout, self.classifier = nn.Dropout(0.5), nn.Linear(channels, 3)

    def forward(self, images):
        return self.classifier(self.dropout(self.backbone(images)[-1].mean((2, 3))))


class Inception(nn.Module):
    """Like GoogLeNet: activations are functions, branches are joined by concatenation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.narrow, self.wide = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 3, padding=1)

    def forward(self, x):
        stem = F.relu(self.stem(x), inplace=True)
        pooled = F.max_pool2d(F.local_response_norm(stem, 3), 2)
        narrow, wide = torch.relu(self.narrow(pooled)), F.relu(self.wide(pooled))
        return [stem, torch.cat([narrow, wide], 1)]


class Residual(nn.Module):
    """Like a residual network, with batch normalisation; what can be done in place is, or not."""

    def __init__(self, in_place):
        super().__init__()
        self.in_place = in_place
        self.stem, self.down = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.Conv2d(8, 8, 3, 2, 1)
        self.inner, self.outer = (nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(2))
        self.stem_norm, self.outer_norm = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.relu = nn.ReLU(in_place)

    def forward(self, x):
        stem = self.relu(self.stem_norm(self.stem(x)))
        x = self.down(stem)
        x = torch.relu_(x) if self.in_place else torch.relu(x)
        y = self.outer_norm(self.outer(self.relu(self.inner(x))))
        if self.in_place:
            y += x
        else:
            y = y + x
        return [stem, self.relu(y)]


def residual(in_place):
    torch.manual_seed(0)
    network = Headed(Residual(in_place), 8)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.05, 0.1)
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.uniform_(module.bias, -0.1, 0.3)
    return network


@pytest.fixture(params=["cam_multi", "spn_multi", "spg_plain", "inception", "residual"])
def network(request, quick):
    torch.manual_seed(0)
    if request.param == "inception":
        return Headed(Inception(), 8)
    if request.param == "residual":
        return residual(in_place=True)
    return registry.find(request.param, quick).load().network(Backbone(quick.backbone), 3, quick)


@pytest.fixture
def saliency(quick):
    """Excitation backpropagation ends at the last stage, which every one of them has."""
    return quick.saliency


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)


def assert_same(found, expected):
    """Maps agree to rounding, measured by their largest value: in LRP large terms cancel.

    So they do in c-MWP, whose maps are the difference of two of sum 1.
    """
    largest = max(each.abs().max().item() for each in expected if each.numel())
    tolerance = max(1e-4 * largest, 1e-7)
    for maps, others in zip(found, expected, strict=True):
        torch.testing.assert_close(maps, others, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_gives_the_maps_of_its_images_and_classes_one_by_one(
    network, images, saliency, method
):
    found = saliency_maps(network, images, TARGETS, method, saliency)
    assert [len(maps) for maps in found] == [2, 0, 1, 3]
    assert all(maps.dtype == torch.float32 and maps.isfinite().all() for maps in found)
    alone = [
        saliency_maps(network, images[row : row + 1], [[label]], method, saliency)[0]
        for row, classes in enumerate(TARGETS)
        for label in classes
    ]
    assert any(each.abs().max() > 0 for each in alone)
    assert_same(torch.cat(found).split(1), alone)


@pytest.mark.parametrize("method", METHODS)
def test_classes_have_maps_of_their_own(network, images, saliency, method):
    maps = torch.stack(saliency_maps(network, images, [[0, 1, 2]] * 4, method, saliency), 1)
    # Random weights leave some maps without a positive value, and so empty, but not of all classes.
    assert not torch.allclose(maps, maps.roll(1, 0), rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_where_no_class_is_asked_there_are_no_maps(images, saliency, method):
    network = residual(in_place=True)
    found = saliency_maps(network, images, [[]] * 4, method, saliency)
    assert [len(maps) for maps in found] == [0] * 4
    assert saliency_maps(network, images[:0], [], method, saliency) == []


@pytest.mark.parametrize("method", METHODS)
def test_layers_in_place_make_no_difference(images, saliency, method):
    found, expected = (
        saliency_maps(residual(in_place), images, TARGETS, method, saliency)
        for in_place in (True, False)
    )
    assert_same(found, expected)


@pytest.mark.parametrize("method", METHODS)
def test_callers_without_gradients_and_pixels_as_floats_make_no_difference(
    images, saliency, method
):
    network = residual(in_place=True)
    expected = saliency_maps(network, images, TARGETS, method, saliency)
    pixels = images.float()
    with torch.no_grad():
        found = saliency_maps(network, pixels, TARGETS, method, saliency)
        assert not torch.is_grad_enabled()
    assert_same(found, expected)
    assert torch.equal(pixels, images.float()) and not pixels.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_a_network_none_of_whose_parameters_learns_has_the_same_maps(images, saliency, method):
    network = residual(in_place=True)
    expected = saliency_maps(network, images, TARGETS, method, saliency)
    network.requires_grad_(False)
    assert_same(saliency_maps(network, images, TARGETS, method, saliency), expected)


def hooks(module):
    return [name for name, value in vars(module).items() if name.endswith("_hooks") and value]


def state(network):
    """All that a method might leave behind in a network."""
    return {
        "modules": [(name, module.training, *hooks(module), *sorted(vars(module)))
                    for name, module in network.named_modules()],
        "parameters": [(name, id(each), each._version, each.requires_grad, each.grad)
                       for name, each in network.named_parameters()],
        "buffers": [(name, id(each), each._version) for name, each in network.named_buffers()],
    }  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_a_network_in_training_has_the_same_maps_and_is_left_as_it_was(
    network, images, saliency, method
):
    expected = saliency_maps(network.eval(), images, TARGETS, method, saliency)
    network.train()
    network.dropout = nn.Dropout(0.5).eval()
    next(network.parameters()).requires_grad_(False)
    before = state(network)
    found = saliency_maps(network, images, TARGETS, method, saliency)
    assert state(network) == before
    assert_same(found, expected)
    assert {training for _, training, *_ in before["modules"]} == {True, False}


def slopes_of_torch_functions():
    """Slopes that each of the backward passes would change."""
    x = torch.tensor([[-2.0, -1.0, 1.0, 8.0]], requires_grad=True)
    weight = torch.tensor([[1.0, -2.0, 3.0, 0.5]])
    values = [F.relu(x), F.relu6(x), torch.sigmoid(x), F.linear(x, weight, torch.ones(1)), x.mean()]
    values += [x + weight, torch.cat([torch.relu(x), x])]
    return [torch.autograd.grad(-each.sum(), x)[0].tolist() for each in values]


class Broken(nn.Module):
    def forward(self, x):
        raise KeyError("halfway")


@pytest.mark.parametrize("method", METHODS)
def test_after_an_error_inside_all_is_as_it_was(network, images, saliency, method):
    expected = slopes_of_torch_functions()
    last = [name for name, each in network.named_modules() if isinstance(each, nn.Linear)]
    network.set_submodule(last[0] if last else "a4", Broken())
    network.train()
    before = state(network)
    with pytest.raises(KeyError, match="halfway"):
        saliency_maps(network, images, TARGETS, method, saliency)
    assert state(network) == before
    assert slopes_of_torch_functions() == expected


@pytest.mark.parametrize("method", ["mwp", "c_mwp"])
def test_the_layer_sets_the_size_of_the_map(quick, images, method):
    network = registry.find("cam_multi", quick).load().network(Backbone(quick.backbone), 3, quick)
    strides = {"bn1": 2, "blocks.0": 2, "blocks.1": 4, "blocks.2.0": 8, "": 16}
    for name, stride in strides.items():
        params = changed(quick, saliency__excitation_layer=name).saliency
        (maps,) = saliency_maps(network, images[:1], [[0]], method, params)
        assert maps.shape == (1, 32 // stride, 32 // stride)
