"""Networks of our own list have the layers, maps, weights and inputs that were published."""

import pytest
import torch
import torchvision.models
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torchvision.models import get_model_weights
from torchvision.transforms.functional import normalize, pil_to_tensor, to_pil_image

from pipeline.errors import InputError
from pipeline.models.backbones import Normalise
from pipeline.models.networks.registry import NETWORKS, find
from pipeline.models.pretrained import best_classes
from pipeline.models.weights import layer_name, load_state

# Name: parameters of the classifier (without auxiliary heads) and of the features; maps at 224.
FACTS = {
    "cnn_s": (102_908_520, 6_528_640, [(96, 109), (256, 33), (512, 17)]),
    "alexnet": (61_100_840, 2_469_696, [(64, 55), (192, 27), (256, 13)]),
    "vgg16": (138_357_544, 14_714_688, [(64, 224), (128, 112), (256, 56), (512, 28), (512, 14)]),
    "googlenet": (6_624_904, 5_599_904, [(64, 112), (192, 56), (480, 28), (832, 14), (1024, 7)]),
    "googlenet_gap": (6_624_904, 3_273_920, [(64, 112), (192, 56), (480, 28), (832, 14)]),
    "inception_v3": (
        23_834_568,
        8_965_856,
        [(64, 110), (192, 54), (288, 28), (768, 28), (768, 28)],
    ),
    "squeezenet1_1": (
        1_235_496,
        722_496,
        [(64, 111), (128, 55), (256, 27), (384, 13), (512, 13)],
    ),
}
AUXILIARY = {"inception_v3": 3_326_696}
TORCHVISION = ("alexnet", "vgg16", "googlenet", "inception_v3", "squeezenet1_1")


@pytest.fixture(scope="module", params=FACTS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def classifier(name):
    torch.manual_seed(0)
    return find(name).classifier().eval()


@pytest.fixture(scope="module")
def features(name, classifier):
    """The features of `name` with the weights of `classifier`."""
    network = find(name).features(NETWORKS[name].stages[-1].stride).eval()
    weights = {layer_name(layer): value for layer, value in classifier.state_dict().items()}
    state = {layer: weights[layer_name(layer)] for layer in network.state_dict()}
    load_state(network, state, name)
    return network


@pytest.fixture(scope="module")
def picture():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 3, 224, 224, generator=generator)


@pytest.fixture(scope="module")
def photograph():
    """An RGB image that is larger than every network's input, and not square."""
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 256, (3, 30, 40), generator=generator, dtype=torch.uint8)
    return to_pil_image(coarse).resize((500, 400), Image.Resampling.BICUBIC)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_every_network_has_its_facts_here():
    assert list(FACTS) == list(NETWORKS)


def test_networks_have_the_published_numbers_of_parameters(name, classifier, features):
    assert count(classifier) == FACTS[name][0]
    assert count(features) == FACTS[name][1]


def test_maps_at_224_have_the_channels_and_sides_of_the_papers(name, features, picture):
    maps = features(picture)
    assert [(m.shape[1], m.shape[2]) for m in maps] == FACTS[name][2]
    assert all(m.shape[2] == m.shape[3] for m in maps)
    info = features.feature_info
    assert info.channels() == [m.shape[1] for m in maps]
    for features_map, stride in zip(maps, info.reduction(), strict=True):
        assert 224 / stride == pytest.approx(features_map.shape[2], abs=4.5)


def test_maps_are_taken_after_the_relu(features, picture):
    for features_map in features(picture):
        assert features_map.min() == 0
        assert features_map.max() > 0


@pytest.mark.parametrize("name", [n for n in FACTS if n != "inception_v3"], indirect=True)
def test_maps_are_those_inside_the_classifier(name, classifier, features, picture):
    inside = []
    for stage in NETWORKS[name].stages:
        layer = classifier.get_submodule(stage.last)
        layer.register_forward_hook(lambda _, __, output: inside.append(output.clone()))
    with torch.no_grad():
        classifier(picture)
        ours = features(picture)
    for expected, found in zip(inside, ours, strict=True):
        assert torch.equal(found, expected)


def test_the_output_stride_is_fixed(name):
    own = NETWORKS[name].stages[-1].stride
    with pytest.raises(InputError, match=rf"output_stride: {name} has {own} and no other \(got 24"):
        find(name).features(24)


def test_there_is_no_head_to_go_on_to(name):
    told = f"^backbone.last: {name} has no convolution and activation between .* set it to stage$"
    with pytest.raises(InputError, match=told):
        find(name).features_and_head(NETWORKS[name].stages[-1].stride)


def test_a_classifier_of_other_classes_scores_them(name):
    with torch.device("meta"):
        network = find(name).classifier(7).eval()
        assert network(torch.empty(1, 3, 224, 224)).shape == (1, 7)


def test_a_photograph_is_classified_at_the_networks_own_size(classifier, photograph):
    best = best_classes(classifier, photograph)
    assert len(set(best)) == 5
    assert all(0 <= c < 1000 for c in best)


@pytest.mark.parametrize("name", TORCHVISION)
def test_layers_are_named_as_in_torchvisions_weights(name):
    heads = {"aux_logits": True, "init_weights": False} if NETWORKS[name].auxiliary else {}
    with torch.device("meta"):
        published = getattr(torchvision.models, name)(**heads)
        ours = find(name).classifier().state_dict()
    theirs = {
        layer: value
        for layer, value in published.state_dict().items()
        if layer.split(".")[0] not in NETWORKS[name].auxiliary
    }
    assert {n: v.shape for n, v in ours.items()} == {n: v.shape for n, v in theirs.items()}
    stated = get_model_weights(name).DEFAULT.meta["num_params"]
    assert stated == FACTS[name][0] + AUXILIARY.get(name, 0)


@pytest.mark.parametrize("name", TORCHVISION)
def test_images_are_prepared_as_torchvision_does(name, photograph):
    expected = get_model_weights(name).DEFAULT.transforms()(photograph)
    if NETWORKS[name].auxiliary:  # the two that torchvision loads with transform_input
        expected = expected * torch.tensor([0.229, 0.224, 0.225])[:, None, None] / 0.5
        expected += (torch.tensor([0.485, 0.456, 0.406])[:, None, None] - 0.5) / 0.5
    with torch.device("meta"):
        classifier = find(name).classifier()
    found = create_transform(**resolve_data_config(classifier.pretrained_cfg))(photograph)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_bytes_become_what_the_network_was_trained_on(classifier, photograph):
    pixels = pil_to_tensor(photograph)
    config = classifier.pretrained_cfg
    expected = normalize(pixels / 255, config["mean"], config["std"])
    found = Normalise(classifier)(pixels[None])[0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_size_of_the_published_file_is_that_of_torchvision(name):
    mebibytes = get_model_weights(name).DEFAULT.meta["_file_size"]
    assert NETWORKS[name].published_bytes == pytest.approx(mebibytes * 2**20, rel=1e-4)
