from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from stages.train_cam import train_cam
from stages.train_method import METHODS, train_method

from pipeline.errors import InputError
from pipeline.methods.registry import trained
from pipeline.training import batches, loop
from tests.parameters import changed

TERMS = {"acol": ["classification", "complementary"]}
OURS = ["has", "acol", "oquab"]


class Killed(Exception):
    """The training was killed."""


@pytest.fixture
def on(quick):
    """The quick parameters with the methods on, and dropout, which draws from the generator too."""
    switches = {f"methods__{method}": True for method in OURS}
    return changed(quick, spn__dropout=0.5, **switches)


def outs(model):
    return Path(f"data/models/{model}.safetensors"), Path(f"data/history/{model}.csv")


def bytes_of(model):
    return [path.read_bytes() for path in outs(model)]


def kill_in_epoch(monkeypatch, killed):
    run_epoch = loop.run_epoch

    def run_or_die(accelerator, objective, optimizer, images, epoch, *others):
        if epoch == killed:
            raise Killed
        return run_epoch(accelerator, objective, optimizer, images, epoch, *others)

    monkeypatch.setattr(loop, "run_epoch", run_or_die)


@pytest.mark.parametrize("method", OURS)
def test_a_method_is_trained_to_weights_and_a_history(workspace, on, method):
    train_method(on, method)
    weights, history = outs(method)
    trained(method, 3, on, weights)
    table = pd.read_csv(history)
    assert table["epoch"].tolist() == [1, 2]
    terms = TERMS.get(method, ["classification"])
    assert list(table.columns) == ["epoch", "loss", *terms]
    assert table["loss"].tolist() == pytest.approx(table[terms].sum(axis=1).tolist(), rel=1e-4)


@pytest.mark.parametrize("method", OURS)
def test_an_interrupted_training_resumes_to_the_same_bytes(workspace, on, method, monkeypatch):
    train_method(on, method)
    whole = bytes_of(method)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_in_epoch(patch, 1)
        train_method(changed(on, evaluate__batch_size=3), method)
    epochs = []
    run_epoch = loop.run_epoch
    monkeypatch.setattr(loop, "run_epoch", lambda *a: epochs.append(a[4]) or run_epoch(*a))
    train_method(on, method)
    assert epochs == [1] and bytes_of(method) == whole


def test_hiding_does_not_depend_on_the_number_of_workers(workspace, on, monkeypatch):
    weights = []
    for count in (0, 2):
        monkeypatch.setattr(batches, "workers", lambda count=count: count)
        train_method(on, "has")
        weights.append(bytes_of("has"))
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("method", "other"),
    [
        ("has", {"has__patch": 8}),
        ("has", {"has__probability": 0.1}),
        ("has", {"spn__channels": 8}),
        ("acol", {"acol__erase_above": 0.2}),
        ("acol", {"spg__channels": 4}),
        ("oquab", {"spn__groups": 1}),
    ],
)
def test_a_changed_parameter_starts_an_interrupted_training_afresh(
    workspace, on, method, other, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_in_epoch(patch, 1)
        train_method(on, method)
    epochs = []
    run_epoch = loop.run_epoch
    monkeypatch.setattr(loop, "run_epoch", lambda *a: epochs.append(a[4]) or run_epoch(*a))
    train_method(changed(on, **other), method)
    assert epochs == [0, 1]


@pytest.mark.parametrize(
    ("method", "twin", "schedule"),
    [
        ("has", "cam_single", "spn__train_single"),
        ("oquab", "cam_multi", "spn__train_multi"),
        ("acol", "spg_plain", "spg__train"),
    ],
)
def test_a_method_and_its_twin_differ_by_their_training_alone(
    workspace, on, method, twin, schedule
):
    rates = {f"{schedule}__{key}": 1e-30 for key in ("learning_rate", "added_learning_rate")}
    still = changed(on, **rates)
    train_method(still, method)
    train_cam(still, twin)
    own, other = (load_file(outs(model)[0]) for model in (method, twin))
    for name in (name for name in other if name.endswith(("weight", "bias"))):
        torch.testing.assert_close(own[name], other[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_is_off_makes_empty_outs_and_needs_no_input(
    tmp_path, params, method, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    train_method(changed(params, **{f"methods__{method}": False}), method)
    weights, history = outs(method)
    assert load_file(weights) == {} and pd.read_csv(history).empty


def test_a_network_without_layers_is_not_taken_for_a_trained_one(tmp_path, params, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_method(params, "has")
    with pytest.raises(InputError, match="has.safetensors: not the weights of this network"):
        trained("has", 3, params, outs("has")[0])


def test_an_unknown_method_is_refused(workspace, on):
    with pytest.raises(InputError, match="method 'cam' is none of has, acol, oquab"):
        train_method(on, "cam")


@pytest.mark.parametrize("method", OURS)
def test_a_missing_input_names_the_stage_to_run(workspace, on, method):
    (workspace / "data/weights/backbone.safetensors").unlink()
    with pytest.raises(InputError, match="backbone.safetensors: not found; run `dvc repro pretrai"):
        train_method(on, method)
    assert not any(path.exists() for path in outs(method))
