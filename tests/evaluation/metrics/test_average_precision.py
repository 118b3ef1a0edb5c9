"""Average precision against hand-computed values and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from pipeline.errors import InputError
from pipeline.evaluation.metrics.average_precision import (
    average_precision,
    class_average_precision,
    mean_of_defined,
)

# Small integers as scores, so that ties are frequent.
PREDICTIONS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20)


@settings(max_examples=80, deadline=None)
@given(PREDICTIONS)
def test_equals_scikit_learn_with_ties(predictions):
    scores, correct = zip(*predictions, strict=True)
    positives = sum(correct)
    if positives:
        expected = average_precision_score(correct, scores)
        assert average_precision(scores, correct, positives) == pytest.approx(expected)
    else:
        assert np.isnan(average_precision(scores, correct, 0))


@settings(max_examples=40, deadline=None)
@given(PREDICTIONS, st.randoms(use_true_random=False))
def test_order_of_predictions_does_not_matter(predictions, random):
    shuffled = random.sample(predictions, len(predictions))
    values = [
        average_precision(*zip(*some, strict=True), len(predictions))
        for some in (predictions, shuffled)
    ]
    assert values[0] == pytest.approx(values[1])


def test_hits_first_and_third_of_three():
    assert average_precision([0.9, 0.8, 0.7], [True, False, True], 2) == pytest.approx(
        0.5 * 1 + 0.5 * 2 / 3
    )


def test_positives_never_found_lower_the_recall():
    assert average_precision([0.9, 0.8], [True, True], 4) == 0.5
    assert average_precision([], [], 3) == 0


def test_all_scores_equal_give_the_share_of_positives():
    assert average_precision([1, 1, 1, 1], [True, False, False, False], 1) == 0.25


def test_weights_count_predictions_and_what_there_was_to_find():
    # Three times the first, twice the second: 3 of 3, then nothing, then 4 of 6.
    weighted = average_precision([0.9, 0.8, 0.7], [True, False, True], 4, [3, 2, 1])
    assert weighted == pytest.approx(3 / 4 * 1 + 1 / 4 * 4 / 6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(0, 3)), min_size=1))
def test_equals_scikit_learn_with_weights(predictions):
    scores, correct, weights = map(np.array, zip(*predictions, strict=True))
    positives = weights[correct].sum()
    if positives > 1e-3:
        expected = average_precision_score(correct, scores, sample_weight=weights)
        assert average_precision(scores, correct, positives, weights) == pytest.approx(expected)


def test_true_positives_by_weight_cannot_exceed_the_positives():
    with pytest.raises(InputError, match=r"2\.5 true positives but only 2 positives"):
        average_precision([1, 2], [True, False], 2, [2.5, 1])


def test_rounding_of_weights_does_not_make_true_positives_too_many():
    assert 0.1 + 0.2 > 0.3
    assert average_precision([1, 2], [True, True], 0.3, [0.1, 0.2]) == pytest.approx(1)


def test_nothing_to_find_is_undefined():
    assert np.isnan(average_precision([0.3], [False], 0))
    assert np.isnan(average_precision([], [], 0))


@pytest.mark.parametrize(
    ("scores", "correct", "positives", "message"),
    [
        ([1, 2], [True], 1, "both must be"),
        ([np.nan], [True], 1, "nan"),
        ([np.inf], [True], 1, "inf"),
        ([1, 2], [True, True], 1, "2 true positives but only 1"),
    ],
)
def test_bad_predictions_are_refused(scores, correct, positives, message):
    with pytest.raises(InputError, match=message):
        average_precision(scores, correct, positives)


def test_present_class_pointed_at_wrongly_is_a_false_positive_still_to_be_found():
    scores, targets = [[0.9], [0.8], [0.1]], [[1], [1], [0]]
    assert class_average_precision(scores, targets, [[False], [True], [True]]) == 0.25


def test_ignored_images_do_not_count_either_way():
    scores, correct = np.array([[0.9], [0.8], [0.1]]), np.ones((3, 1), bool)
    assert class_average_precision(scores, [[-1], [1], [0]], correct) == 1
    assert class_average_precision(scores, [[0], [1], [0]], correct) == 0.5


def test_unequal_shapes_and_other_targets_are_refused():
    with pytest.raises(InputError, match="images, classes"):
        class_average_precision(np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((3, 2)))
    with pytest.raises(InputError, match="targets must be"):
        class_average_precision([[0.5]], [[2]], [[True]])


def test_mean_leaves_out_the_undefined():
    assert mean_of_defined([1, np.nan, 3]) == 2
    assert np.isnan(mean_of_defined([np.nan]))
    assert np.isnan(mean_of_defined([]))


def test_mean_weighs_the_defined_only():
    assert mean_of_defined([1, np.nan, 4], [2, 5, 1]) == 2
    assert np.isnan(mean_of_defined([1, np.nan], [0, 5]))
