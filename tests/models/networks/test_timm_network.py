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


@pytest.mark.parametrize(("output_stride", "given"), [(12, 8), (64, 32)])
def test_a_stride_that_the_network_does_not_have_is_refused(output_stride, given):
    expected = f"output_stride: test_efficientnet gives {given}, not {output_stride}"
    with pytest.raises(InputError, match=expected):
        TimmNetwork("test_efficientnet").features(output_stride)


@pytest.mark.parametrize("name", ["vgg11", "test_vit", "test_resnet.unknown_tag"])
def test_features_that_timm_cannot_give_name_the_network_and_stride(name):
    with pytest.raises(InputError, match=f"features of '{name}' at output stride 16"):
        TimmNetwork(name).features(16)


def test_an_unknown_tag_of_a_classifier_is_refused():
    with pytest.raises(InputError, match="backbone.name: 'test_resnet.new': .*tag"):
        TimmNetwork("test_resnet.new").classifier()


def test_the_published_weights_are_timms(monkeypatch):
    network = timm.create_model("test_resnet")

    def create(name, pretrained):
        assert (name, pretrained) == ("test_resnet", True)
        return network

    monkeypatch.setattr("timm.create_model", create)
    published = TimmNetwork("test_resnet").published()
    assert all(torch.equal(published[n], value) for n, value in network.state_dict().items())
    assert not logging.getLogger("huggingface_hub.utils").isEnabledFor(logging.WARNING)
