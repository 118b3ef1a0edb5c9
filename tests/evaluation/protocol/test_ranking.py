from dataclasses import replace

import numpy as np
import pytest

from pipeline.datasets.packing import pack
from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.pairs import StoredPairs
from pipeline.evaluation.protocol.ranking import Ranker, ranked_scores, ranks_by
from pipeline.evaluation.protocol.single_label import single_label_figures
from pipeline.packed.record import Dataset, Split
from pipeline.packed.store import PackedSplit
from tests.coloured_boxes import COLOURS, coloured_box
from tests.evaluation.protocol.plain import plain
from tests.parameters import changed

CLASSES = 3
ERRORS = ("top1_localization_error", "top1_classification_error", "top5_localization_error")


@pytest.fixture
def split(tmp_path):
    """Six packed pictures of three classes, 0 1 2 0 1 2."""
    records = [coloured_box(number, "single") for number in range(6)]
    dataset = Dataset("boxes", "single", COLOURS, {"test": Split(iter, records)})
    pack(dataset, tmp_path / "single", origin="", workers=1)
    return PackedSplit(tmp_path / "single/test")


@pytest.fixture
def few(params):
    return changed(params, evaluate__resamples=30)


def localizer(split, missed=(), scores=(1.0, 0.0, 0.0)):
    """Predictions whose maps are right but for the `missed` images."""
    for number, record in enumerate(split):
        x0, y0, x1, y1 = record.boxes_xyxy[0].astype(int)
        values = np.zeros((CLASSES, record.height, record.width), np.float32)
        values[:, y0:y1, x0:x1] = 1
        if number in missed:
            values[:] = 0
            values[:, :2, :2] = 1
        chosen = np.array(scores, np.float32)
        yield Prediction(record.id, "test", chosen, np.arange(CLASSES), values)


def ranker(split, rows, name="other", stages="classify"):
    """A ranker with these class scores, a row for each image."""
    none = np.zeros((0, 1, 1), np.float32)
    found = [
        Prediction(record.id, "test", np.array(row, np.float32), np.zeros(0, int), none)
        for record, row in zip(split, rows, strict=True)
    ]
    return Ranker(name, lambda: iter(found), stages)


def right(split, sure=1.0):
    """Class scores with the image's own class first."""
    return [sure * np.eye(CLASSES)[record.labels[0]] for record in split]


def pairs(split, **values):
    return StoredPairs(lambda: localizer(split, **values), split)


def test_the_ranking_is_the_rankers_and_the_boxes_are_the_localizers(split, few):
    own = pairs(split, missed=[5])
    found = ranked_scores(own, own, [ranker(split, right(split))], few)
    assert set(found) == {"other"}
    scores = plain(found["other"])
    assert scores["top1_classification_error"] == 0
    # One of six boxes is wrong; by its own ranking the first class is right in two images.
    assert scores["top1_localization_error"] == scores["gt_known_error"] == pytest.approx(100 / 6)
    assert scores["n"] == {"test": 6}
    before = plain(single_label_figures(own, own, COLOURS, few.input).scores(few))
    assert before["top1_classification_error"] == pytest.approx(400 / 6)
    assert before["gt_known_error"] == scores["gt_known_error"]


def test_a_network_that_ranks_its_own_boxes_has_its_own_scores(split, few):
    own = pairs(split, missed=[0, 4], scores=(0.2, 0.5, 0.3))
    found = ranked_scores(own, own, [Ranker("self", own.predictions, "")], few)["self"]
    alone = single_label_figures(own, own, COLOURS, few.input).scores(few)
    assert all(found[key] == alone[key] for key in found if key != "n")
    assert "top5_star_localization_error" in found


def test_thresholds_come_from_the_tuning_predictions(split, few):
    def faint(split):
        for each in localizer(split):
            each.maps[:] = np.where(each.maps > 0, 0.4, 0)
            each.maps[:, 0, 0] = 1
            yield each

    test, tuning = pairs(split), StoredPairs(lambda: faint(split), split)
    low = StoredPairs(lambda: faint(split), split)
    rankers = [ranker(split, right(split))]
    assert plain(ranked_scores(low, low, rankers, few)["other"])["gt_known_error"] == 0
    assert plain(ranked_scores(low, test, rankers, few)["other"])["gt_known_error"] == 100
    assert plain(ranked_scores(test, tuning, rankers, few)["other"])["gt_known_error"] == 0


def test_an_ensemble_is_the_mean_of_probabilities(split):
    labels = [record.labels[0] for record in split]
    # Wrong with 0.4 to 0.35 in one, right with 0.9 in the other: right together.
    unsure = [np.roll([0.35, 0.4, 0.25], label) for label in labels]
    sure = [np.roll([0.9, 0.04, 0.06], label) for label in labels]
    two = [ranker(split, unsure, "unsure"), ranker(split, sure, "sure")]
    ranks = ranks_by(two, split, CLASSES)
    assert list(ranks) == ["unsure", "sure", "ensemble"]
    assert ranks["unsure"].tolist() == [1] * 6
    assert ranks["sure"].tolist() == ranks["ensemble"].tolist() == [0] * 6
    assert list(ranks_by(two[:1], split, CLASSES)) == ["unsure"]


def test_each_ranker_is_scored_alone_and_all_together(split, few):
    own = pairs(split)
    wrong = [np.roll(row, 1) for row in right(split, 0.4)]
    two = [ranker(split, right(split), "good"), ranker(split, wrong, "bad")]
    found = {name: plain(each) for name, each in ranked_scores(own, own, two, few).items()}
    assert set(found) == {"good", "bad", "ensemble"}
    errors = {name: each["top1_classification_error"] for name, each in found.items()}
    assert errors == {"good": 0, "bad": 100, "ensemble": 0}


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda found: found[:-1], "image 005 expected, got none"),
        (lambda found: [*found, found[0]], "no more images expected, got image 000"),
        (lambda found: [replace(found[0], id="x"), *found[1:]], "image 000 expected, got image x"),
        (
            lambda found: [replace(f, scores=f.scores[:2]) for f in found],
            "3 classes expected, got 2",
        ),
    ],
)
def test_a_ranker_of_other_data_is_named_with_the_remedy(split, few, spoil, expected):
    good = ranker(split, right(split), "good")
    found = list(ranker(split, right(split)).predictions())
    bad = Ranker("resnet50", lambda: spoil(found), "classify")
    with pytest.raises(InputError, match=rf"ranker resnet50: {expected}.*dvc repro -f classify"):
        ranked_scores(pairs(split), pairs(split), [good, bad], few)
