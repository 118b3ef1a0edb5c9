"""VGG16 up to conv5_3, without its last pooling (SPN Sec. 4): 14x14 cells at 224."""

from functools import partial

from torch import nn
from torchvision.models import vgg16

from pipeline.models.networks.network import Network, Stage, torchvision_weights


def create(classes: int) -> nn.Module:
    """Return the classifier of Simonyan and Zisserman, ICLR 2015, configuration D."""
    return vgg16(num_classes=classes)


VGG16 = Network(
    name="vgg16",
    create=create,
    dense=vgg16,
    stages=(
        Stage("features.3", 64, 1),
        Stage("features.8", 128, 2),
        Stage("features.15", 256, 4),
        Stage("features.22", 512, 8),
        Stage("features.29", 512, 16),
    ),
    published=partial(torchvision_weights, "vgg16"),
    published_bytes=553_433_881,
)
