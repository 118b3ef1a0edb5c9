"""AlexNet (Krizhevsky, 2014, the variant of torchvision): 13x13 cells at 224."""

from functools import partial

from torchvision.models import AlexNet

from pipeline.models.networks.network import Network, Stage, torchvision_weights

ALEXNET = Network(
    name="alexnet",
    create=AlexNet,
    dense=AlexNet,
    stages=(
        Stage("features.1", 64, 4),
        Stage("features.4", 192, 8),
        Stage("features.11", 256, 16),
    ),
    published=partial(torchvision_weights, "alexnet"),
    published_bytes=244_408_911,
)
