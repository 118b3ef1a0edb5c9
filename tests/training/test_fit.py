import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.errors import InputError
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.spg.network import SelfProducedGuidance
from pipeline.methods.spg.objective import SelfProducedGuidanceObjective
from pipeline.methods.spn.network import SoftProposalNetwork
from pipeline.models.losses import Classification
from pipeline.training.fit import fit
from tests.parameters import changed


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


@pytest.fixture
def trained(quick, packed, backbone_file, tmp_path):
    """Fit a network on the single-label track; return the folder of its files."""

    def make(folder, params=quick, kind=ClassActivationNetwork, killed=None):
        def objective(backbone, classes):
            network = kind(backbone, classes, params.spn)
            return Classification(network) if killed is None else KilledInEpoch(network, killed)

        out = tmp_path / folder
        fit(
            objective,
            params,
            params.spn,
            params.spn.train_multi,
            split=packed / "single" / "train",
            backbone=backbone_file,
            weights=out / "net.safetensors",
            history=out / "net.csv",
            scratch=tmp_path / f"{folder}-scratch",
        )
        return out

    return make


def bytes_of(folder):
    return [(folder / name).read_bytes() for name in ("net.safetensors", "net.csv")]


def test_the_same_training_gives_the_same_bytes(trained):
    assert bytes_of(trained("one")) == bytes_of(trained("two"))


def test_weights_and_history_are_written_and_nothing_else(trained, tmp_path):
    folder = trained("one")
    assert sorted(path.name for path in folder.iterdir()) == ["net.csv", "net.safetensors"]
    history = pd.read_csv(folder / "net.csv")
    assert list(history.columns) == ["epoch", "loss", "classification"]
    assert history["epoch"].tolist() == [1, 2]
    assert not [path for path in (tmp_path / "one-scratch").iterdir() if path.is_dir()]


def test_an_interrupted_training_resumes_to_the_same_bytes(trained, tmp_path):
    with pytest.raises(Killed):
        trained("broken", killed=1)
    assert not (tmp_path / "broken").exists()
    resumed = bytes_of(trained("broken"))
    assert resumed == bytes_of(trained("whole"))


@pytest.mark.parametrize(
    "change", [{"spn__train_multi__learning_rate": 0.001}, {"seed": 5}, {"input__flip": False}]
)
def test_a_changed_parameter_starts_afresh(trained, quick, change):
    with pytest.raises(Killed):
        trained("broken", killed=1)
    other = changed(quick, **change)
    assert bytes_of(trained("broken", other)) == bytes_of(trained("whole", other))
    assert bytes_of(trained("broken", other)) != bytes_of(trained("unchanged"))


def test_training_starts_from_the_backbones_first_weights(trained, quick, backbone_file):
    frozen = changed(quick, backbone__frozen_stages=5)
    stored, learnt = load_file(backbone_file), load_file(trained("one", frozen) / "net.safetensors")
    prefix = "backbone.network."
    kept = {n.removeprefix(prefix): v for n, v in learnt.items() if n.startswith(prefix)}
    assert kept and all(torch.equal(value, stored[name]) for name, value in kept.items())


def test_twins_differ_by_their_training_alone(trained, quick):
    start = changed(
        quick, spn__train_multi__learning_rate=1e-30, spn__train_multi__added_learning_rate=1e-30
    )
    cam = load_file(trained("cam", start) / "net.safetensors")
    spn = load_file(trained("spn", start, SoftProposalNetwork) / "net.safetensors")
    assert cam.keys() == spn.keys()
    for name in (name for name in cam if name.endswith(("weight", "bias"))):
        torch.testing.assert_close(cam[name], spn[name], rtol=0, atol=1e-12)


def test_guidance_terms_join_the_history_after_the_warm_up(quick, packed, backbone_file, tmp_path):
    def objective(backbone, classes):
        network = SelfProducedGuidance(backbone, classes, quick.spg)
        return SelfProducedGuidanceObjective(network, quick.spg, quick.input)

    files = {"split": packed / "single" / "train", "backbone": backbone_file}
    outs = {"weights": tmp_path / "spg.safetensors", "history": tmp_path / "spg.csv"}
    fit(objective, quick, quick.spg, quick.spg.train, **files, **outs, scratch=tmp_path / "scratch")
    history = pd.read_csv(tmp_path / "spg.csv")
    assert list(history.columns) == ["epoch", "loss", "classification", "b2", "b1", "c"]
    assert history[["b2", "b1", "c"]].isna().all(axis=1).tolist() == [True, False]


@pytest.mark.parametrize(("missing", "stage"), [("split", "preprocess"), ("backbone", "pretrain")])
def test_a_missing_input_names_the_stage_to_run(
    quick, packed, backbone_file, tmp_path, missing, stage
):
    files = {"split": packed / "single" / "train", "backbone": backbone_file}
    files[missing] = tmp_path / "gone"
    outs = {"weights": tmp_path / "out/net.safetensors", "history": tmp_path / "out/net.csv"}
    with pytest.raises(InputError, match=f"gone.*: not found; run `dvc repro {stage}`"):
        fit(
            lambda backbone, classes: Classification(
                ClassActivationNetwork(backbone, classes, quick.spn)
            ),
            quick,
            quick.spn,
            quick.spn.train_multi,
            **files,
            **outs,
            scratch=tmp_path / "scratch",
        )
    assert not (tmp_path / "out").exists()
