import hashlib
from zipfile import ZipFile

import pytest
import timm
import torch
from PIL import Image
from torch import nn

from pipeline.errors import InputError
from pipeline.models.weights import (
    imagenet_classifier,
    load_weights,
    save_weights,
    verify,
)
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


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_the_same_weights_give_the_same_bytes(network, tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_weights(network, one)
    save_weights(network.to(memory_format=torch.channels_last), two)
    assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [one.name, two.name]


def test_weights_come_back_as_they_were(network, tmp_path):
    save_weights(network, tmp_path / "net.safetensors")
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    load_weights(other, tmp_path / "net.safetensors", "train")
    stored = network.state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in other.state_dict().items())


def test_missing_weights_name_the_stage_that_makes_them(network, tmp_path):
    with pytest.raises(InputError, match="gone.safetensors: not found; run `dvc repro train_spg`"):
        load_weights(network, tmp_path / "gone.safetensors", "train_spg")


def test_weights_of_another_network_are_refused(network, tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(network, path)
    for other in (nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)), nn.Linear(3, 4)):
        with pytest.raises(InputError, match="net.safetensors: not the weights of this network"):
            load_weights(other, path, "train")


def test_truncated_weights_are_refused(network, tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(network, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="net.safetensors: not the weights of this network"):
        load_weights(network, path, "train")


def test_the_packaged_network_knows_the_check_picture(params, check_picture):
    network = classifier(params, pretrain__source="package", backbone__name="tf_efficientnet_lite0")
    expected = params.pretrain.check_class
    verify(network, check_picture, expected)
    with pytest.raises(
        InputError, match=rf"check_picture for classes \[.*{expected}.*, not for 3:"
    ):
        verify(network, check_picture, 3)


def test_random_weights_fail_the_check_picture(params, check_picture):
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet")
    with pytest.raises(InputError, match="they are damaged, or of no ImageNet-1k network"):
        verify(network, check_picture, params.pretrain.check_class)


def test_the_package_serves_its_own_network_only(params):
    with pytest.raises(InputError, match="serves backbone.name tf_efficientnet_lite0 only"):
        classifier(params, pretrain__source="package", backbone__name="test_resnet")


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


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_come_from_a_file_of_either_format(params, weights_of_a_user, suffix):
    path, network = weights_of_a_user
    if suffix == ".pth":
        path = path.with_suffix(suffix)
        torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    found = from_file(params, path, digest).state_dict()
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())


def test_a_file_with_another_checksum_is_refused(params, weights_of_a_user):
    path, _ = weights_of_a_user
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(
        InputError, match=f"mine.safetensors: sha256 is {digest}, expected {'0' * 64}"
    ):
        from_file(params, path, "0" * 64)


def test_a_file_for_another_network_is_refused(params, weights_of_a_user):
    with pytest.raises(InputError, match="weights do not fit test_resnet"):
        from_file(params, weights_of_a_user[0], name="test_resnet")


def test_a_missing_or_unreadable_file_is_refused(params, tmp_path):
    with pytest.raises(InputError, match="pretrain.file: .*gone.pth not found"):
        from_file(params, tmp_path / "gone.pth")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("no weights")
        with pytest.raises(InputError, match=f"{name}: not a readable state dict"):
            from_file(params, tmp_path / name)


def test_an_unknown_network_is_refused(params, weights_of_a_user):
    with pytest.raises(InputError, match="backbone.name: .*resnet5000"):
        from_file(params, weights_of_a_user[0], name="resnet5000")


def test_without_a_network_the_hub_names_the_other_sources(params, monkeypatch):
    def unreachable(name, pretrained):
        raise OSError("Name or service not known")

    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(InputError, match="hub gave no weights .*not known.*set pretrain.source to"):
        classifier(params, pretrain__source="hub")
