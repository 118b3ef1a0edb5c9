import numpy as np
import pytest

from studies.judging import Part
from studies.pooling import pool

IDS = tuple(f"image {number}" for number in range(200))


def part(values, ids=IDS):
    """Figures `mean` of values, an image each, where images count by their weights."""
    values = np.asarray(values, float)
    return Part(
        tuple(ids), lambda weights: {"of": {"mean": float(values @ weights / weights.sum())}}
    )


def pooled(rows, keys=("of.mean",), resamples=400):
    return pool({name: [[own] for own in seeds] for name, seeds in rows.items()}, keys, resamples)


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(50, 10, (3, len(IDS)))


def test_the_figure_is_the_mean_over_seeds_and_its_values_are_kept(values):
    found = pooled({"row": [part(own) for own in values]})["row"]
    assert found.measured[:, 0] == pytest.approx(values.mean(axis=1))
    low, high = found.interval()
    assert low[0] < values.mean() < high[0]


def test_one_seed_has_the_interval_of_the_bootstrap_over_images(values):
    low, high = pooled({"row": [part(values[0])]})["row"].interval()
    error = values[0].std() / np.sqrt(len(IDS))
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_equal_rows_differ_by_nothing(values):
    seeds = [part(own) for own in values]
    found = pooled({"row": seeds, "twin": seeds})
    assert np.array_equal(found["row"].interval(found["twin"]), np.zeros((2, 1)))


def test_a_constant_gain_is_certain_however_much_images_vary(values):
    found = pooled({"row": [part(own + 3) for own in values], "twin": [part(o) for o in values]})
    assert np.allclose(found["row"].interval(found["twin"]), 3)


def test_images_are_the_same_for_every_seed_whatever_their_order(values):
    order = np.random.default_rng(1).permutation(len(IDS))
    mixed = part(values[0][order], np.array(IDS)[order])
    found = pooled({"row": [part(values[0] + 1)], "twin": [mixed]})
    assert np.allclose(found["row"].interval(found["twin"]), 1)


def test_what_trainings_differ_by_is_in_the_interval(values):
    apart = [part(values[0] + shift) for shift in (-5, 0, 5)]
    alike = [part(values[0])] * 3
    widths = {
        name: float(np.diff(found.interval(), axis=0).item())
        for name, found in pooled({"apart": apart, "alike": alike}).items()
    }
    # The mean of three draws from -5, 0, 5 deviates by sqrt(50 / 3 / 3) = 2.4.
    assert widths["apart"] > widths["alike"] + 4


def test_a_second_part_has_images_of_its_own(values):
    other = Part(("x", "y"), lambda weights: {"cor_loc": 100 * weights[0] / weights.sum()})
    rows = {"row": [[part(values[0]), other]]}
    found = pool(rows, ["of.mean", "cor_loc", "none"], 200)["row"]
    assert found.measured[0, :2] == pytest.approx([values[0].mean(), 50])
    assert set(found.resampled[:, 1]) == {0, 50, 100}
    assert np.isnan(found.measured[0, 2])
