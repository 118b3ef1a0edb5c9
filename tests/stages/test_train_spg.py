from pathlib import Path

import pandas as pd
import pytest
from stages.train_spg import train_spg

from pipeline.errors import InputError
from pipeline.methods.registry import trained
from tests.parameters import changed

WEIGHTS, HISTORY = Path("data/models/spg.safetensors"), Path("data/history/spg.csv")


def test_spg_is_trained_to_weights_and_a_history(workspace, quick):
    train_spg(quick)
    trained("spg", 3, quick, WEIGHTS)
    history = pd.read_csv(HISTORY)
    assert list(history.columns) == ["epoch", "loss", "classification", "b2", "b1", "c"]
    assert history["b2"].isna().tolist() == [True, False]  # one epoch of warm-up
    assert history["loss"].notna().all()


@pytest.mark.parametrize("switch", ["cascade", "share_b", "with_c"])
def test_an_ablation_is_another_network_or_another_training(workspace, quick, switch):
    weights = []
    for value in (True, False):
        # Thresholds that label every pixel of any map, however little the branches have learnt
        chosen = changed(
            quick,
            spg__warmup_epochs=0,
            spg__b1__delta_h=0.5,
            spg__b1__delta_l=0.499999,
            **{f"spg__{switch}": value},
        )
        train_spg(chosen)
        trained("spg", 3, chosen, WEIGHTS)
        weights.append(WEIGHTS.read_bytes())
    assert weights[0] != weights[1]


def test_a_seed_threshold_changes_the_training(workspace, quick):
    weights = []
    for delta_h in (0.6, 0.9):
        train_spg(changed(quick, spg__warmup_epochs=0, spg__delta_h=delta_h, spg__delta_l=0.1))
        weights.append(WEIGHTS.read_bytes())
    assert weights[0] != weights[1]


def test_training_twice_gives_the_same_bytes(workspace, quick):
    train_spg(quick)
    first = WEIGHTS.read_bytes(), HISTORY.read_bytes()
    train_spg(quick)
    assert (WEIGHTS.read_bytes(), HISTORY.read_bytes()) == first


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("packed/single/train/index.json", "preprocess"),
        ("weights/backbone.safetensors", "pretrain"),
    ],
)
def test_a_missing_input_names_the_stage_to_run(workspace, quick, missing, stage):
    (workspace / "data" / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: not found; run `dvc repro {stage}`"):
        train_spg(quick)
    assert not WEIGHTS.exists() and not HISTORY.exists()
