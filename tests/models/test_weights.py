"""Weights on disk: the same bytes for the same state, and never loaded in part."""

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.errors import InputError
from pipeline.models.backbones import Backbone, network_for
from pipeline.models.networks.registry import find
from pipeline.models.weights import (
    layer_name,
    load_first_weights,
    load_state,
    load_weights,
    save_first_weights,
    save_weights,
)
from pipeline.params import BackboneParams


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


@pytest.mark.parametrize("name", ["googlenet_gap", "test_resnet", "test_resnet.r160_in1k"])
def test_the_file_of_a_classifier_names_its_network(tmp_path, name):
    path = tmp_path / "classifier.safetensors"
    save_weights(find(name).classifier(2), path)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"network": name.split(".")[0]}


@pytest.mark.parametrize("name", ["alexnet", "test_efficientnet"])
def test_first_weights_are_the_layers_of_the_features_alone(tmp_path, name):
    path, params = (
        tmp_path / "first.safetensors",
        BackboneParams(
            name=name,
            output_stride=16,
            last="stage",
            frozen_stages=0,
            freeze_statistics=True,
            normalisation="own",
            standardise=False,
        ),
    )
    classifier = find(name).classifier(3)
    save_first_weights(classifier, network_for(params, 64), path)
    state, stored = classifier.state_dict(), load_file(path)
    assert all(torch.equal(value, state[layer]) for layer, value in stored.items())
    assert not [layer for layer in stored if layer.startswith("classifier")]
    load_first_weights(Backbone(params).network, path)


@pytest.mark.parametrize(
    "wrapped", ["stages.0.bias", "stages_0.bias", "body.stages.0.bias", "body_stages.0.bias"]
)
def test_a_layer_has_one_name_in_every_wrapper_of_timm(wrapped):
    assert layer_name(wrapped) == layer_name("model.stages.0.bias") == "stages_0_bias"


def test_weights_come_back_as_they_were(network, tmp_path):
    save_weights(network, tmp_path / "net.safetensors")
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    load_weights(other, tmp_path / "net.safetensors", "train")
    stored = network.state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in other.state_dict().items())


def test_missing_weights_name_the_stage_that_makes_them(network, tmp_path):
    with pytest.raises(InputError, match="gone.safetensors: not found; run `dvc repro train_spg`"):
        load_weights(network, tmp_path / "gone.safetensors", "train_spg")


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (nn.Sequential(nn.Conv2d(3, 5, 3)), "0.weight is 4x3x3x3, expected 5x3x3x3; 0.bias is 4, "),
        (
            nn.Linear(3, 4),
            r"weight \(4x3\) is missing; bias \(4\) is missing; 0.bias .* no layer",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), r"1.bias \(4\) is no layer of it; .*and 1 more$"),
    ],
)
def test_weights_of_another_network_are_refused_by_layer(network, tmp_path, other, complaint):
    path = tmp_path / "net.safetensors"
    save_weights(network, path)
    with pytest.raises(InputError, match=f"net.safetensors: not the weights of this .*{complaint}"):
        load_weights(other, path, "train")


def test_weights_that_do_not_fit_change_nothing(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = {name: torch.ones_like(value) for name, value in before.items() if name != "0.bias"}
    with pytest.raises(InputError, match=r"file: 0.bias \(4\) is missing$"):
        load_state(network, state, "file")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_truncated_weights_are_refused(network, tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(network, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="net.safetensors: damaged .*; run `dvc repro -f train`"):
        load_weights(network, path, "train")


def test_files_older_than_the_counters_of_batch_normalisation_are_complete(network, tmp_path):
    state = network.state_dict()
    state.pop("1.num_batches_tracked")
    save_file(state, tmp_path / "old.safetensors")
    load_weights(network, tmp_path / "old.safetensors", "train")


def test_another_kind_of_number_is_converted(network):
    state = {name: value.double() for name, value in network.state_dict().items()}
    load_state(network, state, "file")
    assert network[0].weight.dtype == torch.float32


def test_a_trained_network_names_no_backbone(network, tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(nn.Sequential(timm.create_model("test_resnet")), path)
    with safe_open(path, "pt") as file:
        assert file.metadata() is None
