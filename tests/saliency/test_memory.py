"""Memory does not grow with the number of images or of classes."""

import gc

import pytest
import torch
from torch import nn

from pipeline.saliency.methods import METHODS, saliency_maps

BATCH = 20


class Stages(nn.Sequential):
    def forward(self, images):
        return [super().forward(images)]


class Backbone(nn.Module):
    strides = [2]

    def __init__(self):
        super().__init__()
        layers = nn.Conv2d(3, 4, 2, 2, bias=False), nn.BatchNorm2d(4), nn.ReLU6(inplace=True)
        self.network = Stages(*layers)

    def forward(self, images):
        return self.network(images)


class Network(nn.Module):
    """Has all that methods put in another place: layers, sums, averages and activations."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = Backbone()
        self.classifier = nn.Linear(4, 30)
        self.batches = []

    def forward(self, images):
        self.batches.append(len(images))
        features = self.backbone(images)[-1]
        return self.classifier((features + torch.cat([features], 1)).mean((2, 3)))


@pytest.fixture
def saliency(params):
    return params.saliency.model_copy(update={"excitation_layer": "", "feedback_iterations": 2})


@pytest.fixture
def no_collection():
    """Tensors in cycles would wait for the collector, and a GPU is full before it comes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tensors():
    return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())


@pytest.mark.parametrize("method", METHODS)
def test_a_thousand_images_leave_as_many_tensors_as_a_hundred(saliency, no_collection, method):
    network, images = Network(), torch.rand(BATCH, 3, 4, 4)
    found = {}
    for number in range(BATCH, 1001, BATCH):
        maps = saliency_maps(network, images, [[number % 30]] * BATCH, method, saliency)
        if number in (100, 1000):
            found[number] = tensors()
    assert len(maps) == BATCH
    assert found[1000] == found[100]


@pytest.mark.parametrize("method", METHODS)
def test_a_pass_has_a_fourth_of_the_batch_whatever_the_number_of_classes(saliency, method):
    network, images = Network(), torch.rand(8, 3, 4, 4)
    found = saliency_maps(network, images, [range(30), [4], *[[]] * 6], method, saliency)
    assert [len(maps) for maps in found] == [30, 1, 0, 0, 0, 0, 0, 0]
    assert set(network.batches) == {2, 1}  # 31 maps
