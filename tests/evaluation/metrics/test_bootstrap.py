"""The percentile bootstrap over images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.evaluation.metrics.bootstrap import Bootstrap, Estimate
from pipeline.evaluation.metrics.classification import mean_average_precision


def mean(values):
    return lambda weights: float(weights @ values / weights.sum())


def draws(images, resamples, seed):
    """The weights that a statistic sees: the plain ones, then one row per resample."""
    seen = []

    def statistic(weights):
        seen.append(weights.copy())
        return 0.0

    Bootstrap(images, resamples, seed).estimate(statistic)
    return np.array(seen)


def test_every_image_counts_once_and_then_as_often_as_it_is_drawn():
    plain, *resampled = draws(7, 50, 0)
    np.testing.assert_array_equal(plain, np.ones(7))
    resampled = np.array(resampled)
    assert resampled.shape == (50, 7)
    np.testing.assert_array_equal(resampled.sum(axis=1), 7)
    np.testing.assert_array_equal(resampled, resampled.round())


def test_counts_have_the_mean_and_the_spread_of_multinomial_draws():
    resampled = draws(20, 20_000, 1)[1:]
    np.testing.assert_allclose(resampled.mean(axis=0), 1, atol=0.04)
    np.testing.assert_allclose(resampled.var(axis=0), 1 - 1 / 20, atol=0.05)
    covariance = np.cov(resampled[:, 3], resampled[:, 11])[0, 1]
    assert covariance == pytest.approx(-1 / 20, abs=0.02)


def test_the_draws_depend_on_the_seed_alone():
    np.testing.assert_array_equal(draws(9, 5, 3), draws(9, 5, 3))
    assert (draws(9, 5, 3)[1:] != draws(9, 5, 4)[1:]).any()


def test_every_statistic_of_a_bootstrap_sees_the_same_draws():
    values = np.random.default_rng(2).random(30)
    bootstrap = Bootstrap(30, 200, 0)
    first, other = bootstrap.estimate(mean(values)), bootstrap.estimate(mean(values + 1))
    assert (other.low - first.low, other.high - first.high) == pytest.approx((1, 1))
    both = bootstrap.estimates(lambda w: np.array([mean(values)(w), mean(values + 1)(w)]))
    assert both == [first, other]


def test_interval_of_a_mean_is_about_two_standard_errors_wide():
    values = np.random.default_rng(3).normal(50, 10, 400)
    found = Bootstrap(400, 4000, 0).estimate(mean(values))
    error = values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1)


def test_interval_holds_the_percentiles_of_the_resamples():
    steps = iter(range(-1, 201))  # the plain value first, then 0, 1, ... 200
    found = Bootstrap(5, 201, 0).estimate(lambda weights: float(next(steps)))
    assert found == Estimate(-1, 5, 195)


def test_interval_of_one_image_is_its_value():
    found = Bootstrap(1, 20, 0).estimate(mean(np.array([37.25])))
    assert found == Estimate(37.25, 37.25, 37.25)


def test_perfect_and_hopeless_scores_have_no_spread():
    targets = np.eye(4, dtype=int)[[0, 1, 2, 3, 0, 1, 2]]
    bootstrap = Bootstrap(len(targets), 100, 0)
    perfect = bootstrap.estimate(lambda w: mean_average_precision(targets, targets, w)[0])
    assert perfect == Estimate(100, 100, 100)


def test_resamples_without_the_class_have_no_say():
    """A class shown by one image of two: its accuracy is that image's, or undefined."""

    def accuracy(weights):
        return 40.0 if weights[0] else float("nan")

    assert Bootstrap(2, 100, 0).estimate(accuracy) == Estimate(40, 40, 40)


def test_undefined_value_has_no_interval_and_leaves_the_others_theirs():
    undefined, defined = Bootstrap(3, 10, 0).estimates(lambda w: np.array([np.nan, 5.0]))
    assert np.isnan([undefined.value, undefined.low, undefined.high]).all()
    assert defined == Estimate(5, 5, 5)


def test_undefined_value_has_no_interval_even_where_resamples_define_it():
    found = Bootstrap(5, 30, 0).estimate(lambda w: np.nan if (w == 1).all() else 5.0)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_value_that_no_resample_defines_has_no_interval():
    found = Bootstrap(50, 1, 0).estimate(lambda w: 5.0 if (w == 1).all() else np.nan)
    assert found.value == 5
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize(("images", "resamples"), [(0, 10), (5, 0)])
def test_empty_split_and_no_resamples_are_refused(images, resamples):
    with pytest.raises(InputError, match=f"{images} images in {resamples} resamples"):
        Bootstrap(images, resamples, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 1000))
def test_interval_of_an_accuracy_is_ordered_and_within_0_and_100(hits, seed):
    found = Bootstrap(len(hits), 50, seed).estimate(mean(100 * np.array(hits)))
    assert 0 <= found.low <= found.high <= 100
