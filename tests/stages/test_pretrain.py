"""Stage pretrain: what it writes, and that it writes nothing that is not verified."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

import pipeline.training.fit
import stages.pretrain
from pipeline.errors import InputError
from pipeline.models.backbones import Backbone
from pipeline.models.networks.registry import find
from pipeline.models.weights import layer_name, save_weights
from stages.pretrain import pretrain
from tests.conftest import REPOSITORY
from tests.parameters import changed

OUT = Path("data/weights/backbone.safetensors")


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """An empty current folder beside the repository's embedded archive."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages.pretrain, "ARCHIVE", REPOSITORY / "data/cutouts/cutouts.zip")


@pytest.fixture
def from_scratch(quick):
    """Parameters to train the tiny backbone for one epoch."""
    short = {"source": "scratch", "train__epochs": 1, "train__batch_size": 4}
    return changed(quick, **{f"pretrain__{key}": value for key, value in short.items()})


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("tf_efficientnet_lite0", "stage"),
        ("tf_efficientnet_lite0", "head"),
        ("tf_efficientnet_lite2", "head"),
        ("squeezenet1_1", "stage"),
    ],
)
def test_the_packaged_weights_start_the_backbone(alone, params, name, last):
    values = {"pretrain__source": "package", "backbone__name": name, "backbone__last": last}
    chosen = changed(params, **values)
    pretrain(chosen)
    stored = {layer_name(layer): value for layer, value in load_file(OUT).items()}
    loaded = Backbone(chosen.backbone, OUT).network.state_dict()
    assert len(loaded) == len(stored)
    assert all(torch.equal(value, stored[layer_name(n)]) for n, value in loaded.items())


def test_weights_that_do_not_know_the_check_picture_are_not_written(alone, quick):
    save_weights(timm.create_model("test_efficientnet"), Path("mine.safetensors"))
    chosen = changed(quick, pretrain__source="file", pretrain__file="mine.safetensors")
    with pytest.raises(InputError, match="the weights take pretrain.check_picture for classes"):
        pretrain(chosen)
    assert not OUT.exists()


def test_a_wrong_checksum_writes_nothing(alone, quick):
    save_weights(timm.create_model("test_efficientnet"), Path("mine.safetensors"))
    wrong = {"source": "file", "file": "mine.safetensors", "sha256": "0" * 64}
    with pytest.raises(InputError, match="mine.safetensors: sha256 is"):
        pretrain(changed(quick, **{f"pretrain__{key}": value for key, value in wrong.items()}))
    assert not OUT.exists()


def test_without_a_connection_the_hub_is_refused(alone, quick, monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    chosen = changed(quick, pretrain__source="hub", backbone__name="googlenet_gap")
    with pytest.raises(InputError, match="hub gave no weights for googlenet_gap.*no ro.*source to"):
        pretrain(chosen)
    assert not OUT.exists()


def test_a_network_of_the_papers_starts_from_a_file(alone, quick, monkeypatch):
    network = find("googlenet_gap").classifier()
    save_weights(network, Path("mine.safetensors"))
    verified = []
    monkeypatch.setattr(stages.pretrain, "verify", lambda *checked: verified.append(checked))
    chosen = changed(
        quick,
        pretrain__source="file",
        pretrain__file="mine.safetensors",
        backbone__name="googlenet_gap",
    )
    pretrain(chosen)
    assert len(verified) == 1
    stored = {layer_name(layer): value for layer, value in network.state_dict().items()}
    loaded = Backbone(chosen.backbone, OUT).network.state_dict()
    assert loaded
    assert all(torch.equal(value, stored[layer_name(n)]) for n, value in loaded.items())


@pytest.mark.parametrize("source", ["package", "scratch"])
def test_a_stride_that_the_network_does_not_have_is_told_before_any_work(alone, quick, source):
    chosen = changed(
        quick,
        pretrain__source=source,
        backbone__name="googlenet",
        backbone__output_stride=16,
    )
    with pytest.raises(InputError, match=r"output_stride: googlenet has 32 and no other"):
        pretrain(chosen)


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_an_unreadable_archive_names_the_check_picture(alone, params, monkeypatch, content):
    chosen = changed(params, pretrain__source="package", backbone__name="tf_efficientnet_lite0")
    monkeypatch.setattr(stages.pretrain, "ARCHIVE", Path("cutouts.zip"))
    if content is not None:
        Path("cutouts.zip").write_bytes(content)
    with pytest.raises(InputError, match="cutouts.zip: cannot read pretrain.check_picture .*git"):
        pretrain(chosen)
    assert not OUT.exists()


def test_a_check_picture_that_is_not_in_the_archive_is_named(alone, params):
    chosen = changed(
        params,
        pretrain__source="package",
        pretrain__check_picture="cutouts/unicorn.webp",
        backbone__name="tf_efficientnet_lite0",
    )
    with pytest.raises(InputError, match="check_picture 'cutouts/unicorn.webp'"):
        pretrain(chosen)


def test_a_backbone_from_scratch_starts_the_networks(workspace, from_scratch):
    before = OUT.read_bytes()
    pretrain(from_scratch)
    assert OUT.read_bytes() != before
    stored = load_file(OUT)
    loaded = Backbone(from_scratch.backbone, OUT).network.state_dict()
    assert loaded and all(torch.equal(value, stored[name]) for name, value in loaded.items())
    assert not [path for path in Path(".scratch").iterdir() if path.is_dir()]


def test_what_was_trained_from_scratch_is_what_is_written(workspace, from_scratch, monkeypatch):
    def train(objective, *_):
        for parameter in objective.parameters():
            torch.nn.init.constant_(parameter, 0.25)

    monkeypatch.setattr(pipeline.training.fit, "train", train)
    pretrain(from_scratch)
    learnt = [value for name, value in load_file(OUT).items() if name.endswith("weight")]
    assert learnt and all((value == 0.25).all() for value in learnt)


def test_training_from_scratch_twice_gives_the_same_bytes(workspace, from_scratch):
    pretrain(from_scratch)
    first = OUT.read_bytes()
    pretrain(from_scratch)
    assert OUT.read_bytes() == first


def test_training_from_scratch_needs_the_packed_images(alone, from_scratch):
    with pytest.raises(InputError, match="single/train/index.json: not found; run .*preprocess"):
        pretrain(from_scratch)
