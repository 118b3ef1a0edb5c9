from pathlib import Path

import pandas as pd
import pytest
from stages.train_cam import TWINS, train_cam

from pipeline.errors import InputError
from pipeline.methods.registry import trained


def outs(model):
    return Path(f"data/models/{model}.safetensors"), Path(f"data/history/{model}.csv")


@pytest.mark.parametrize("model", TWINS)
def test_a_twin_is_trained_to_weights_and_a_history(workspace, quick, model):
    train_cam(quick, model)
    weights, history = outs(model)
    trained(model, 3, quick, weights)
    table = pd.read_csv(history)
    assert table["epoch"].tolist() == [1, 2]
    assert list(table.columns) == ["epoch", "loss", "classification"]
    assert {p.name for p in Path("data").rglob("*") if p.is_file() and model in p.name} == {
        weights.name,
        history.name,
    }


def test_training_twice_gives_the_same_bytes(workspace, quick):
    train_cam(quick, "spg_plain")
    first = [path.read_bytes() for path in outs("spg_plain")]
    train_cam(quick, "spg_plain")
    assert [path.read_bytes() for path in outs("spg_plain")] == first


def test_an_unknown_twin_is_refused(workspace, quick):
    with pytest.raises(InputError, match="model 'spn_multi' is none of cam_multi, cam_single, spg"):
        train_cam(quick, "spn_multi")


@pytest.mark.parametrize(
    ("missing", "stage"),
    [("packed/multi/train/index.json", "preprocess"), ("weights/backbone.safetensors", "pretrain")],
)
def test_a_missing_input_names_the_stage_to_run(workspace, quick, missing, stage):
    (workspace / "data" / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: not found; run `dvc repro {stage}`"):
        train_cam(quick, "cam_multi")
    assert not any(path.exists() for path in outs("cam_multi"))
