"""Stage train: the folder of every model, the same however it came about."""

import os
import sys
from pathlib import Path
from subprocess import run as run_command

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

import pipeline.training.fit
from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.packed.proposals import StoredProposals
from pipeline.packed.record import SPLITS
from pipeline.packed.store import PackedSplit
from pipeline.training import loop
from stages import run
from stages.paths import SCRATCH, model_folder, split_folder
from stages.train import train
from tests.conftest import REPOSITORY
from tests.parameters import changed

TRAINED = [name for name, model in registry.MODELS.items() if model.entry.listed != "proposals"]
TERMS = {
    "spg": ["classification", "b2", "b1", "c"],
    "spg_oracle": ["classification", "b2", "b1", "c"],
    "acol": ["classification", "complementary"],
    "rpn": ["objectness", "box_regression"],
}

WATCHED = {
    "spn_multi": ["object_energy"],
    "spn_single": ["object_energy"],
    "spg": [
        f"{branch}_{share}"
        for branch in ("b2", "b1", "c")
        for share in ("foreground_inside", "background_outside")
    ],
}


class Killed(Exception):
    """The training was killed."""


def files_of(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(furnished, listed, tmp_path_factory):
    """A folder in which every model was trained from beginning to end."""
    folder = furnished(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model in TRAINED:
            train(listed, model)
    return folder


@pytest.mark.parametrize("model", TRAINED)
def test_a_model_is_trained_to_weights_what_they_are_and_a_history(whole, listed, model):
    folder = whole / model_folder(model)
    registry.method(model).trained(folder, 3, listed, "train")
    own = {"proposals.arrow"} if model == "wsddn" else set()
    if model in ("spn_multi", "spn_single"):
        own = {f"evolution/{epoch:04d}.safetensors" for epoch in (1, 2)}
    files = {"README.md", "history.csv", "model.json", "weights.safetensors"}
    assert set(files_of(folder)) == files | own
    history, terms = pd.read_csv(folder / "history.csv"), TERMS.get(model, ["classification"])
    assert history["epoch"].tolist() == [1, 2]
    # A branch of random weights may have no label, and then no share of them.
    noted = set(history.columns) - set(WATCHED.get(model, []))
    assert noted == {"epoch", "loss", *terms}
    sums = history[terms].sum(axis=1).tolist()
    assert history["loss"].tolist() == pytest.approx(sums, rel=1e-4)


def test_guidance_joins_after_the_warm_up(whole):
    history = pd.read_csv(whole / "data/models/spg/history.csv")
    assert history[["b2", "b1", "c"]].isna().all(axis=1).tolist() == [True, False]


def test_the_quality_of_spgs_masks_is_noted_from_the_first_epoch(whole):
    history = pd.read_csv(whole / "data/models/spg/history.csv")
    seeds = history[["b2_foreground_inside", "b2_background_outside"]]
    assert seeds.notna().all(axis=None) and ((seeds >= 0) & (seeds <= 100)).all(axis=None)


def test_wsddn_learns_from_edge_boxes_of_all_images(whole):
    for name in SPLITS:
        stored = StoredProposals(whole / "data/models/wsddn/proposals.arrow", name)
        split = PackedSplit(whole / split_folder("multi", name))
        assert [each.id for each in stored] == [record.id for record in split]


def test_nothing_else_is_left(whole):
    assert not [path for path in (whole / SCRATCH).iterdir() if path.is_dir()]
    assert {path.name for path in (whole / "data/models").iterdir()} == set(TRAINED)


@pytest.mark.parametrize("model", TRAINED)
def test_an_interrupted_training_resumes_to_the_same_bytes(
    workspace, whole, listed, model, monkeypatch
):
    epochs, run_epoch = [], loop.run_epoch

    def run_or_die(*arguments):
        epochs.append(arguments[4].epoch)
        if epochs == [0, 1]:
            raise Killed
        return run_epoch(*arguments)

    monkeypatch.setattr(loop, "run_epoch", run_or_die)
    with pytest.raises(Killed):
        train(listed, model)
    assert not model_folder(model).exists()
    train(changed(listed, evaluate__batch_size=3), model)
    assert epochs == [0, 1, 1]
    assert files_of(model_folder(model)) == files_of(whole / model_folder(model))


def test_edge_boxes_are_not_searched_again_when_a_training_goes_on(workspace, listed, monkeypatch):
    def die(*arguments):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "run_epoch", die)
        train(listed, "wsddn")
    monkeypatch.setattr("pipeline.methods.wsddn.search", die)
    train(listed, "wsddn")
    with pytest.raises(Killed):
        train(changed(listed, edge_boxes__boxes=7), "wsddn")


def test_hiding_does_not_depend_on_the_number_of_workers(workspace, whole, listed, monkeypatch):
    monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: 2)
    train(listed, "has")
    assert files_of(model_folder("has")) == files_of(whole / "data/models/has")


@pytest.fixture
def untrained(workspace, listed, monkeypatch):
    """Return the weights that a training of a model starts with."""
    monkeypatch.setattr(pipeline.training.fit, "train", lambda *_: [{"epoch": 1.0}])

    def weights(model):
        train(listed, model)
        return load_file(model_folder(model) / "weights.safetensors")

    return weights


@pytest.mark.parametrize("model", [m for m in registry.MODELS.values() if m.twin], ids=str)
def test_a_model_and_its_twin_start_from_the_same_weights(untrained, model):
    own, twin = untrained(model.name), untrained(model.twin)
    assert twin.keys() <= own.keys()
    assert all(torch.equal(value, own[name]) for name, value in twin.items())


def test_two_processes_train_what_one_does(workspace, listed):
    """Each takes half of every batch, here of all images, and one of them finds the EdgeBoxes.

    Without `standardise`, whose statistics are those of each process's own half.
    """
    small = {"batch_size": 10, "learning_rate": 1e-3, "added_learning_rate": 1e-2}
    schedule = {f"wsddn__train__{key}": value for key, value in small.items()}
    params = changed(listed, backbone__standardise=False, **schedule)
    train(params, "wsddn")
    alone = files_of(model_folder("wsddn"))
    weights = load_file(model_folder("wsddn") / "weights.safetensors")
    Path("params.yaml").write_text(yaml.safe_dump(params.model_dump()))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    on_cpu = {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    environment = os.environ | on_cpu | {"PYTHONPATH": str(REPOSITORY)}
    command = [*launch, "-m", "stages.train", "wsddn"]
    done = run_command(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    both = files_of(model_folder("wsddn"))
    assert both["proposals.arrow"] == alone["proposals.arrow"]
    found = load_file(model_folder("wsddn") / "weights.safetensors")
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)


def test_a_diverging_training_keeps_the_older_model(workspace, listed):
    older = model_folder("spn_multi") / "weights.safetensors"
    older.parent.mkdir(parents=True)
    older.write_bytes(b"older")
    rates = ("learning_rate", "added_learning_rate")
    wild = changed(listed, **{f"spn__train_multi__{rate}": 1e30 for rate in rates})
    with pytest.raises(InputError, match="the loss is not finite at epoch .*checkpoint"):
        train(wild, "spn_multi")
    assert files_of(older.parent) == {"weights.safetensors": b"older"}


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("packed/single/train/index.json", "preprocess"),
        ("weights/backbone.safetensors", "pretrain"),
    ],
)
def test_a_missing_input_ends_the_command_with_one_message(
    workspace, quick, monkeypatch, missing, stage
):
    (workspace / "params.yaml").write_text(yaml.safe_dump(quick.model_dump()))
    (workspace / "data" / missing).unlink()
    monkeypatch.setattr(sys, "argv", ["stages/train.py", "spn_single"])
    with pytest.raises(SystemExit) as ended:
        run(train)
    message = f"train: data/{missing}: not found; run `dvc repro {stage}`"
    assert ended.value.code == message  # which Python prints, with status 1
    assert not model_folder("spn_single").exists()


def test_a_method_that_is_not_listed_needs_no_input_to_be_refused(tmp_path, quick, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="has is not on the list `methods` of params.yaml; put it"):
        train(changed(quick, methods=["acol"]), "has")
    with pytest.raises(InputError, match="model 'cam' is none of cam_multi, cam_single, spn_multi"):
        train(quick, "cam")
    assert list(tmp_path.iterdir()) == []
