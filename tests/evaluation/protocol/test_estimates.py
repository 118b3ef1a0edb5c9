from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.protocol.estimates import by_class, estimate, measure, of_some
from tests.coloured_boxes import coloured_box
from tests.parameters import changed

NAN = float("nan")


@pytest.fixture
def few(params):
    return changed(params, evaluate__resamples=50)


class Widths:
    """The mean width of the images, and the order in which they came."""

    def __init__(self):
        self.widths, self.ids = [], []

    def note(self, answer):
        self.widths.append(answer.record.width)
        self.ids.append(answer.prediction)

    def statistic(self):
        widths = np.array(self.widths)
        return lambda weights: {"width": float((weights * widths).sum() / weights.sum())}


class Undefined(Widths):
    def statistic(self):
        return lambda weights: {"undefined": NAN, "nested": {"undefined": NAN}}


def images(*widths):
    return [replace(coloured_box(0, "single"), width=width) for width in widths]


def test_figures_become_estimates_wherever_they_are_nested(few):
    shares = np.array([0.0, 0.0, 100.0, 100.0])

    def statistic(weights):
        share = float((weights * shares).sum() / weights.sum())
        return {"a": share, "b": {"c": 1.0, "d": {"e": share / 2}}}

    found = estimate(statistic, 4, few)
    assert found["b"]["c"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["a"]["value"] == 50 and found["b"]["d"]["e"]["value"] == 25
    assert 0 <= found["a"]["low"] < 50 < found["a"]["high"] <= 100
    # The same draws for all figures.
    assert found["b"]["d"]["e"]["low"] == found["a"]["low"] / 2


def test_undefined_figures_are_left_out_and_nothing_else_moves(few):
    found = estimate(lambda weights: {"a": NAN, "b": 1.0, "c": {"d": NAN}, "e": 2.0}, 3, few)
    assert set(found) == {"b", "c", "e"}
    assert found["c"] == {}
    assert (found["b"]["value"], found["e"]["value"]) == (1, 2)


def test_the_seed_and_the_number_of_resamples_are_those_of_the_parameters(few):
    values = np.random.default_rng(0).normal(size=40)

    def interval(params):
        figure = estimate(lambda w: {"a": float((w * values).sum() / w.sum())}, 40, params)["a"]
        return figure["low"], figure["high"]

    assert interval(few) == interval(few)
    assert interval(few) != interval(changed(few, seed=1))
    assert interval(few) != interval(changed(few, evaluate__resamples=51))


def test_pairs_are_read_once_for_all_measures(few):
    pairs = ((number, image) for number, image in enumerate(images(10, 20, 60)))
    one, other = Widths(), Widths()
    statistic, count = measure(pairs, [one, Undefined(), other], few.input)
    assert count == 3
    assert statistic(np.ones(3))["width"] == 30
    assert one.ids == other.ids == [0, 1, 2]


def test_measures_without_a_figure_take_no_place(few):
    statistic, count = measure(
        zip("ab", images(10, 20), strict=True), [Undefined(), Widths()], few.input
    )
    found = estimate(statistic, count, few)
    assert found == {"nested": {}, "width": found["width"]}


@pytest.mark.parametrize("count", [0, 2])
def test_no_images_or_none_with_a_label_or_a_box_are_refused(few, count):
    unboxed = replace(coloured_box(0, "single"), boxes_xyxy=np.zeros((0, 4), np.float32))
    bare = replace(unboxed, labels=())
    with pytest.raises(InputError, match=rf"{count} image\(s\) without a label .* check the lists"):
        measure([(None, bare)] * count, [Widths()], few.input)


def test_some_images_count_by_their_own_weights(few):
    values = np.array([1.0, 3.0])

    def mean(weights):
        return {"deep": {"mean": float(weights @ values / weights.sum())}}

    of_two = of_some(np.array([0, 2]), mean)
    assert of_two(np.array([1.0, 9, 3])) == {"deep": {"mean": 2.5}}
    assert np.isnan(of_two(np.array([0.0, 9, 0]))["deep"]["mean"])
    assert of_some(np.zeros(0, np.int64), mean)(np.ones(3)) == {}


def test_values_go_by_the_names_of_their_classes():
    found = by_class(("cat", "dog"), np.array([1.0, 2.0]))
    assert found == {"cat": 1.0, "dog": 2.0}
    assert all(type(value) is float for value in found.values())
