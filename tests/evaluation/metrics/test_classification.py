"""Mean average precision, label ranks, top-k error, accuracy per class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, top_k_accuracy_score

from pipeline.errors import InputError
from pipeline.evaluation.metrics.classification import (
    class_accuracy,
    label_ranks,
    mean_average_precision,
    top_k_error,
)


def test_mean_average_precision_equals_scikit_learn():
    random = np.random.default_rng(0)
    targets, scores = random.integers(0, 2, (30, 4)), random.normal(size=(30, 4))
    mean, per_class = mean_average_precision(scores, targets)
    expected = 100 * average_precision_score(targets, scores, average=None)
    np.testing.assert_allclose(per_class, expected)
    assert mean == pytest.approx(expected.mean())


def test_class_without_a_positive_is_left_out_of_the_mean():
    mean, per_class = mean_average_precision([[0.9, 0.1], [0.2, 0.7]], [[1, 0], [0, -1]])
    assert mean == 100
    np.testing.assert_array_equal(per_class, [100, np.nan])


def test_no_images_have_no_mean_average_precision():
    mean, per_class = mean_average_precision(np.zeros((0, 3)), np.zeros((0, 3)))
    assert np.isnan(mean)
    assert np.isnan(per_class).all()


def test_perfect_scores_have_mean_average_precision_100():
    targets = np.array([[1, 0, 1], [0, 1, -1], [0, 0, 1]])
    assert mean_average_precision(targets * 3.0 - 1, targets)[0] == 100


def test_ranks_count_the_classes_before_the_label_and_lower_classes_win_ties():
    scores = [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    np.testing.assert_array_equal(label_ranks(scores, [1, 0, 0, 2]), [0, 2, 0, 2])


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_every_image_gives_each_rank_to_one_class(scores):
    images, classes = scores.shape
    ranks = [label_ranks(scores, np.full(images, c)) for c in range(classes)]
    np.testing.assert_array_equal(
        np.sort(ranks, axis=0).T, np.tile(np.arange(classes), (images, 1))
    )


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_error_equals_scikit_learn(k):
    random = np.random.default_rng(1)
    scores, labels = random.normal(size=(40, 8)), random.integers(0, 8, 40)
    expected = 100 - 100 * top_k_accuracy_score(labels, scores, k=k, labels=np.arange(8))
    assert top_k_error(label_ranks(scores, labels), k) == pytest.approx(expected)


def test_label_within_the_first_k_ranks_is_found():
    ranks = [0, 1, 1, 4]
    assert [top_k_error(ranks, k) for k in (1, 2, 4, 5)] == [75, 25, 25, 0]


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 6), st.integers(1, 6))), st.data())
def test_ranks_and_average_precision_are_invariant_to_monotone_rescaling(scores, data):
    labels = data.draw(hnp.arrays(np.int64, len(scores), elements=st.integers(0, 2)))
    labels = labels % scores.shape[1]
    targets = data.draw(hnp.arrays(np.int64, scores.shape, elements=st.integers(-1, 1)))
    stretched = np.exp(scores.astype(np.float64) / 32) * 5 - 3
    np.testing.assert_array_equal(label_ranks(stretched, labels), label_ranks(scores, labels))
    np.testing.assert_array_equal(
        mean_average_precision(stretched, targets)[1], mean_average_precision(scores, targets)[1]
    )


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[0.1, 0.2]], [2], "classes 0..1"),
        ([[0.1, 0.2]], [-1], "classes 0..1"),
        ([[0.1, 0.2]], [0, 1], "labels"),
        ([[np.nan, 0.2]], [0], "nan"),
    ],
)
def test_bad_scores_and_labels_are_refused(scores, labels, message):
    with pytest.raises(InputError, match=message):
        label_ranks(scores, labels)


def test_top_zero_scores_for_ranks_and_no_images_are_refused():
    with pytest.raises(InputError, match="top-0"):
        top_k_error([0], 0)
    with pytest.raises(InputError, match="ranks"):
        top_k_error([[0.1, 0.2]], 1)
    with pytest.raises(InputError, match="no images"):
        top_k_error([], 1)


def test_accuracy_per_class_is_undefined_without_pairs():
    accuracy = class_accuracy([0, 0, 2, 2, 2, 2], [1, 0, 1, 1, 1, 0], 3)
    np.testing.assert_array_equal(accuracy, [50, np.nan, 75])


def test_pairs_of_unknown_classes_and_unequal_lengths_are_refused():
    with pytest.raises(InputError, match="classes 0..1"):
        class_accuracy([2], [True], 2)
    with pytest.raises(InputError, match="both be"):
        class_accuracy([0, 1], [True], 2)
