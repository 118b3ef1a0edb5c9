"""CNN-S is the network of the authors' Caffe model, computed here once more from its definition."""

import pytest
import torch
from torch.nn import functional as F

from pipeline.errors import InputError
from pipeline.models.backbones import Normalise
from pipeline.models.networks.cnn_s import CNN_S


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return CNN_S.classifier().eval()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 224, 224), generator=generator, dtype=torch.uint8)


def local_response_normalisation(maps):
    """Caffe's LRN of local_size 5, alpha 0.0005, beta 0.75, k 2, across channels."""
    squares = F.pad(maps.square(), (0, 0, 0, 0, 2, 2))
    channels = maps.shape[1]
    energy = sum(squares[:, shift : shift + channels] for shift in range(5))
    return maps / (2 + 0.0005 / 5 * energy) ** 0.75


def pooled(maps, size, stride):
    """Caffe's max pooling, whose last window may hang over the border."""
    over = -(maps.shape[-1] - size) % stride
    return F.max_pool2d(F.pad(maps, (0, over, 0, over), value=-torch.inf), size, stride)


def defined(state, images):
    """The logits of CNN-S for images (B, 3, 224, 224) in [0, 255]."""

    def convolved(maps, layer, **options):
        return F.conv2d(maps, state[f"{layer}.weight"], state[f"{layer}.bias"], **options).relu()

    def connected(values, layer):
        return F.linear(values, state[f"{layer}.weight"], state[f"{layer}.bias"])

    mean = torch.tensor([123.68, 116.779, 103.939])[:, None, None]
    maps = convolved(images - mean, "conv1", stride=2)
    maps = convolved(pooled(local_response_normalisation(maps), 3, 3), "conv2")
    maps = pooled(maps, 2, 2)
    for layer in ("conv3", "conv4", "conv5"):
        maps = convolved(maps, layer, padding=1)
    flat = pooled(maps, 3, 3).flatten(1)
    return connected(connected(connected(flat, "fc6").relu(), "fc7").relu(), "fc8")


def test_the_classifier_computes_the_published_network(classifier, images):
    with torch.no_grad():
        found = classifier(Normalise(classifier)(images))
        expected = defined(classifier.state_dict(), images.float())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_layers_are_named_as_in_the_caffe_model(classifier):
    layers = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    named = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    assert list(classifier.state_dict()) == named


def test_images_of_other_sizes_are_classified():
    with torch.device("meta"):
        network = CNN_S.classifier(5)
        assert network(torch.empty(2, 3, 192, 192)).shape == (2, 5)


def test_no_hub_has_its_weights():
    with pytest.raises(InputError, match="no hub has weights of cnn_s; set it to file.*RGB order"):
        CNN_S.published()
