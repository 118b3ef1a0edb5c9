"""First weights: from the package, a user's file or a hub, and the picture that checks them."""

import hashlib
from argparse import Namespace
from urllib.error import URLError
from zipfile import ZipFile

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torchvision.models import GoogLeNet
from torchvision.transforms.functional import pil_to_tensor

from pipeline.errors import InputError
from pipeline.models.backbones import Normalise
from pipeline.models.networks.registry import find
from pipeline.models.packages import PACKAGES
from pipeline.models.pretrained import imagenet_classifier, verify
from pipeline.models.weights import save_weights
from tests.conftest import REPOSITORY
from tests.parameters import changed


@pytest.fixture
def check_picture(params):
    """The embedded archive's picture that ImageNet weights must know; partly transparent."""
    with ZipFile(REPOSITORY / "data/cutouts/cutouts.zip") as archive:
        return Image.open(archive.open(params.pretrain.check_picture)).copy()


def classifier(params, **values):
    chosen = changed(params, **values)
    return imagenet_classifier(chosen.backbone, chosen.pretrain)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_packaged_networks_know_the_check_picture(params, check_picture, name):
    network = classifier(params, pretrain__source="package", backbone__name=name)
    expected = params.pretrain.check_class
    verify(network, check_picture, expected)
    with pytest.raises(
        InputError, match=rf"check_picture for classes \[.*{expected}.*, not for 3:"
    ):
        verify(network, check_picture, 3)


def test_squeezenet_takes_the_check_picture_for_broccoli(params, check_picture):
    """The whole picture, resized: no crop, as its authors' protocol is not ours."""
    network = classifier(params, pretrain__source="package", backbone__name="squeezenet1_1")
    white = Image.new("RGBA", check_picture.size, "white")
    white.alpha_composite(check_picture.convert("RGBA"))
    pixels = pil_to_tensor(white.convert("RGB").resize((224, 224)))
    with torch.no_grad():
        shares = network.eval()(Normalise(network)(pixels[None]))[0].softmax(0)
    assert shares.argmax() == 937
    assert shares[937] > 0.98


@pytest.mark.parametrize("name", ["test_efficientnet", "googlenet"])
def test_random_weights_fail_the_check_picture(params, check_picture, name):
    torch.manual_seed(0)
    with pytest.raises(InputError, match="they are damaged, or of no ImageNet-1k network"):
        verify(find(name).classifier(), check_picture, params.pretrain.check_class)


@pytest.mark.parametrize("name", ["test_resnet", "vgg16"])
def test_the_packages_serve_their_own_networks_only(params, name):
    known = "backbone.name tf_efficientnet_lite0, tf_efficientnet_lite2, squeezenet1_1 only"
    with pytest.raises(InputError, match=f"serve {known}"):
        classifier(params, pretrain__source="package", backbone__name=name)


@pytest.fixture
def weights_of_a_user(tmp_path):
    """A file of weights for test_efficientnet, and the network that they are from."""
    torch.manual_seed(3)
    network = timm.create_model("test_efficientnet")
    path = tmp_path / "mine.safetensors"
    save_weights(network, path)
    return path, network


def from_file(params, path, sha256="", name="test_efficientnet"):
    return classifier(
        params,
        pretrain__source="file",
        pretrain__file=str(path),
        pretrain__sha256=sha256,
        backbone__name=name,
    )


def assert_same(found, expected):
    found, expected = found.state_dict(), expected.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_come_from_a_file_of_either_format(params, weights_of_a_user, suffix):
    path, network = weights_of_a_user
    if suffix == ".pth":
        path = path.with_suffix(suffix)
        torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert_same(from_file(params, path, digest), network)


def with_prefix(state):
    return {f"module.{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        with_prefix,
        lambda state: {"state_dict": with_prefix(state), "optimizer": {"lr": 0.1}},
        lambda state: {"model": {f"_orig_mod.module.{name}": v for name, v in state.items()}},
        lambda state: {name.replace("blocks.", "blocks.module."): v for name, v in state.items()},
    ],
)
def test_the_wrappings_of_checkpoints_are_taken_off(params, weights_of_a_user, wrap):
    path, network = weights_of_a_user
    path = path.with_suffix(".tar")
    torch.save(wrap(network.state_dict()), path)
    assert_same(from_file(params, path), network)


def test_a_whole_pickled_module_is_refused(params, tmp_path):
    path = tmp_path / "module.pth"
    torch.save(timm.create_model("test_resnet"), path)
    with pytest.raises(InputError, match=r"(?s)module.pth: not a readable.* save the network's st"):
        from_file(params, path, name="test_resnet")


def written_checksum(digest, form):
    return form.format(digest, digest.upper(), f" {digest[:32]} {digest[32:]}\n")


@pytest.mark.parametrize("form", ["{0}", "{1}", "{2}", "sha256:{0}", " SHA256: {1} ", "  "])
def test_a_checksum_may_be_written_as_people_do(params, weights_of_a_user, form):
    path, network = weights_of_a_user
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert_same(from_file(params, path, written_checksum(digest, form)), network)


def test_what_is_no_checksum_names_the_key(params, weights_of_a_user):
    with pytest.raises(InputError, match="^pretrain.sha256: checksum 'abc' is neither md5:<32 .*"):
        from_file(params, weights_of_a_user[0], "abc")


@pytest.mark.parametrize(
    ("foreign", "named"),
    [
        ({"best": np.float64(71.2)}, r"numpy\S*scalar"),
        ({"args": Namespace(lr=0.1)}, "argparse.Namespace"),
    ],
)
def test_a_checkpoint_of_more_than_tensors_gets_our_own_advice(
    params, weights_of_a_user, foreign, named
):
    path, network = weights_of_a_user
    path = path.with_suffix(".pth")
    torch.save({"state_dict": network.state_dict()} | foreign, path)
    told = rf"mine.pth: not a readable state dict \(it holds {named} besides tensors\); .* alone$"
    with pytest.raises(InputError, match=told) as caught:
        from_file(params, path)
    said = str(caught.value)
    assert said.isprintable() and "weights_only" not in said and "\x1b" not in said


def test_the_names_that_a_file_has_instead_are_shown(params, weights_of_a_user):
    path, network = weights_of_a_user
    state = {f"encoder.{name}": value for name, value in network.state_dict().items()}
    torch.save(state, path.with_suffix(".pth"))
    told = r"conv_stem.weight \(.*\) is missing; .*; encoder\.\S+ \(.*\) is no layer of it.* more$"
    with pytest.raises(InputError, match=told):
        from_file(params, path.with_suffix(".pth"))


@pytest.mark.parametrize("content", [[1, 2], {"weight": [1.0]}, {0: torch.ones(1)}])
def test_a_file_of_something_else_is_refused(params, tmp_path, content):
    path = tmp_path / "list.pth"
    torch.save(content, path)
    with pytest.raises(InputError, match="list.pth: holds no state dict; .* names of layers"):
        from_file(params, path)


def test_a_file_with_another_checksum_is_refused(params, weights_of_a_user):
    path, _ = weights_of_a_user
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(
        InputError, match=f"mine.safetensors: sha256 is {digest}, expected {'0' * 64}"
    ):
        from_file(params, path, "0" * 64)


def test_a_file_for_another_network_names_layers(params, weights_of_a_user):
    expected = (
        "pretrain.file: .*mine.safetensors: not the ImageNet weights of test_resnet: "
        r"bn1.weight is 24, expected 32; .*; and \d+ more$"
    )
    with pytest.raises(InputError, match=expected):
        from_file(params, weights_of_a_user[0], name="test_resnet")


def test_a_classifier_of_other_classes_is_named_with_both_shapes(params, tmp_path):
    path = tmp_path / "birds.safetensors"
    save_weights(find("googlenet").classifier(200), path)
    expected = (
        "weights of googlenet: fc.weight is 200x1024, expected 1000x1024; fc.bias is 200, exp"
    )
    with pytest.raises(InputError, match=expected):
        from_file(params, path, name="googlenet")


@pytest.mark.parametrize(
    ("layer", "value", "complaint"),
    [
        ("conv1.conv.weight", None, r"conv1.conv.weight \(64x3x7x7\) is missing$"),
        ("fc2.bias", torch.zeros(9), r"fc2.bias \(9\) is no layer of it$"),
        ("inception4e.branch1.bn.bias", torch.zeros(3), "branch1.bn.bias is 3, expected 256$"),
        ("aux1.fc3.bias", torch.zeros(9), None),
    ],
)
def test_one_layer_too_few_too_many_or_too_wide_is_named(params, tmp_path, layer, value, complaint):
    state = find("googlenet").classifier().state_dict()
    if value is None:
        state.pop(layer)
    else:
        state[layer] = value
    path = tmp_path / "googlenet.pth"
    torch.save(state, path)
    if complaint is None:  # an auxiliary head
        from_file(params, path, name="googlenet")
        return
    with pytest.raises(InputError, match=f"weights of googlenet: .*{complaint}"):
        from_file(params, path, name="googlenet")


def test_a_missing_or_unreadable_file_is_refused(params, tmp_path):
    with pytest.raises(InputError, match="pretrain.file: .*gone.pth not found"):
        from_file(params, tmp_path / "gone.pth")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("no weights")
        with pytest.raises(InputError, match=f"(?s){name}: not a readable state dict"):
            from_file(params, tmp_path / name)


def test_an_unknown_network_is_refused(params, weights_of_a_user):
    with pytest.raises(InputError, match="backbone.name: 'resnet5000' is none of"):
        from_file(params, weights_of_a_user[0], name="resnet5000")


@pytest.fixture
def torchvision_hub(monkeypatch):
    """Replace torchvision's download; return what it was asked for and what it shall give."""
    asked, given = [], []

    def load(url, *args, **kwargs):
        asked.append(url)
        return given[0]

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    return asked, given


@pytest.mark.parametrize("name", ["googlenet", "googlenet_gap"])
def test_published_weights_come_without_their_auxiliary_heads(params, torchvision_hub, name):
    published = GoogLeNet(aux_logits=True, init_weights=False)
    asked, given = torchvision_hub
    given.append(published.state_dict())
    found = classifier(params, pretrain__source="hub", backbone__name=name)
    assert len(asked) == 1 and "/googlenet-" in asked[0]
    assert not any(layer.startswith("aux") for layer in found.state_dict())
    published.aux1 = published.aux2 = None
    assert_same(found, published)


@pytest.mark.parametrize("name", ["test_efficientnet", "alexnet"])
def test_without_a_connection_the_hub_names_the_other_sources(params, monkeypatch, name):
    created = timm.create_model

    def unreachable(*args, pretrained=True, **kwargs):
        if pretrained and "num_classes" not in kwargs:
            raise URLError("Name or service not known")
        return created(*args, **kwargs)

    monkeypatch.setattr("timm.create_model", unreachable)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    expected = f"hub gave no weights for {name} .*not known.*set pretrain.source to package .* file"
    with pytest.raises(InputError, match=expected):
        classifier(params, pretrain__source="hub", backbone__name=name)


def test_cnn_s_has_no_hub(params):
    with pytest.raises(InputError, match="no hub has weights of cnn_s; set it to file"):
        classifier(params, pretrain__source="hub", backbone__name="cnn_s")


def test_transparent_parts_of_the_check_picture_are_white(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "pipeline.models.pretrained.best_classes", lambda _, image: seen.append(image) or [7]
    )
    verify(nn.Identity(), Image.new("RGBA", (2, 1), (0, 0, 0, 0)), 7)
    assert seen[0].mode == "RGB" and seen[0].getpixel((0, 0)) == (255, 255, 255)
