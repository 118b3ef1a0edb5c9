"""Names of networks: ours come before timm's, anything else is refused."""

import pytest

from pipeline.errors import InputError
from pipeline.models.networks.registry import NETWORKS, find
from pipeline.models.networks.timm_network import TimmNetwork


@pytest.mark.parametrize("name", ["vgg16", "inception_v3", "squeezenet1_1"])
def test_ours_come_before_timms_of_the_same_name(name):
    assert find(name) is NETWORKS[name]


@pytest.mark.parametrize("name", ["resnet50", "resnet50.a1_in1k", "tf_efficientnet_lite0"])
def test_other_names_are_timms(name):
    assert find(name) == TimmNetwork(name)


def test_an_unknown_name_lists_ours():
    with pytest.raises(
        InputError, match="'resnet5000' is none of cnn_s, alexnet.*no model of timm"
    ):
        find("resnet5000")
