"""Stage evaluate: what every model answers, on which images, and its scores."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.methods import registry
from pipeline.packed.proposals import Proposals, StoredProposals, write_proposals
from pipeline.packed.record import SPLITS
from pipeline.packed.store import PackedSplit
from stages.evaluate import evaluate
from stages.paths import model_folder, predictions_file, scores_file, split_folder
from tests.parameters import changed

TRAINED = [m for m in registry.MODELS.values() if m.entry.listed != "proposals"]
LOCALIZERS = [m for m in TRAINED if m.name not in ("wsddn", "rpn")]
MULTI = [m.name for m in LOCALIZERS if m.track == "multi"]
SINGLE = [m.name for m in LOCALIZERS if m.track == "single"]


def first_object(record):
    return record.boxes_xyxy[:1]


def propose(boxes_of):
    """Leave the boxes that `boxes_of` gives of each record for WSDDN, all with score 1."""
    write_proposals(
        model_folder("wsddn") / "proposals.arrow",
        (
            Proposals(r.id, name, boxes := boxes_of(r), np.ones(len(boxes), np.float32))
            for name in SPLITS
            for r in PackedSplit(split_folder("multi", name))
        ),
    )


@pytest.fixture(scope="module")
def every(furnished, leave_network, listed, tmp_path_factory):
    """A folder in which every model, of random weights, was evaluated."""
    folder = furnished(tmp_path_factory.mktemp("every"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model in TRAINED:
            leave_network(model.name)
            if model.name == "wsddn":
                propose(first_object)
            evaluate(listed, model.name)
    return folder


@pytest.fixture
def evaluated(every, monkeypatch):
    monkeypatch.chdir(every)


@pytest.fixture
def network(workspace, leave_network):
    """Leave random weights of a network where its training would."""
    return leave_network


def outs(model):
    return predictions_file(model), scores_file(model)


def predictions(model, *splits):
    return [found for split in splits for found in read_predictions(outs(model)[0], split)]


def scores_of(model):
    return json.loads(outs(model)[1].read_text())


def value_of(figures):
    return {name: each["value"] for name, each in figures.items()}


@pytest.mark.parametrize("model", TRAINED, ids=str)
def test_scores_tell_what_they_are_of(evaluated, listed, model):
    scores = scores_of(model.name)
    found = [scores[key] for key in ("model", "backbone", "seed", "dataset", "classes")]
    names = ["red", "lime", "blue"]
    assert found == [model.name, "test_efficientnet", listed.seed, "boxes", names]


@pytest.mark.parametrize("model", MULTI)
def test_multi_label_networks_are_scored_on_all_splits(evaluated, model):
    found = predictions(model, *SPLITS)
    packed = [PackedSplit(split_folder("multi", name)) for name in SPLITS]
    expected = [(record.id, split.split) for split in packed for record in split]
    assert [(each.id, each.split) for each in found] == expected
    scores = scores_of(model)
    assert {"pointing", "center_pointing", "cor_loc", "classification_map"} <= set(scores)
    has_proposals = model in ("spn_multi", "spn_corrected")
    assert ("object_energy" in scores) == has_proposals
    assert (found[0].proposal_map is not None) == has_proposals


def test_spn_is_compared_with_controls_that_look_at_no_image(evaluated):
    controls = {"uniform", "gaussian_15", "gaussian_20", "gaussian_25", "random_features"}
    assert set(scores_of("spn_multi")["object_energy"]) == {"model"} | controls


@pytest.mark.parametrize("model", SINGLE)
def test_single_label_networks_are_scored_on_val_and_test(evaluated, model):
    found = predictions(model, "val", "test")
    assert [each.split for each in found] == ["val"] * 4 + ["test"] * 4
    assert all(each.scores.sum() == pytest.approx(1) for each in found)
    scores = scores_of(model)
    assert {"gt_known_error", "top1_localization_error"} <= set(scores)
    assert scores["threshold_from"] == "val"
    assert set(found[0].guidance) == (
        {"b1", "b2", "c"} if model in ("spg", "spg_oracle") else set()
    )


def test_a_detector_is_scored_by_the_published_table(evaluated):
    scores = scores_of("wsddn")
    figures = {"cor_loc", "classification_map", "classification_map_per_class", "n"}
    assert set(scores) == {"model", "backbone", "seed", "dataset", "classes"} | figures
    assert scores["n"] == {"trainval": 14, "test": 4}
    assert set(scores["cor_loc"]["per_class"]) <= set(scores["classes"])
    assert set(scores["classification_map"]) == {"value", "low", "high"}


def test_the_one_proposal_of_each_image_decides_corloc(evaluated):
    # Pairs of train and val by hand: every image has its own class, whose box is proposed, and the
    # images 3, 7 and 11 have the next class (1, 2, 0) as well, whose box is not.
    found = value_of(scores_of("wsddn")["cor_loc"]["per_class"])
    assert found == pytest.approx({"red": 500 / 6, "lime": 500 / 6, "blue": 400 / 5})


def test_images_without_proposals_are_scored_by_the_whole_picture(network, listed):
    network("wsddn")
    propose(lambda record: record.boxes_xyxy[:0])
    evaluate(listed, "wsddn")
    assert scores_of("wsddn")["cor_loc"]["mean"]["value"] == 0  # no box fills half of its picture


def test_a_proposer_is_asked_and_scored_on_the_test_images_alone(evaluated, listed):
    stored = {name: StoredProposals(predictions_file("rpn"), name) for name in SPLITS}
    assert {name: len(own) for name, own in stored.items()} == {"train": 0, "val": 0, "test": 4}
    for each in stored["test"]:
        assert each.boxes_xyxy.shape == (len(each.scores), 4) and len(each.scores) > 0
        assert each.boxes_xyxy.min() >= 0 and (each.boxes_xyxy <= [48, 40] * 2).all()
        assert (np.diff(each.scores) <= 0).all()
    scores = scores_of("rpn")
    assert scores["n"] == {"test": 4}
    assert 0 < scores["object_energy"]["value"] < 100


@pytest.mark.parametrize("model", ["spn_multi", "spg", "wsddn", "rpn"])
def test_evaluating_twice_gives_the_same_bytes(evaluated, listed, model):
    first = [path.read_bytes() for path in outs(model)]
    evaluate(listed, model)
    assert [path.read_bytes() for path in outs(model)] == first


def test_thresholds_may_come_from_the_test_images(network, quick):
    network("spg_plain")
    evaluate(changed(quick, evaluate__threshold_from="test"), "spg_plain")
    assert scores_of("spg_plain")["threshold_from"] == "test"


def test_the_number_of_resamples_moves_the_intervals_and_not_the_values(every, network, quick):
    network("cam_single")
    evaluate(changed(quick, evaluate__resamples=1), "cam_single")
    one = json.loads((every / outs("cam_single")[1]).read_text())["max_box_acc_v2"]
    other = scores_of("cam_single")["max_box_acc_v2"]
    assert one["value"] == other["value"]
    assert other["low"] == other["high"]
    assert one["low"] < one["high"]


@pytest.mark.parametrize(
    ("model", "told", "layer"),
    [
        ("spn_multi", r"image 000 \(train\): .* not finite", "classifier"),
        ("wsddn", "image 000: .* not finite", "classification"),
    ],
)
def test_a_network_that_gives_nan_leaves_nothing(network, listed, model, told, layer):
    network(model, **{layer: float("nan")})
    propose(first_object)
    with pytest.raises(InputError, match=told):
        evaluate(listed, model)
    assert not any(path.exists() for path in outs(model))
    assert list(predictions_file(model).parent.iterdir()) == []


def test_features_that_are_constant_are_no_obstacle(network, quick):
    network("spn_multi", convolution=0.0)
    evaluate(quick, "spn_multi")
    energies = value_of(scores_of("spn_multi")["object_energy"])
    assert energies["model"] == pytest.approx(energies["uniform"])


@pytest.mark.parametrize(
    ("model", "missing", "stage"),
    [
        ("cam_single", "models/cam_single/weights.safetensors", "train_cam@single"),
        ("cam_single", "packed/single/val/index.json", "preprocess"),
        ("cam_single", "packed/single/test/index.json", "preprocess"),
        ("wsddn", "models/wsddn/weights.safetensors", "train_method@wsddn"),
        ("wsddn", "models/wsddn/proposals.arrow", r"--glob 'evaluate_\*'"),
        ("wsddn", "packed/multi/train/index.json", "preprocess"),
        ("rpn", "models/rpn/weights.safetensors", "train_method@rpn"),
    ],
)
def test_a_missing_input_names_the_stage_to_run(network, listed, model, missing, stage):
    network(model)
    propose(first_object)
    (Path("data") / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: not found; run `dvc repro {stage}`"):
        evaluate(listed, model)
    assert not any(path.exists() for path in outs(model))


@pytest.mark.parametrize("model", ["cam_multi", "cam_single"])
def test_an_empty_test_split_is_refused(network, quick, model):
    network(model)
    index = split_folder(registry.MODELS[model].track, "test") / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"shards": []}))
    with pytest.raises(InputError, match="nothing to score: .* check the"):
        evaluate(quick, model)
    assert not outs(model)[1].exists()


def test_weights_of_another_network_are_refused(network, quick):
    network("cam_single")
    with pytest.raises(InputError, match="cam_single/weights.safetensors: not the weights of this"):
        evaluate(changed(quick, spn__channels=32), "cam_single")


def test_a_method_taken_off_the_list_is_refused_though_its_files_are_there(evaluated, listed):
    before = [path.read_bytes() for path in outs("has")]
    with pytest.raises(InputError, match="has is not on the list `methods` of params.yaml; put it"):
        evaluate(changed(listed, methods=["acol"]), "has")
    assert [path.read_bytes() for path in outs("has")] == before


@pytest.mark.parametrize("model", ["cam", "edge_boxes"])
def test_what_is_no_trained_model_is_refused(workspace, listed, model):
    with pytest.raises(InputError, match=f"model '{model}' is none of cam_multi"):
        evaluate(listed, model)


@pytest.mark.parametrize("model", ["cam_multi", "spn_multi"])
def test_further_input_sizes_leave_all_figures_but_the_oracle_of_corloc(
    every, network, quick, model
):
    network(model)
    one = json.loads((every / outs(model)[1]).read_text())
    evaluate(changed(quick, evaluate__scales=[0.5, 1.0, 2.5]), model)
    more = scores_of(model)
    assert [len(each.further_maps) for each in predictions(model, "train", "test")] == [
        *[2] * 10,
        *[0] * 4,
    ]
    assert {name for name in one if one[name] != more[name]} <= {"cor_loc_oracle"}
