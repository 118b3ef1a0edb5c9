import re

import pytest
import torch
from ruamel.yaml import YAML

from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.weights import save_weights
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("model", registry.METHODS)
def test_every_network_scores_and_localizes_its_classes(quick, model):
    network = registry.find(model).build(Backbone(quick.backbone), 3, quick).eval()
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    found = network.localize(images)
    assert network(images).shape == found.logits.shape == (2, 3)
    assert found.response_maps.shape == (2, 3, 4, 4)


def test_every_network_is_trained_by_the_stage_that_it_names():
    stages = YAML(typ="safe").load(REPOSITORY / "dvc.yaml")["stages"]
    for model, method in registry.METHODS.items():
        name, _, item = method.stage.partition("@")
        outs = [re.sub(r"\$\{item\.\w+\}", item, out) for out in stages[name]["outs"]]
        assert f"data/models/{model}.safetensors" in outs


def test_an_unknown_network_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match="model 'spm' is none of cam_multi, cam_single, spn_multi"):
        registry.find("spm")


def test_missing_weights_name_the_stage_to_run(quick, tmp_path):
    with pytest.raises(InputError, match="not found; run `dvc repro train_cam@single`"):
        registry.trained("cam_single", 3, quick, tmp_path / "cam_single.safetensors")


def test_trained_weights_are_those_of_the_file(quick, tmp_path):
    path = tmp_path / "spg.safetensors"
    network = registry.find("spg").build(Backbone(quick.backbone), 3, quick)
    save_weights(network, path)
    stored = network.state_dict()
    loaded = registry.trained("spg", 3, quick, path).state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in loaded.items())
    for model, classes in (("spg", 4), ("spg_plain", 3)):
        with pytest.raises(InputError, match="spg.safetensors: not the weights of this network"):
            registry.trained(model, classes, quick, path)
