"""Weights: every metric takes them as repetitions, and no metric minds the order of images."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.evaluation.metrics.average_precision import average_precision, mean_of_defined
from pipeline.evaluation.metrics.box_localization import (
    cor_loc,
    localization_errors,
    max_box_acc,
    max_box_acc_v2,
)
from pipeline.evaluation.metrics.classification import (
    class_accuracy,
    mean_average_precision,
    top_k_error,
)
from pipeline.evaluation.metrics.masks import mask_ious, px_ap
from pipeline.evaluation.metrics.pointing import pointing_accuracy, pointing_with_prediction
from pipeline.evaluation.metrics.weights import positive_weight_array, weight_array

CLASSES = 3
# What each metric says of some rows of a data set, an image each, under weights.
METRICS = {
    "average precision": lambda d, rows, w: average_precision(
        d.scores[rows, 0], d.hits[rows, 0], 100, w
    ),
    "mAP": lambda d, rows, w: mean_average_precision(d.scores[rows], d.targets[rows], w),
    "pointing with prediction": lambda d, rows, w: pointing_with_prediction(
        d.scores[rows], d.targets[rows], d.hits[rows], w
    ),
    "class accuracy": lambda d, rows, w: class_accuracy(
        d.labels[rows], d.hits[rows, 0], CLASSES, w
    ),
    "pointing": lambda d, rows, w: pointing_accuracy(d.labels[rows], d.hits[rows, 0], CLASSES, w),
    "CorLoc": lambda d, rows, w: cor_loc(d.labels[rows], d.hits[rows, 0], CLASSES, w),
    "top-2 error": lambda d, rows, w: top_k_error(d.ranks[rows], 2, w),
    "localization errors": lambda d, rows, w: tuple(
        localization_errors(d.ious[rows] >= 0.5, d.ranks[rows], 90, 160, w).values()
    ),
    "MaxBoxAcc": lambda d, rows, w: max_box_acc(d.ious[rows] >= 0.5, w),
    "MaxBoxAccV2": lambda d, rows, w: max_box_acc_v2(d.ious[rows], w),
    "Object Energy": lambda d, rows, w: mean_of_defined(d.energies[rows], w),
    "PxAP": lambda d, rows, w: px_ap(d.histograms[rows], w),
    "mask IoU": lambda d, rows, w: mean_of_defined(mask_ious(d.histograms[rows])[:, 100], w),
}


def data_set(images, seed):
    """Random judgements of some images, with ties, undefined values and missing classes."""
    random = np.random.default_rng(seed)
    return SimpleNamespace(
        scores=random.integers(0, 4, (images, CLASSES)),
        targets=random.integers(-1, 2, (images, CLASSES)),
        hits=random.random((images, CLASSES)) < 0.6,
        labels=random.integers(0, CLASSES, images),
        ranks=random.integers(0, 4, images),
        ious=random.integers(0, 11, (images, 256)) / 10,
        energies=np.where(random.random(images) < 0.3, np.nan, 100 * random.random(images)),
        histograms=random.integers(0, 3, (images, 2, 256)) * (random.random((images, 1, 1)) < 0.8),
    )


def joined(result):
    parts = result if isinstance(result, tuple) else (result,)
    return np.concatenate([np.ravel(part) for part in parts])


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=7).filter(any), st.integers(0, 2**32 - 1))
def test_whole_weights_equal_repeating_images(metric, counts, seed):
    data, rows = data_set(len(counts), seed), np.arange(len(counts))
    repeated = metric(data, np.repeat(rows, counts), np.ones(sum(counts)))
    weighted = metric(data, rows, counts)
    np.testing.assert_allclose(joined(weighted), joined(repeated), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 2**32 - 1))
def test_order_of_images_changes_nothing(metric, order, seed):
    data, weights = data_set(6, seed), np.arange(6) / 4
    np.testing.assert_allclose(
        joined(metric(data, order, weights[order])),
        joined(metric(data, range(6), weights)),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_no_weights_are_weights_of_one(metric):
    data = data_set(9, 5)
    np.testing.assert_array_equal(
        joined(metric(data, range(9), None)), joined(metric(data, range(9), np.ones(9)))
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
@pytest.mark.parametrize(
    ("weights", "message"),
    [([1, 1], r"one for each of 3"), ([1, -1, 1], "-1"), ([1, np.nan, 1], "nan")],
)
def test_unusable_weights_are_refused(metric, weights, message):
    with pytest.raises(InputError, match=message):
        metric(data_set(3, 0), range(3), weights)


def test_weights_of_zero_leave_nothing_to_judge():
    np.testing.assert_array_equal(weight_array([0, 0], 2), [0, 0])
    with pytest.raises(InputError, match="no images to judge"):
        positive_weight_array([0, 0], 2)
    with pytest.raises(InputError, match="no images to judge"):
        positive_weight_array(None, 0)
