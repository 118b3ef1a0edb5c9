from itertools import permutations

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.protocol.region_scores import region_scores
from pipeline.packed.proposals import Proposals
from pipeline.packed.record import Record
from tests.parameters import changed

CLASSES = ("cat", "dog", "cow")
FAR = [90, 90, 100, 100]


@pytest.fixture
def few(params):
    return changed(params, evaluate__resamples=50)


def record(objects):
    """A 100 x 100 image; objects are (class, box) or (class, box, True) if difficult."""
    boxes = np.array([o[1] for o in objects], np.float32).reshape(-1, 4)
    hard = np.array([len(o) == 3 for o in objects], bool)
    known = {o[0] for o, h in zip(objects, hard, strict=True) if not h}
    labels = np.array([o[0] for o in objects], np.int64)
    return Record("0", b"", 100, 100, tuple(sorted(known)), boxes, labels, hard)


def detection(scores, boxes):
    """Classes without a box in `boxes` are found in a corner."""
    found = [boxes.get(label, FAR) for label in range(len(CLASSES))]
    return Proposals("0", "test", np.array(found, np.float32), np.array(scores, np.float32))


BOX = [0, 0, 40, 40]
HALF = [0, 0, 40, 20]  # IoU 0.5 with BOX
LESS = [0, 0, 40, 19]
TWO = record([(0, BOX), (1, [50, 50, 90, 90])])
TRAINING = [
    (detection([0.9, 0.9, 0], {0: HALF, 1: BOX}), TWO),
    (detection([0.9, 0.1, 0], {0: LESS}), record([(0, BOX)])),
    (detection([0.9, 0.1, 0], {0: BOX}), record([(0, BOX), (2, FAR, True)])),
    (detection([0.0, 0.0, 0], {}), record([])),
]
TEST = [
    (detection([0.9, 0.6, 0.3], {}), record([(0, BOX)])),
    (detection([0.2, 0.5, 0.9], {}), record([(1, BOX), (2, BOX, True)])),
]


def values(figures):
    nested = {k: values(v) if isinstance(v, dict) else v for k, v in figures.items()}
    return nested["value"] if set(nested) == {"value", "low", "high"} else nested


def test_corloc_counts_the_positive_pairs_of_each_class(few):
    found = values(region_scores(TRAINING, TEST, CLASSES, few))
    # cat: IoU 0.5, 0.475 and 1; dog: the box of the cat; cow is only difficult.
    assert found["cor_loc"]["per_class"] == pytest.approx({"cat": 200 / 3, "dog": 0})
    assert found["cor_loc"]["mean"] == pytest.approx(100 / 3)


def test_classification_is_the_mean_average_precision_of_the_test_images(few):
    found = values(region_scores(TRAINING, TEST, CLASSES, few))
    # cat first: 1; dog second of two: 1/2; cow is ignored in one image and absent in the other.
    assert found["classification_map"] == pytest.approx(75)
    assert found["n"] == {"trainval": 4, "test": 2}


def test_every_figure_has_an_interval_around_it(few):
    scores = region_scores(TRAINING, TEST, CLASSES, few)
    located = scores["cor_loc"]
    for each in (located["mean"], *located["per_class"].values(), scores["classification_map"]):
        assert each["low"] <= each["value"] <= each["high"]
    assert located["per_class"]["cat"]["low"] < located["per_class"]["cat"]["high"]
    dog = located["per_class"]["dog"]
    assert dog == {"value": 0, "low": 0, "high": 0}


def test_images_are_drawn_with_all_of_their_pairs(few):
    both_right = detection([1, 1, 1], {0: BOX, 1: [50, 50, 90, 90]})
    both_wrong = detection([1, 1, 1], {})
    training = [(both_right, TWO)] * 5 + [(both_wrong, TWO)] * 5
    located = region_scores(training, TEST, CLASSES, few)["cor_loc"]
    assert located["per_class"]["cat"] == located["per_class"]["dog"] == located["mean"]


def test_the_order_of_the_images_changes_no_value(few):
    expected = values(region_scores(TRAINING, TEST, CLASSES, few))
    for shuffled in permutations(TRAINING):
        assert values(region_scores(shuffled, TEST[::-1], CLASSES, few)) == expected


def test_without_any_object_corloc_is_left_out(few):
    empty = [(detection([0, 0, 0], {}), record([]))]
    assert region_scores(empty, empty, CLASSES, few) == {
        "classification_map_per_class": {},
        "cor_loc": {"per_class": {}},
        "n": {"trainval": 1, "test": 1},
    }


@pytest.mark.parametrize(("training", "test"), [([], TEST), (TRAINING, [])])
def test_no_images_are_an_error(few, training, test):
    with pytest.raises(InputError, match="0 images"):
        region_scores(training, test, CLASSES, few)
