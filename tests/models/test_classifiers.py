import pytest
import timm
import torch
from safetensors.torch import load_file

from pipeline.errors import InputError
from pipeline.models.backbones import Normalise
from pipeline.models.classifiers import build, check
from pipeline.models.weights import save_weights
from tests.parameters import changed

NAME = "test_resnet"


@pytest.fixture
def file(tmp_path):
    """The state dict of a classifier of ImageNet's classes, at random."""
    path = tmp_path / "classifier.safetensors"
    torch.manual_seed(3)
    save_weights(timm.create_model(NAME), path)
    return path


@pytest.fixture
def from_file(quick, file):
    return changed(quick, pretrain__source="file", pretrain__file=str(file))


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)


def test_all_but_the_last_layer_starts_from_the_given_weights(from_file, file, images):
    network, stored = build(NAME, 7, from_file), load_file(file)
    learnt = network.backbone.state_dict()
    assert {"fc.weight", "fc.bias"} == stored.keys() - learnt.keys()
    assert all(torch.equal(value, stored[name]) for name, value in learnt.items())
    assert network(images).shape == (2, 7)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext", "test_vit"])
def test_classifiers_of_other_kinds_get_a_new_last_layer(quick, images, name):
    network = build(name, 7, changed(quick, pretrain__source="scratch"))
    assert network(images).shape == (2, 7)
    network(images).sum().backward()
    assert network.head.weight.grad.any()


def test_a_published_classifier_keeps_its_own_last_layer(from_file, file, images):
    network = build(NAME, 1000, changed(from_file, ranking__fine_tune=False)).eval()
    published = timm.create_model(NAME)
    published.load_state_dict(load_file(file))
    with torch.no_grad():
        expected = published.eval()(Normalise(published)(images))
        torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize(("classes", "source"), [(7, "file"), (1000, "scratch")])
def test_without_fine_tuning_classes_and_weights_must_be_those_of_imagenet(
    from_file, classes, source
):
    params = changed(from_file, ranking__fine_tune=False, pretrain__source=source)
    message = f"fine_tune: false needs the 1000 classes .*got {classes} classes, .* {source}"
    with pytest.raises(InputError, match=message):
        build(NAME, classes, params)


def test_all_classifiers_that_cannot_be_had_are_told_in_one_error(from_file):
    with pytest.raises(InputError) as caught:
        check([NAME, "resnet5000", "vgg16", "test_efficientnet"], 3, from_file)
    head, *lines = str(caught.value).splitlines()
    assert head == "ranking.classifiers:"
    assert [line.split(":")[0].strip() for line in lines] == [
        "resnet5000",
        "vgg16",
        "test_efficientnet",
    ]
    assert "no model of timm" in lines[0]
    assert "vgg16.tv_in1k" in lines[1]
    assert "not the ImageNet weights of test_efficientnet" in lines[2]


def test_a_source_that_lacks_the_classifier_is_told(quick):
    with pytest.raises(InputError, match="dpn92: pretrain.source: the packages serve"):
        check(["dpn92"], 3, changed(quick, pretrain__source="package"))


def test_a_classifier_of_another_input_size_is_told(quick):
    scratch = changed(quick, pretrain__source="scratch")
    with pytest.raises(InputError, match="vit_tiny_patch16_224: it takes no images of input.size"):
        check(["vit_tiny_patch16_224"], 3, scratch)


def test_no_classifiers_need_no_source(quick):
    check([], 3, changed(quick, pretrain__source="file", pretrain__file="gone"))
