"""One box of a map is that of evaluation, at every level."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.evaluation.localization.boxes import component_boxes, mean_threshold_box
from pipeline.evaluation.localization.maps import to_levels
from pipeline.prediction.rule import BoxRule, component_box

FEW = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3))


@settings(deadline=None)  # the first call compiles
@given(FEW)
def test_the_largest_part_is_that_of_all_levels_at_once(levels: np.ndarray) -> None:
    every = component_boxes(levels)
    for level in (*range(5), 255):
        assert component_box(levels, level).tolist() == every[level].tolist()


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_a_threshold_is_a_share_of_the_range(threshold: float) -> None:
    response = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    box = BoxRule(threshold).box(response)
    assert box.tolist() == component_boxes(to_levels(response))[round(threshold * 255)].tolist()
    assert BoxRule(threshold).box(3 * response - 7).tolist() == box.tolist()


@pytest.mark.parametrize("rule", [BoxRule(), BoxRule(0.5)])
def test_a_constant_map_gives_the_whole_picture(rule: BoxRule) -> None:
    assert rule.box(np.full((20, 30), 2, np.float32)).tolist() == [0, 0, 30, 20]


def test_without_threshold_the_mean_decides() -> None:
    response = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    assert BoxRule().box(response).tolist() == mean_threshold_box(response).tolist()
