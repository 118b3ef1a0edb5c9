import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.metrics.bootstrap import Bootstrap
from pipeline.evaluation.protocol.differences import differences
from pipeline.evaluation.protocol.estimates import Judged
from pipeline.params import load
from tests.conftest import REPOSITORY
from tests.parameters import changed

PARAMS = load(REPOSITORY / "params.yaml")


@pytest.fixture
def few(params):
    return changed(params, evaluate__resamples=200)


def mean(values):
    values = np.asarray(values, float)
    return lambda weights: float(weights @ values / weights.sum())


def judged(values, **others):
    """Images of these values, whose mean is nested as figures are."""
    each = mean(values)

    def figures(weights):
        return {"error": each(weights), "pointing": {"all": each(weights)}, **others}

    return Judged(figures, len(values), {"n": {"test": len(values)}})


def test_a_difference_is_that_of_the_values_wherever_they_are_nested(few):
    found = differences([judged([100, 0, 100, 100])], [judged([0, 0, 100, 0])], few)
    assert found["error"]["value"] == found["pointing"]["all"]["value"] == 50


def test_a_constant_gain_has_no_width_though_both_have_one(few):
    """Each resample has the same images of both, however different the images are."""
    values = np.random.default_rng(0).normal(50, 30, size=60)
    found = differences([judged(values + 2)], [judged(values)], few)["error"]
    assert (found["low"], found["high"]) == (pytest.approx(2), pytest.approx(2))
    alone = judged(values).scores(few)["error"]
    assert alone["high"] - alone["low"] > 5


def test_the_interval_is_that_of_the_difference_of_each_image(few):
    """Of means the paired bootstrap is the bootstrap of the images' own differences."""
    draw = np.random.default_rng(1)
    method, twin = draw.normal(size=(2, 40))
    found = differences([judged(method)], [judged(twin)], few)["error"]
    direct = Bootstrap(40, 200, few.seed).estimate(mean(method - twin))
    assert found == pytest.approx({k: getattr(direct, k) for k in ("value", "low", "high")})


@given(st.lists(st.sampled_from([0.0, 100.0]), min_size=2, max_size=12), st.randoms())
def test_swapping_the_two_turns_the_difference_round(values, random):
    few = changed(PARAMS, evaluate__resamples=40)
    other = random.sample(values, len(values))
    there = differences([judged(values)], [judged(other)], few)["error"]
    back = differences([judged(other)], [judged(values)], few)["error"]
    assert there["value"] == pytest.approx(-back["value"])
    assert (there["low"], there["high"]) == pytest.approx((-back["high"], -back["low"]))


def test_a_model_does_not_differ_from_itself(few):
    own = judged([0, 100, 100])
    found = differences([own], [own], few)
    assert found["error"] == {"value": 0, "low": 0, "high": 0}


def test_figures_that_one_lacks_and_those_of_classes_are_left_out(few):
    spn = judged([0, 100], object_energy=3.0, per_class={"cat": 1.0})
    cam = judged([0, 100], mask_iou=2.0, per_class={"cat": 2.0})
    assert set(differences([spn], [cam], few)) == {"error", "pointing"}


def test_each_set_of_images_has_its_own_figures(few):
    def part(name, values):
        return Judged(lambda weights: {name: mean(values)(weights)}, len(values), {"n": {}})

    method = [part("pointing", [100, 100]), part("cor_loc", [0, 100, 100])]
    twin = [part("pointing", [0, 100]), part("cor_loc", [0, 0, 0])]
    found = differences(method, twin, few)
    assert found["pointing"]["value"] == 50
    assert found["cor_loc"]["value"] == pytest.approx(200 / 3)


def test_an_undefined_difference_is_left_out(few):
    nan = float("nan")
    assert differences([judged([nan, 0])], [judged([0, 0])], few) == {"pointing": {}}
