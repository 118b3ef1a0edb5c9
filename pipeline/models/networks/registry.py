"""The networks that features come from, by name: a new one is a file and a line here."""

import timm

from pipeline.errors import InputError
from pipeline.models.networks.alexnet import ALEXNET
from pipeline.models.networks.cnn_s import CNN_S
from pipeline.models.networks.googlenet import GOOGLENET, GOOGLENET_GAP
from pipeline.models.networks.inception_v3 import INCEPTION_V3
from pipeline.models.networks.network import Network
from pipeline.models.networks.squeezenet import SQUEEZENET1_1
from pipeline.models.networks.timm_network import TimmNetwork
from pipeline.models.networks.vgg16 import VGG16

NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (CNN_S, ALEXNET, VGG16, GOOGLENET, GOOGLENET_GAP, INCEPTION_V3, SQUEEZENET1_1)
}


def find(name: str) -> Network | TimmNetwork:
    """Return the network `name`: one of `NETWORKS`, else timm's; InputError if there is none."""
    if name in NETWORKS:
        return NETWORKS[name]
    if not timm.is_model(name):
        raise InputError(
            f"backbone.name: {name!r} is none of {', '.join(NETWORKS)}, and no model of timm; "
            "see timm.list_models()"
        )
    return TimmNetwork(name)
