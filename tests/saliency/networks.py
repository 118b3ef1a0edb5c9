"""Networks small enough to follow by hand, and some that are not."""

import torch
from torch import nn
from torch.nn import functional as F


def layer(module, weight, bias=None):
    """Give a convolution or linear layer these weights, of any shape that fits."""
    with torch.no_grad():
        module.weight.copy_(
            torch.as_tensor(weight, dtype=torch.float32).reshape(module.weight.shape)
        )
        if bias is not None:
            module.bias.copy_(torch.as_tensor(bias, dtype=torch.float32))
    return module


def two_units(activation, first, second, out):
    """S = out[0] f(first x) + out[1] f(second x) of an image with one pixel x of one colour."""
    hidden = layer(nn.Conv2d(1, 2, 1, bias=False), [first, second])
    return nn.Sequential(
        hidden, activation, nn.Flatten(), layer(nn.Linear(2, 1, bias=False), out)
    ).eval()


def pixel(x):
    return torch.full((1, 1, 1, 1), float(x))


class Functional(nn.Module):
    """The same as `modules()` with functions instead of modules of activation."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        for module in self.network:
            images = F.relu(images, inplace=True) if isinstance(module, nn.ReLU) else module(images)
        return images


def modules(activation=nn.ReLU, bias=True, seed=0):
    """A network of modules alone, which Captum can follow: 3 x 12 x 12 -> 4 classes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=bias),
        activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, bias=bias),
        activation(),
        nn.Flatten(),
        nn.Linear(128, 10, bias=bias),
        activation(),
        nn.Linear(10, 4, bias=bias),
    ).eval()


def images(count=3, size=12, channels=3, seed=1):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


class Stages(nn.Module):
    """Features of two stages, of strides 1 and 2."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(5, 6, 3, padding=1), nn.ReLU())

    def forward(self, images):
        first = self.first(images)
        return [first, self.second(first)]


class Backbone(nn.Module):
    def __init__(self, network, strides):
        super().__init__()
        self.network, self.strides = network, strides

    def forward(self, images):
        return self.network(images)


class Staged(nn.Module):
    """ReLU network with a `backbone`, as all of ours have one."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = Backbone(Stages(), [1, 2])
        self.convolution = nn.Conv2d(6, 7, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(7, 4)

    def forward(self, images):
        features = torch.relu(self.convolution(self.backbone(images)[-1]))
        return self.classifier(self.dropout(features.mean((2, 3))))
