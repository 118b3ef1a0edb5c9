import json
from functools import partial

import numpy as np
import pytest

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.pairs import StoredPairs
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, scores_of
from pipeline.packed.store import PackedSplit
from tests.evaluation.protocol.plain import plain
from tests.parameters import changed


@pytest.fixture
def few(quick):
    return changed(quick, evaluate__resamples=30)


@pytest.fixture
def splits(packed):
    """The splits of a track that are scored."""

    def make(track):
        names = SCORED_SPLITS[track]
        return {name: PackedSplit(packed / track / name) for name in names}

    return make


def oracle(record, split, proposals=False):
    """A prediction that knows the boxes of every class of `record`."""
    maps = np.zeros((3, record.height, record.width), np.float32)
    for label, (x0, y0, x1, y1) in zip(
        record.box_labels, record.boxes_xyxy.astype(int), strict=True
    ):
        maps[label, y0:y1, x0:x1] = 1
    scores = np.array([c in record.labels for c in range(3)], np.float32)
    proposal = maps.max(0) / maps.max(0).sum() if proposals else None
    return Prediction(record.id, split, scores, np.arange(3), maps, proposal)


def pairs_of(splits, guess, **values):
    return {
        name: StoredPairs(partial(predicted, split, guess, **values), split)
        for name, split in splits.items()
    }


def scored(splits, params, guess=oracle, **values):
    test = splits["test"]
    return plain(scores_of(pairs_of(splits, guess, **values), test.classes, params, test.task))


def predicted(split, guess, **values):
    return (guess(record, split.split, **values) for record in split)


def test_an_oracle_is_perfect_on_the_multi_label_track(splits, few):
    scores = scored(splits("multi"), few, proposals=True)
    assert scores["n"] == {"test": 4, "trainval": 14, "pointing_all": 5, "pointing_difficult": 3}
    assert scores["pointing"]["all"] == scores["cor_loc"]["mean"] == 100
    assert scores["classification_map"] == scores["pointing_with_prediction_map"] == 100
    assert scores["object_energy"]["model"] == pytest.approx(100)
    assert set(scores["object_energy"]) == {
        "model",
        "uniform",
        "gaussian_15",
        "gaussian_20",
        "gaussian_25",
    }


def test_a_network_without_proposals_has_no_object_energy(splits, few):
    assert "object_energy" not in scored(splits("multi"), few)


def test_an_oracle_is_perfect_on_the_single_label_track(splits, few):
    scores = scored(splits("single"), few)
    assert scores["gt_known_error"] == scores["top1_localization_error"] == 0
    assert scores["top1_classification_error"] == 0


@pytest.mark.parametrize("source", ["val", "test"])
def test_thresholds_come_from_the_split_that_is_named(splits, few, source):
    # An oracle on val; on test every map is upside down, with its object below half of the maximum.
    def guess(record, split):
        found = oracle(record, split)
        if split == "test":
            found.maps[:] = np.where(found.maps > 0, 0.4, found.maps)
            found.maps[:, 0, 0] = 1
        return found

    chosen = changed(few, evaluate__threshold_from=source)
    scores = scored(splits("single"), chosen, guess)
    assert scores["threshold_from"] == source
    assert scores["gt_known_error"] == {"val": 100, "test": 0}[source]


@pytest.mark.parametrize("track", ["multi", "single"])
def test_scores_are_plain_numbers_without_nan(splits, few, track):
    chosen = splits(track)
    scores = scores_of(pairs_of(chosen, oracle), chosen["test"].classes, few, track)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert scores == scores_of(pairs_of(chosen, oracle), chosen["test"].classes, few, track)
