import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from stages.train_spn import train_spn

from pipeline.errors import InputError
from pipeline.methods.registry import trained
from stages import run
from tests.parameters import changed


def outs(model):
    return Path(f"data/models/{model}.safetensors"), Path(f"data/history/{model}.csv")


@pytest.mark.parametrize("track", ["multi", "single"])
def test_spn_is_trained_to_weights_and_a_history(workspace, quick, track):
    train_spn(quick, track)
    weights, history = outs(f"spn_{track}")
    trained(f"spn_{track}", 3, quick, weights)
    assert pd.read_csv(history)["epoch"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "other",
    [
        {"spn__solver": "power", "spn__max_iterations": 3},
        {"spn__epsilon_relative_to": "area"},
        {"spn__differentiate_through_m": True},
    ],
)
def test_the_parameters_of_soft_proposal_reach_the_training(workspace, quick, other):
    weights, _ = outs("spn_multi")
    paper = {
        "solver": "stationary",
        "epsilon_relative_to": "side",
        "differentiate_through_m": False,
    }
    plain = changed(quick, **{f"spn__{key}": value for key, value in paper.items()})
    train_spn(plain, "multi")
    first = weights.read_bytes()
    train_spn(changed(plain, **other), "multi")
    assert weights.read_bytes() != first


def test_a_diverging_training_keeps_the_older_weights(workspace, quick):
    train_spn(quick, "multi")
    before = [path.read_bytes() for path in outs("spn_multi")]
    wild = changed(
        quick, spn__train_multi__learning_rate=1e30, spn__train_multi__added_learning_rate=1e30
    )
    with pytest.raises(InputError, match="the loss is not finite at epoch .*checkpoint"):
        train_spn(wild, "multi")
    assert [path.read_bytes() for path in outs("spn_multi")] == before


def test_a_picture_of_one_colour_does_not_stop_the_training(workspace, quick, monkeypatch):
    def flat(self, images):
        return torch.ones(len(images), 16, 4, 4, requires_grad=True)

    monkeypatch.setattr("pipeline.methods.bases.cam.ClassActivationNetwork.features", flat)
    train_spn(changed(quick, spn__differentiate_through_m=True), "multi")
    assert pd.read_csv(outs("spn_multi")[1])["loss"].notna().all()


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("packed/single/train/index.json", "preprocess"),
        ("weights/backbone.safetensors", "pretrain"),
    ],
)
def test_bad_input_ends_the_command_with_one_message(workspace, quick, monkeypatch, missing, stage):
    (workspace / "params.yaml").write_text(yaml.safe_dump(quick.model_dump()))
    (workspace / "data" / missing).unlink()
    monkeypatch.setattr(sys, "argv", ["stages/train_spn.py", "single"])
    with pytest.raises(SystemExit) as ended:
        run(train_spn)
    message = f"train_spn: data/{missing}: not found; run `dvc repro {stage}`"
    assert ended.value.code == message  # which Python prints, with status 1
    assert not any(path.exists() for path in outs("spn_single"))
