import json
from pathlib import Path

import numpy as np
import pytest
import torch
from stages.evaluate_wsddn import evaluate_wsddn

from pipeline.errors import InputError
from pipeline.methods.wsddn import WeaklySupervisedDetector
from pipeline.models.backbones import Backbone
from pipeline.models.weights import save_weights
from pipeline.packed.proposals import Proposals, write_proposals
from pipeline.packed.record import SPLITS
from pipeline.packed.store import PackedSplit
from stages.paths import proposals_file
from tests.parameters import changed

OUT, WEIGHTS = Path("data/scores/wsddn.json"), Path("data/models/wsddn.safetensors")


@pytest.fixture
def on(quick):
    small = {"wsddn__boxes": 4, "wsddn__hidden": 8, "evaluate__resamples": 20}
    return changed(quick, methods__wsddn=True, **small)


@pytest.fixture
def network(workspace, on):
    """Leave random weights of WSDDN where its training would."""
    torch.manual_seed(0)
    built = WeaklySupervisedDetector(Backbone(on.backbone), 3, on.wsddn)
    save_weights(built, WEIGHTS)
    return built


def propose(boxes_of):
    """Leave the boxes that `boxes_of` gives of each record, all with score 1."""
    write_proposals(
        proposals_file("edge_boxes"),
        (
            Proposals(r.id, name, boxes := boxes_of(r), np.ones(len(boxes), np.float32))
            for name in SPLITS
            for r in PackedSplit(Path(f"data/packed/multi/{name}"))
        ),
    )


def first_object(record):
    return record.boxes_xyxy[:1]


def scores():
    return json.loads(OUT.read_text())


def test_the_scores_are_those_of_the_published_table(network, on):
    propose(first_object)
    evaluate_wsddn(on)
    found = scores()
    assert set(found) == {
        "model",
        "backbone",
        "seed",
        "dataset",
        "classes",
        "cor_loc",
        "classification_map",
        "classification_map_per_class",
        "n",
    }
    assert (found["model"], found["dataset"]) == ("wsddn", "boxes")
    assert found["n"] == {"trainval": 14, "test": 4}
    assert set(found["cor_loc"]["per_class"]) <= set(found["classes"])
    assert set(found["classification_map"]) == {"value", "low", "high"}


def test_the_one_proposal_of_each_image_decides_corloc(network, on):
    # Pairs of train and val by hand: every image has its own class, whose box is proposed, and the
    # images 3, 7 and 11 have the next class (1, 2, 0) as well, whose box is not.
    propose(first_object)
    evaluate_wsddn(on)
    found = scores()["cor_loc"]["per_class"]
    expected = {"red": 500 / 6, "lime": 500 / 6, "blue": 400 / 5}
    assert {name: each["value"] for name, each in found.items()} == pytest.approx(expected)


def test_images_without_proposals_are_scored_by_the_whole_picture(network, on):
    propose(lambda record: record.boxes_xyxy[:0])
    evaluate_wsddn(on)
    assert scores()["cor_loc"]["mean"]["value"] == 0  # no box fills half of its picture


def test_evaluating_twice_gives_the_same_bytes(network, on):
    propose(first_object)
    evaluate_wsddn(on)
    first = OUT.read_bytes()
    evaluate_wsddn(on)
    assert OUT.read_bytes() == first


def test_while_it_is_off_the_scores_are_empty_and_nothing_is_read(tmp_path, params, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate_wsddn(changed(params, methods__wsddn=False))
    assert scores() == {}


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("models/wsddn.safetensors", "train_wsddn"),
        ("proposals/edge_boxes.arrow", ".*propose"),
        ("packed/multi/val/index.json", "preprocess"),
        ("packed/multi/test/index.json", "preprocess"),
    ],
)
def test_a_missing_input_names_the_stage_to_run(network, on, missing, stage):
    propose(first_object)
    (Path("data") / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: not found; run `dvc repro {stage}"):
        evaluate_wsddn(on)
    assert not OUT.exists()


def test_damaged_weights_leave_no_scores(network, on):
    propose(first_object)
    network.classification.bias.data.fill_(float("nan"))
    save_weights(network, WEIGHTS)
    with pytest.raises(InputError, match="image 000: .* not finite"):
        evaluate_wsddn(on)
    assert not OUT.exists()
