"""What timm can and cannot give."""

import logging

import pytest
import timm
import torch

from pipeline.errors import InputError
from pipeline.models.networks.timm_network import TimmNetwork


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


def test_the_published_weights_are_timms(monkeypatch):
    network = timm.create_model("test_resnet")

    def create(name, pretrained):
        assert (name, pretrained) == ("test_resnet", True)
        return network

    monkeypatch.setattr("timm.create_model", create)
    published = TimmNetwork("test_resnet").published()
    assert all(torch.equal(published[n], value) for n, value in network.state_dict().items())
    assert not logging.getLogger("huggingface_hub.utils").isEnabledFor(logging.WARNING)
