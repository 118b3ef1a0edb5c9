import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stages.propose import METHODS

from pipeline.datasets.packing import pack
from pipeline.errors import InputError
from pipeline.packed.proposals import Proposals, write_proposals
from pipeline.packed.record import SPLITS, Dataset, Split
from pipeline.packed.store import PackedSplit
from stages.evaluate_proposals import BACKBONES, evaluate_proposals
from tests.coloured_boxes import COLOURS, coloured_box
from tests.parameters import changed


@pytest.fixture
def propose(workspace):
    """Leave proposals of the test images where `propose` would: one box for each record."""

    def write(method, boxes_of):
        split = PackedSplit(Path("data/packed/multi/test"))
        found = ((r.id, np.array(boxes_of(r), np.float32).reshape(-1, 4)) for r in split)
        path = Path(f"data/proposals/{method}.arrow")
        write_proposals(
            path, (Proposals(i, "test", b, np.ones(len(b), np.float32)) for i, b in found)
        )

    return write


def scores(method):
    return json.loads(Path(f"data/scores/{method}.json").read_text())


def on(params, method):
    return changed(params, **{f"methods__{method}": True})


def test_every_method_that_proposes_is_scored():
    assert set(BACKBONES) == set(METHODS)


@pytest.mark.parametrize("method", BACKBONES)
def test_a_method_that_is_off_has_no_scores(tmp_path, monkeypatch, params, method):
    monkeypatch.chdir(tmp_path)  # without any input
    evaluate_proposals(params, method)
    assert scores(method) == {}


@pytest.mark.parametrize(
    ("method", "backbone"),
    [("selective_search", "none"), ("edge_boxes", "none"), ("rpn", "test_efficientnet")],
)
def test_an_oracle_has_all_the_energy(propose, quick, method, backbone):
    propose(method, lambda record: record.boxes_xyxy)
    evaluate_proposals(on(quick, method), method)
    assert scores(method) == {
        "model": method,
        "backbone": backbone,
        "seed": quick.seed,
        "dataset": "boxes",
        "object_energy": {"value": 100, "low": 100, "high": 100},
        "n": {"test": 4},
    }


def test_object_energy_is_a_mean_over_images_with_its_interval(propose, quick):
    def box(record):
        """The object, or for the first image the picture without its right half."""
        return [0, 0, 24, 40] if record.id == "014" else record.boxes_xyxy[:1]

    propose("edge_boxes", box)
    evaluate_proposals(on(quick, "edge_boxes"), "edge_boxes")
    energy = scores("edge_boxes")["object_energy"]
    area = 14 * 24  # image 014: [8, 6, 22, 30]
    first = 100 * area / (24 * 40)
    assert energy["value"] == pytest.approx((first + 300) / 4)
    assert first - 1e-9 <= energy["low"] < energy["value"] < energy["high"] == pytest.approx(100)


def test_evaluating_twice_gives_the_same_bytes(propose, quick):
    propose("edge_boxes", lambda record: [0, 0, 30, 30])
    path, found = Path("data/scores/edge_boxes.json"), []
    for _ in range(2):
        evaluate_proposals(on(quick, "edge_boxes"), "edge_boxes")
        found.append(path.read_bytes())
    assert found[0] == found[1]


def without_objects(record):
    none = {"labels": (), "box_labels": np.zeros(0, np.int64), "difficult": np.zeros(0, bool)}
    return replace(record, boxes_xyxy=np.zeros((0, 4), np.float32), **none)


def repack(bare):
    """Pack images 0, 1 and 2 as every split; those whose number is in `bare` have no objects."""

    def make(numbers):
        for number in numbers:
            record = coloured_box(number, "multi")
            yield without_objects(record) if number in bare else record

    splits = {name: Split(make, range(3)) for name in SPLITS}
    pack(Dataset("boxes", "multi", COLOURS, splits), Path("data/packed/multi"), "", workers=1)


def test_images_without_objects_are_left_out_of_the_mean(propose, quick):
    repack(bare=[0, 1])
    propose("edge_boxes", lambda record: [0, 0, 48, 40])
    evaluate_proposals(on(quick, "edge_boxes"), "edge_boxes")
    area = (22 - 6) * (30 - 6)  # image 002: [6, 6, 22, 30]
    assert scores("edge_boxes")["object_energy"]["value"] == pytest.approx(100 * area / (48 * 40))
    assert scores("edge_boxes")["n"] == {"test": 3}


def test_a_split_without_any_object_cannot_be_judged(propose, quick):
    repack(bare=[0, 1, 2])
    propose("edge_boxes", lambda record: [0, 0, 48, 40])
    with pytest.raises(InputError, match=r"boxes: none of 3 test image\(s\) has a box"):
        evaluate_proposals(on(quick, "edge_boxes"), "edge_boxes")
    assert not Path("data/scores").exists()


def test_a_missing_or_foreign_input_names_its_stage(propose, quick):
    params = on(quick, "edge_boxes")
    with pytest.raises(InputError, match="edge_boxes.arrow: not found; run .*propose"):
        evaluate_proposals(params, "edge_boxes")
    write_proposals(Path("data/proposals/edge_boxes.arrow"), ())
    with pytest.raises(InputError, match="proposals of 0 images for 4; run .*propose"):
        evaluate_proposals(params, "edge_boxes")
    propose("edge_boxes", lambda record: [0, 0, 30, 30])
    Path("data/packed/multi/test/index.json").unlink()
    with pytest.raises(InputError, match="index.json: not found; run `dvc repro preprocess`"):
        evaluate_proposals(params, "edge_boxes")
    assert not Path("data/scores").exists()


def test_an_unknown_method_is_refused(workspace, quick):
    with pytest.raises(InputError, match="method 'bing' is none of selective_search, edge_boxes"):
        evaluate_proposals(quick, "bing")
