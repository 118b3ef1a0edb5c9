from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from stages.train_wsddn import train_wsddn

from pipeline.errors import InputError
from pipeline.methods.wsddn import trained
from pipeline.packed.proposals import Proposals, write_proposals
from pipeline.packed.store import PackedSplit
from pipeline.training import loop
from stages.paths import proposals_file
from tests.parameters import changed

OUTS = Path("data/models/wsddn.safetensors"), Path("data/history/wsddn.csv")


class Killed(Exception):
    """The training was killed."""


@pytest.fixture
def on(quick):
    schedule = {"epochs": 2, "batch_size": 4, "decay_epochs": [1]}
    small = {f"wsddn__train__{key}": value for key, value in schedule.items()}
    return changed(quick, methods__wsddn=True, wsddn__boxes=4, wsddn__hidden=8, **small)


def propose(name, scores=(0.4, 0.1)):
    """Leave two proposals for each image but the first, which has none."""
    boxes = np.array([[4, 6, 22, 30], [0, 0, 48, 40]], np.float32)[: len(scores)]
    found = [
        Proposals(r.id, name, boxes[: 2 * (i > 0)], np.array(scores, np.float32)[: 2 * (i > 0)])
        for i, r in enumerate(PackedSplit(Path(f"data/packed/multi/{name}")))
    ]
    write_proposals(proposals_file("edge_boxes"), found)


def kill_in_epoch(monkeypatch, killed):
    run_epoch = loop.run_epoch

    def run_or_die(accelerator, objective, optimizer, images, epoch, *others):
        if epoch == killed:
            raise Killed
        return run_epoch(accelerator, objective, optimizer, images, epoch, *others)

    monkeypatch.setattr(loop, "run_epoch", run_or_die)


def bytes_of_outs():
    return [path.read_bytes() for path in OUTS]


def test_wsddn_is_trained_to_weights_and_a_history(workspace, on):
    propose("train")
    train_wsddn(on)
    trained(on, 3, OUTS[0])
    history = pd.read_csv(OUTS[1])
    assert history["epoch"].tolist() == [1, 2]
    assert list(history.columns) == ["epoch", "loss", "classification"]


def test_an_interrupted_training_resumes_to_the_same_bytes(workspace, on, monkeypatch):
    propose("train")
    train_wsddn(on)
    whole = bytes_of_outs()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_in_epoch(patch, 1)
        train_wsddn(on)
    epochs, run_epoch = [], loop.run_epoch
    monkeypatch.setattr(loop, "run_epoch", lambda *a: epochs.append(a[4]) or run_epoch(*a))
    train_wsddn(on)
    assert epochs == [1] and bytes_of_outs() == whole


def test_other_proposals_start_an_interrupted_training_afresh(workspace, on, monkeypatch):
    propose("train")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_in_epoch(patch, 1)
        train_wsddn(on)
    propose("train", scores=(0.4, 0.2))
    epochs, run_epoch = [], loop.run_epoch
    monkeypatch.setattr(loop, "run_epoch", lambda *a: epochs.append(a[4]) or run_epoch(*a))
    train_wsddn(on)
    assert epochs == [0, 1]


def test_while_it_is_off_outs_are_empty_and_nothing_is_read(tmp_path, params, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_wsddn(changed(params, methods__wsddn=False))
    assert load_file(OUTS[0]) == {} and pd.read_csv(OUTS[1]).empty


def test_missing_proposals_name_the_stage_to_run(workspace, on):
    with pytest.raises(InputError, match="edge_boxes.arrow: not found; run `dvc repro .*propose"):
        train_wsddn(on)
    assert not any(path.exists() for path in OUTS)


def test_proposals_of_other_images_alone_are_refused(workspace, on):
    propose("test")
    with pytest.raises(InputError, match=r"proposals of 0 images for the 10 of boxes \(train\)"):
        train_wsddn(on)


@pytest.mark.parametrize(
    ("missing", "stage"),
    [("packed/multi/train/index.json", "preprocess"), ("weights/backbone.safetensors", "pretrain")],
)
def test_a_missing_input_names_the_stage_to_run(workspace, on, missing, stage):
    propose("train")
    (workspace / "data" / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: not found; run `dvc repro {stage}`"):
        train_wsddn(on)
    assert not any(path.exists() for path in OUTS)
