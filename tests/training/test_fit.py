"""A method becomes the folder of a trained model, however often it is cut off."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import pipeline.training.fit
from pipeline.errors import InputError
from pipeline.methods.bases import cam
from pipeline.methods.bases.spn.network import METHOD as SPN
from pipeline.models.losses import Classification
from pipeline.packed.store import PackedSplit
from pipeline.training.fit import fit
from tests.parameters import changed

FILES = ["README.md", "history.csv", "model.json", "weights.safetensors"]


class Killed(Exception):
    """The training was killed."""


class KilledInEpoch(nn.Module):
    """The classification objective, ended in an epoch (from 0)."""

    def __init__(self, network, epoch):
        super().__init__()
        self.network, self.epoch = network, epoch

    def forward(self, images, targets, epoch):
        if epoch == self.epoch:
            raise Killed
        return Classification(self.network)(images, targets, epoch)


@pytest.fixture(scope="session")
def fitted(quick, packed_once, backbone_file):
    """Fit CAM, or another method, on the single-label track into `folder`; return that."""

    def make(folder, params=quick, method=cam.METHOD, data=packed_once / "single"):
        files = {"data": data, "backbone": backbone_file, "folder": folder}
        fit(method, params, "single", **files, scratch=folder.parent / "scratch")
        return folder

    return make


@pytest.fixture(scope="session")
def whole(fitted, tmp_path_factory):
    """A training from beginning to end."""
    return fitted(tmp_path_factory.mktemp("whole") / "net")


def killed(method, epoch=1):
    return replace(method, objective=lambda network, params: KilledInEpoch(network, epoch))


def bytes_of(folder):
    return [(folder / name).read_bytes() for name in FILES]


def test_weights_and_history_are_written_and_nothing_else(whole):
    assert sorted(path.name for path in whole.iterdir()) == FILES
    history = pd.read_csv(whole / "history.csv")
    assert list(history.columns) == ["epoch", "loss", "classification"]
    assert history["epoch"].tolist() == [1, 2]
    assert not [path for path in (whole.parent / "scratch").iterdir() if path.is_dir()]


def test_an_interrupted_training_resumes_to_the_same_bytes(fitted, whole, tmp_path):
    folder = tmp_path / "net"
    with pytest.raises(Killed):
        fitted(folder, method=killed(cam.METHOD))
    assert not folder.exists()
    assert bytes_of(fitted(folder)) == bytes_of(whole)


def test_what_a_method_keeps_of_each_epoch_outlives_an_interruption(fitted, tmp_path):
    whole, cut = fitted(tmp_path / "whole/net", method=SPN), tmp_path / "cut/net"
    with pytest.raises(Killed):
        fitted(cut, method=killed(SPN))
    fitted(cut, method=SPN)
    names = [*FILES, "evolution/0001.safetensors", "evolution/0002.safetensors"]
    written = (path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert sorted(map(str, written)) == sorted(names)
    for name in names:
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), name


def test_spn_learns_the_same_whether_it_is_watched(fitted, tmp_path):
    watched = fitted(tmp_path / "watched/net", method=SPN)
    alone = fitted(tmp_path / "alone/net", method=replace(SPN, watch=cam.METHOD.watch))
    weights = ((folder / "weights.safetensors").read_bytes() for folder in (watched, alone))
    assert len(set(weights)) == 1
    losses = [pd.read_csv(folder / "history.csv")["loss"] for folder in (watched, alone)]
    assert losses[0].equals(losses[1])


def test_a_failed_training_keeps_the_older_model(fitted, tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"older")
    with pytest.raises(Killed):
        fitted(folder, method=killed(cam.METHOD, epoch=0))
    assert (folder / "weights.safetensors").read_bytes() == b"older"
    assert [path.name for path in folder.iterdir()] == ["weights.safetensors"]


@pytest.fixture
def checkpoints_of(fitted, tmp_path, monkeypatch):
    """Return the folder that a training, given as to `fitted`, would resume from."""
    seen = []

    def train(module, split, images, params, seed, checkpoints, targets, watch):
        seen.append(checkpoints.folder)
        raise Killed

    def ask(**chosen):
        with pytest.raises(Killed):
            fitted(tmp_path / "net", **chosen)
        return seen.pop()

    monkeypatch.setattr(pipeline.training.fit, "train", train)
    return ask


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 5},
        {"deterministic": False},
        {"input__flip": False},
        {"backbone__frozen_stages": 1},
        {"spn__channels": 8},
        {"spn__train_single__learning_rate": 0.001},
    ],
)
def test_a_changed_parameter_starts_afresh(checkpoints_of, quick, change):
    assert checkpoints_of(params=changed(quick, **change)) != checkpoints_of()


def test_what_does_not_decide_the_training_lets_it_go_on(checkpoints_of, quick):
    other = changed(quick, evaluate__batch_size=3, spg__delta_h=0.8, methods=["has"])
    assert checkpoints_of(params=other) == checkpoints_of()


def test_other_images_start_afresh(checkpoints_of, packed_once):
    assert checkpoints_of(data=packed_once / "multi") != checkpoints_of()


def test_training_starts_from_the_backbones_first_weights(fitted, quick, backbone_file, tmp_path):
    frozen = changed(quick, backbone__frozen_stages=5, spn__train_single__epochs=1)
    folder = fitted(tmp_path / "net", frozen)
    stored, learnt = load_file(backbone_file), load_file(folder / "weights.safetensors")
    prefix = "backbone.network."
    kept = {n.removeprefix(prefix): v for n, v in learnt.items() if n.startswith(prefix)}
    assert kept and all(torch.equal(value, stored[name]) for name, value in kept.items())


class Noted:
    """A `prepare` that writes a file and counts its calls."""

    def __init__(self):
        self.calls, self.fault = 0, None

    def __call__(self, folder, splits, params):
        self.calls += 1
        sizes = "".join(f"{name} {len(split)}\n" for name, split in splits.items())
        (folder / "sizes.txt").write_text(sizes)
        if self.fault:
            raise self.fault


@pytest.fixture
def prepare():
    return Noted()


def test_what_a_method_prepares_stands_beside_its_weights(fitted, quick, prepare, tmp_path):
    read = []

    def targets(split, folder, params):
        read.append((folder / "sizes.txt").read_text())
        return cam.METHOD.targets(split, folder, params)

    method = replace(cam.METHOD, prepare=prepare, targets=targets)
    folder = fitted(tmp_path / "net", changed(quick, spn__train_single__epochs=1), method)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "sizes.txt"])
    assert read == ["train 10\nval 4\ntest 4\n"] == [(folder / "sizes.txt").read_text()]


def test_it_is_prepared_once_though_the_training_is_cut_off(fitted, whole, prepare, tmp_path):
    method, folder = replace(cam.METHOD, prepare=prepare), tmp_path / "net"
    with pytest.raises(Killed):
        fitted(folder, method=killed(method))
    assert bytes_of(fitted(folder, method=method)) == bytes_of(whole)
    assert prepare.calls == 1


def test_half_of_what_is_prepared_is_never_used(fitted, checkpoints_of, prepare, tmp_path):
    method = replace(cam.METHOD, prepare=prepare)
    prepare.fault = Killed()
    with pytest.raises(Killed):
        fitted(tmp_path / "net", method=method)
    prepare.fault = None
    resumed = checkpoints_of(method=method)
    assert prepare.calls == 2
    assert sorted(path.name for path in (resumed / "prepared").iterdir()) == ["sizes.txt"]


def test_other_test_images_are_prepared_for_anew(checkpoints_of, prepare, packed):
    method, data = replace(cam.METHOD, prepare=prepare), packed / "single"
    before = PackedSplit(data / "train").digest
    first = checkpoints_of(method=method, data=data)
    (data / "val").rename(data / "once val")
    (data / "test").rename(data / "val")
    (data / "once val").rename(data / "test")
    assert PackedSplit(data / "train").digest == before
    assert checkpoints_of(method=method, data=data) != first
    assert prepare.calls == 2


@pytest.mark.parametrize(("missing", "stage"), [("data", "preprocess"), ("backbone", "pretrain")])
def test_a_missing_input_names_the_stage_to_run(
    quick, packed_once, backbone_file, tmp_path, missing, stage
):
    files = {"data": packed_once / "single", "backbone": backbone_file}
    files[missing] = tmp_path / "gone"
    out = {"folder": tmp_path / "net", "scratch": tmp_path / "scratch"}
    with pytest.raises(InputError, match=f"gone.*: not found; run `dvc repro {stage}`"):
        fit(cam.METHOD, quick, "single", **files, **out)
    assert list(tmp_path.iterdir()) == []
