"""What timm can and cannot give."""

import logging

import pytest
import timm
import torch

from pipeline.errors import InputError
from pipeline.models.networks.timm_network import TimmNetwork
from pipeline.models.weights import layer_name


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_convnext"])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_the_last_map_has_the_stride_that_is_asked_for(name, output_stride):
    maps = TimmNetwork(name).features(output_stride)(torch.zeros(1, 3, 64, 64))
    assert maps[-1].shape[-1] == 64 // output_stride


@pytest.mark.parametrize(
    ("name", "own", "asked"),
    [
        ("test_efficientnet", 32, 12),
        ("test_efficientnet", 32, 64),
        ("vgg11", 32, 16),
        ("test_vit", 16, 8),
    ],
)
def test_a_stride_that_the_network_does_not_have_names_its_own(name, own, asked):
    expected = f"backbone.output_stride: {name} has {own}, not {asked}; set it to {own}"
    with pytest.raises(InputError, match=expected):
        TimmNetwork(name).features(asked)


def test_an_unknown_tag_is_refused_in_one_line():
    expected = r"backbone.name: timm .* test_resnet.new \(RuntimeError: Invalid .*tag.*\)$"
    for build in (
        TimmNetwork("test_resnet.new").classifier,
        lambda: TimmNetwork("test_resnet.new").features(32),
    ):
        with pytest.raises(InputError, match=expected):
            build()


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv2_050", "test_efficientnet"])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_behind_the_last_stage_comes_what_the_classifier_averages(name, output_stride):
    network, generator = TimmNetwork(name), torch.Generator().manual_seed(1)
    image = torch.rand(1, 3, 64, 64, generator=generator)
    features, plain = network.features_and_head(output_stride), network.features(output_stride)
    whole = timm.create_model(name, output_stride=output_stride).eval()
    state = {layer_name(layer): value for layer, value in whole.state_dict().items()}
    for each in (features.eval(), plain.eval()):
        each.load_state_dict({layer: state[layer_name(layer)] for layer in each.state_dict()})
    with torch.no_grad():
        *stages, head = features(image)
        assert all(torch.equal(a, b) for a, b in zip(stages, plain(image), strict=True))
        assert torch.equal(head, whole.forward_features(image))
    info = features.feature_info
    assert [m.shape[1] for m in (*stages, head)] == info.channels()
    assert [64 // m.shape[2] for m in (*stages, head)] == info.reduction()
    assert (head.min() == 0) == (name != "test_efficientnet")  # SiLU there, ReLU6 else


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "ghostnet_100", "test_vit"])
def test_a_network_without_a_head_of_maps_says_so_in_one_line(name):
    told = f"^backbone.last: {name} has no convolution and activation between .* set it to stage$"
    with pytest.raises(InputError, match=told):
        TimmNetwork(name).features_and_head(16)


def test_a_head_at_a_stride_that_the_network_does_not_have_names_its_own():
    with pytest.raises(InputError, match="output_stride: test_efficientnet has 32, not 12; set it"):
        TimmNetwork("test_efficientnet").features_and_head(12)


def test_the_published_weights_are_timms(monkeypatch):
    network = timm.create_model("test_resnet")

    def create(name, pretrained):
        assert (name, pretrained) == ("test_resnet", True)
        return network

    monkeypatch.setattr("timm.create_model", create)
    published = TimmNetwork("test_resnet").published()
    assert all(torch.equal(published[n], value) for n, value in network.state_dict().items())
    assert not logging.getLogger("huggingface_hub.utils").isEnabledFor(logging.WARNING)
