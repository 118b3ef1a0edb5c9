import json
from functools import partial

import numpy as np
import pytest
import torch

from pipeline.datasets.store import PackedSplit
from pipeline.localization.predictions import Prediction
from pipeline.models.soft_proposal import SoftProposal
from pipeline.protocol.pairs import StoredPairs
from pipeline.protocol.scores import (
    SCORED_SPLITS,
    random_feature_maps,
    scores_of,
    without_nan,
)
from tests.parameters import changed


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


def scored(splits, params, guess=oracle, **values):
    pairs = {
        name: StoredPairs(partial(predicted, split, guess, **values), split)
        for name, split in splits.items()
    }
    test = splits["test"]
    return scores_of(pairs, test.classes, params, test.task)


def predicted(split, guess, **values):
    return (guess(record, split.split, **values) for record in split)


def test_an_oracle_is_perfect_on_the_multi_label_track(splits, quick):
    scores = scored(splits("multi"), quick, proposals=True)
    assert scores["n"]["test"] == 4
    assert scores["n"]["trainval"] == 14
    assert scores["pointing"]["all"] == scores["cor_loc"]["mean"] == 100
    assert scores["classification_map"] == scores["pointing_with_prediction_map"] == 100
    assert scores["object_energy"]["model"] == pytest.approx(100)


def test_object_energy_comes_with_controls_that_see_no_image(splits, quick):
    energies = scored(splits("multi"), quick, proposals=True)["object_energy"]
    assert set(energies) == {"model", "uniform", "gaussian", "random_features"}
    controls = {name: value for name, value in energies.items() if name != "model"}
    assert all(10 < value < 80 for value in controls.values())
    assert len(set(controls.values())) == 3


def test_a_network_without_proposals_has_no_object_energy(splits, quick):
    assert "object_energy" not in scored(splits("multi"), quick)


def test_an_oracle_is_perfect_on_the_single_label_track(splits, quick):
    scores = scored(splits("single"), quick)
    assert scores["gt_known_error"] == scores["top1_localization_error"] == 0
    assert scores["top1_classification_error"] == 0


@pytest.mark.parametrize("source", ["val", "test"])
def test_thresholds_come_from_the_split_that_is_named(splits, quick, source):
    # An oracle on val; on test every map is upside down, with its object below half of the maximum.
    def guess(record, split):
        found = oracle(record, split)
        if split == "test":
            found.maps[:] = np.where(found.maps > 0, 0.4, found.maps)
            found.maps[:, 0, 0] = 1
        return found

    chosen = changed(quick, evaluate__threshold_from=source)
    scores = scored(splits("single"), chosen, guess)
    assert scores["threshold_from"] == source
    assert scores["gt_known_error"] == {"val": 100, "test": 0}[source]


@pytest.mark.parametrize("track", ["multi", "single"])
def test_scores_are_plain_numbers_without_nan(splits, quick, track):
    scores = scored(splits(track), quick)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_random_features_give_reproducible_proposals_of_noise(quick):
    maps, again = (list(random_feature_maps(3, 5, 7, quick.spn, seed=4)) for _ in range(2))
    np.testing.assert_array_equal(maps, again)
    assert all(m.shape == (5, 7) and m.sum() == pytest.approx(1) for m in maps)
    assert not np.array_equal(maps[0], maps[1])
    noise = torch.randn((1, quick.spn.channels, 5, 7), generator=torch.Generator().manual_seed(4))
    np.testing.assert_array_equal(maps[0], SoftProposal(quick.spn)(noise.relu())[0])


def test_undefined_values_are_left_out_at_every_depth():
    nan = float("nan")
    scores = {"a": nan, "b": 1.0, "c": {"d": nan, "e": 2, "f": ["x"]}}
    assert without_nan(scores) == {"b": 1.0, "c": {"e": 2, "f": ["x"]}}
