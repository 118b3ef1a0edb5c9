"""Stage evaluate_proposals: boxes of the test images, and their Object Energy."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import stages.evaluate_proposals
from pipeline.datasets.packing import pack
from pipeline.errors import InputError
from pipeline.methods.registry import listed as known
from pipeline.packed.proposals import Proposals, StoredProposals
from pipeline.packed.record import SPLITS, Dataset, Split
from pipeline.packed.store import PackedSplit
from stages.evaluate_proposals import evaluate_proposals
from stages.paths import predictions_file, scores_file, split_folder
from tests.coloured_boxes import COLOURS, coloured_box
from tests.parameters import changed

METHODS = known("proposals")


@pytest.fixture
def propose(workspace, listed, monkeypatch):
    """Run the stage with the boxes that a function gives of each record; return the scores."""

    def run(boxes_of, method="edge_boxes"):
        def search(split, asked):
            found = ((r.id, np.array(boxes_of(r), np.float32).reshape(-1, 4)) for r in split)
            return (Proposals(i, split.split, b, np.ones(len(b), np.float32)) for i, b in found)

        monkeypatch.setattr(stages.evaluate_proposals, "search", search)
        evaluate_proposals(listed, method)
        return scores(method)

    return run


def scores(method):
    return json.loads(scores_file(method).read_text())


@pytest.mark.parametrize("method", METHODS)
def test_a_method_proposes_on_the_test_images_the_same_each_time(workspace, listed, method):
    evaluate_proposals(listed, method)
    stored = StoredProposals(predictions_file(method), "test")
    test = PackedSplit(split_folder("multi", "test"))
    assert [each.id for each in stored] == [record.id for record in test]
    assert all(not len(StoredProposals(predictions_file(method), s)) for s in ("train", "val"))
    for each in stored:
        assert each.boxes_xyxy.shape == (len(each.scores), 4)
        assert each.boxes_xyxy.min() >= 0 and (each.boxes_xyxy <= [48, 40] * 2).all()
        assert (np.diff(each.scores) <= 0).all()
    outs = predictions_file(method), scores_file(method)
    first = [path.read_bytes() for path in outs]
    evaluate_proposals(listed, method)
    assert [path.read_bytes() for path in outs] == first


def test_the_number_of_edge_boxes_is_limited(workspace, listed):
    evaluate_proposals(changed(listed, edge_boxes__boxes=1), "edge_boxes")
    stored = StoredProposals(predictions_file("edge_boxes"), "test")
    assert [len(each.scores) for each in stored] == [1] * 4


def test_an_oracle_has_all_the_energy(propose, listed):
    assert propose(lambda record: record.boxes_xyxy) == {
        "model": "edge_boxes",
        "backbone": "none",
        "seed": listed.seed,
        "dataset": "boxes",
        "object_energy": {"value": 100, "low": 100, "high": 100},
        "n": {"test": 4},
    }


def test_object_energy_is_a_mean_over_images_with_its_interval(propose):
    def box(record):
        """The object, or for the first image the picture without its right half."""
        return [0, 0, 24, 40] if record.id == "014" else record.boxes_xyxy[:1]

    energy = propose(box)["object_energy"]
    area = 14 * 24  # image 014: [8, 6, 22, 30]
    first = 100 * area / (24 * 40)
    assert energy["value"] == pytest.approx((first + 300) / 4)
    assert first - 1e-9 <= energy["low"] < energy["value"] < energy["high"] == pytest.approx(100)


def without_objects(record, labels=()):
    none = {"labels": labels, "box_labels": np.zeros(0, np.int64), "difficult": np.zeros(0, bool)}
    return replace(record, boxes_xyxy=np.zeros((0, 4), np.float32), **none)


def repack(bare, labels=()):
    """Pack images 0, 1 and 2 as every split; those whose number is in `bare` have no objects."""

    def make(numbers):
        for number in numbers:
            record = coloured_box(number, "multi")
            yield without_objects(record, labels) if number in bare else record

    splits = {name: Split(make, range(3)) for name in SPLITS}
    pack(Dataset("boxes", "multi", COLOURS, splits), Path("data/packed/multi"), "", workers=1)


def test_images_without_objects_are_left_out_of_the_mean(propose):
    repack(bare=[0, 1])
    found = propose(lambda record: [0, 0, 48, 40])
    area = (22 - 6) * (30 - 6)  # image 002: [6, 6, 22, 30]
    assert found["object_energy"]["value"] == pytest.approx(100 * area / (48 * 40))
    assert found["n"] == {"test": 3}


def test_a_split_without_any_object_cannot_be_judged(propose):
    repack(bare=[0, 1, 2])
    with pytest.raises(InputError, match=r"boxes: none of 3 test image\(s\) has a box"):
        propose(lambda record: [0, 0, 48, 40])
    assert not scores_file("edge_boxes").exists()


def test_labels_without_boxes_have_no_object_energy(propose):
    repack(bare=[0, 1, 2], labels=(1,))
    found = propose(lambda record: [0, 0, 48, 40])
    assert "object_energy" not in found and found["n"] == {"test": 3, "test_boxed": 0}


def test_missing_images_name_their_stage(workspace, listed):
    (split_folder("multi", "test") / "index.json").unlink()
    with pytest.raises(InputError, match="index.json: not found; run `dvc repro preprocess`"):
        evaluate_proposals(listed, "edge_boxes")
    assert not predictions_file("edge_boxes").exists() and not scores_file("edge_boxes").exists()


@pytest.mark.parametrize("method", ["bing", "rpn"])
def test_a_method_that_does_not_propose_without_learning_is_refused(workspace, listed, method):
    with pytest.raises(InputError, match=f"'{method}' is none of selective_search, edge_boxes$"):
        evaluate_proposals(listed, method)


def test_a_method_that_is_not_listed_is_refused(workspace, listed):
    with pytest.raises(InputError, match="edge_boxes is not on the list `proposals` of params.yam"):
        evaluate_proposals(changed(listed, proposals=[]), "edge_boxes")
