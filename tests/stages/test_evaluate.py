import json
from pathlib import Path

import pytest
import torch

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.weights import save_weights
from pipeline.packed.store import PackedSplit
from stages.evaluate import evaluate
from tests.parameters import changed


@pytest.fixture
def quick(quick):
    """With few resamples."""
    return changed(quick, evaluate__resamples=20)


@pytest.fixture
def network(workspace, quick):
    """Leave random weights of a network where its training would."""

    def make(model, **values):
        torch.manual_seed(0)
        built = registry.find(model).build(Backbone(quick.backbone), 3, quick)
        for name, value in values.items():
            built.get_submodule(name).weight.data.fill_(value)
        save_weights(built, Path(f"data/models/{model}.safetensors"))

    return make


def outs(model):
    return Path(f"data/predictions/{model}.arrow"), Path(f"data/scores/{model}.json")


def predictions(model, *splits):
    return [found for split in splits for found in read_predictions(outs(model)[0], split)]


def scores_of(model):
    return json.loads(outs(model)[1].read_text())


@pytest.mark.parametrize("model", ["cam_multi", "spn_multi"])
def test_multi_label_networks_are_scored_on_all_splits(network, quick, model):
    network(model)
    evaluate(quick, model)
    found = predictions(model, "train", "val", "test")
    packed = [PackedSplit(Path(f"data/packed/multi/{s}")) for s in ("train", "val", "test")]
    expected = [(record.id, split.split) for split in packed for record in split]
    assert [(each.id, each.split) for each in found] == expected
    scores = scores_of(model)
    assert (scores["model"], scores["dataset"], scores["seed"]) == (model, "boxes", quick.seed)
    assert {"pointing", "center_pointing", "cor_loc", "classification_map"} <= set(scores)
    assert ("object_energy" in scores) == (model == "spn_multi")
    assert (found[0].proposal_map is not None) == (model == "spn_multi")


@pytest.mark.parametrize("model", ["cam_single", "spn_single", "spg_plain", "spg"])
def test_single_label_networks_are_scored_on_val_and_test(network, quick, model):
    network(model)
    evaluate(quick, model)
    found = predictions(model, "val", "test")
    assert [each.split for each in found] == ["val"] * 4 + ["test"] * 4
    assert all(each.scores.sum() == pytest.approx(1) for each in found)
    scores = scores_of(model)
    assert {"gt_known_error", "top1_localization_error", "threshold_from"} <= set(scores)
    assert set(found[0].guidance) == ({"b1", "b2", "c"} if model == "spg" else set())


@pytest.mark.parametrize("model", ["spn_multi", "spg"])
def test_evaluating_twice_gives_the_same_bytes(network, quick, model):
    network(model)
    evaluate(quick, model)
    first = [path.read_bytes() for path in outs(model)]
    evaluate(quick, model)
    assert [path.read_bytes() for path in outs(model)] == first


def test_the_split_that_chooses_thresholds_is_named(network, quick):
    network("spg_plain")
    for source in ("val", "test"):
        evaluate(changed(quick, evaluate__threshold_from=source), "spg_plain")
        assert scores_of("spg_plain")["threshold_from"] == source


def test_the_number_of_resamples_moves_the_intervals_and_not_the_values(network, quick):
    network("cam_single")
    evaluate(quick, "cam_single")
    one = scores_of("cam_single")["max_box_acc_v2"]
    evaluate(changed(quick, evaluate__resamples=1), "cam_single")
    other = scores_of("cam_single")["max_box_acc_v2"]
    assert one["value"] == other["value"]
    assert other["low"] == other["high"]
    assert one["low"] < one["high"]


def test_a_method_that_is_off_has_neither_predictions_nor_scores(workspace, quick):
    evaluate(changed(quick, methods__has=False), "has")
    assert predictions("has", "val", "test") == []
    assert scores_of("has") == {}


def test_a_method_that_is_on_is_evaluated(network, quick):
    on = changed(quick, methods__has=True)
    network("has")
    evaluate(on, "has")
    assert len(predictions("has", "val", "test")) == 8
    assert scores_of("has")["model"] == "has"


def test_a_network_that_gives_nan_leaves_nothing(network, quick):
    network("spn_multi", classifier=float("nan"))
    with pytest.raises(InputError, match=r"image 000 \(train\): .* not finite"):
        evaluate(quick, "spn_multi")
    assert not any(path.exists() for path in outs("spn_multi"))
    assert list(Path("data/predictions").iterdir()) == []


def test_features_that_are_constant_are_no_obstacle(network, quick):
    network("spn_multi", convolution=0.0)
    evaluate(quick, "spn_multi")
    energies = scores_of("spn_multi")["object_energy"]
    assert energies["model"]["value"] == pytest.approx(energies["uniform"]["value"])


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("models/cam_single.safetensors", "train_cam@single"),
        ("packed/single/val/index.json", "preprocess"),
        ("packed/single/test/index.json", "preprocess"),
    ],
)
def test_a_missing_input_names_the_stage_to_run(network, quick, missing, stage):
    network("cam_single")
    (Path("data") / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: not found; run `dvc repro {stage}`"):
        evaluate(quick, "cam_single")
    assert not any(path.exists() for path in outs("cam_single"))


@pytest.mark.parametrize("model", ["cam_multi", "cam_single"])
def test_an_empty_test_split_is_refused(network, quick, model):
    network(model)
    track = model.removeprefix("cam_")
    index = Path(f"data/packed/{track}/test/index.json")
    index.write_text(json.dumps(json.loads(index.read_text()) | {"shards": []}))
    with pytest.raises(InputError, match="nothing to score: .* check the"):
        evaluate(quick, model)
    assert not outs(model)[1].exists()


def test_weights_of_another_network_are_refused(network, quick):
    network("cam_single")
    with pytest.raises(InputError, match="cam_single.safetensors: not the weights of this network"):
        evaluate(changed(quick, spn__channels=32), "cam_single")


def test_an_unknown_network_is_refused(workspace, quick):
    with pytest.raises(InputError, match="model 'cam' is none of cam_multi"):
        evaluate(quick, "cam")


@pytest.mark.parametrize("model", ["cam_multi", "spn_multi"])
def test_further_input_sizes_leave_all_figures_but_the_oracle_of_corloc(network, quick, model):
    network(model)
    evaluate(quick, model)
    one = scores_of(model)
    evaluate(changed(quick, evaluate__scales=[0.5, 1.0, 2.5]), model)
    more = scores_of(model)
    assert [len(each.further_maps) for each in predictions(model, "train", "test")] == [
        *[2] * 10,
        *[0] * 4,
    ]
    assert {name for name in one if one[name] != more[name]} <= {"cor_loc_oracle"}
