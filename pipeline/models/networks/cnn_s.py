"""CNN-S (Chatfield et al., BMVC 2014), up to conv5: 17x17 cells at 224.

Layers and their names are those of the authors' Caffe model VGG_CNN_S (described at gist
ksimonyan/fd8800eeb36e276cd6f9), whose weights are for BGR images and for non-commercial use.
"""

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.models.networks.network import IMAGENET_CLASSES, Network, Stage


def create(classes: int = IMAGENET_CLASSES) -> nn.Module:
    """Return the classifier; pool5 gives 6x6 at 224, other sizes are averaged to it."""
    return nn.Sequential(OrderedDict(_convolutions() | _fully_connected(classes)))


def _convolutions() -> dict[str, nn.Module]:
    """conv1 to pool5. Caffe rounds the sides of pooled maps up; k, n, alpha, beta as it says."""
    return {
        "conv1": nn.Conv2d(3, 96, 7, stride=2),
        "relu1": nn.ReLU(),
        "norm1": nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),
        "pool1": nn.MaxPool2d(3, stride=3, ceil_mode=True),
        "conv2": nn.Conv2d(96, 256, 5),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2, stride=2, ceil_mode=True),
        "conv3": nn.Conv2d(256, 512, 3, padding=1),
        "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(512, 512, 3, padding=1),
        "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(512, 512, 3, padding=1),
        "relu5": nn.ReLU(),
        "pool5": nn.MaxPool2d(3, stride=3, ceil_mode=True),
    }


def _fully_connected(classes: int) -> dict[str, nn.Module]:
    return {
        "resize": nn.AdaptiveAvgPool2d(6),
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(512 * 6 * 6, 4096),
        "relu6": nn.ReLU(),
        "drop6": nn.Dropout(),
        "fc7": nn.Linear(4096, 4096),
        "relu7": nn.ReLU(),
        "drop7": nn.Dropout(),
        "fc8": nn.Linear(4096, classes),
    }


def published() -> Mapping[str, Tensor]:
    """Raise InputError: the weights exist as a Caffe model only, which nothing here can read."""
    raise InputError(
        "pretrain.source: no hub has weights of cnn_s; set it to file, and pretrain.file to a "
        "state dict with weight and bias of conv1 to conv5, fc6, fc7 and fc8, converted from the "
        "authors' Caffe model VGG_CNN_S (gist ksimonyan/fd8800eeb36e276cd6f9), the input channels "
        "of conv1.weight in RGB order (there BGR)"
    )


CNN_S = Network(
    name="cnn_s",
    create=create,
    dense=create,
    stages=(
        Stage("relu1", 96, 2),
        Stage("relu2", 256, 6),
        Stage("relu5", 512, 12),
    ),
    published=published,
    # The Caffe model wants images in [0, 255] less the training set's mean colour.
    mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
)
