"""Boxes that SPN's released CorLoc takes the best of."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from torchvision.ops import nms

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import mean_threshold_box
from pipeline.evaluation.localization.oracle import (
    SUPPRESSED_FROM,
    best_apart,
    candidate_boxes,
    mean_components,
)

SIDES = st.integers(1, 9)


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(SIDES, SIDES), elements=st.integers(-3, 3)))
def test_the_parts_are_those_that_scipy_labels(values):
    labels, count = ndimage.label(values >= values.mean(dtype=np.float64))
    slices = ndimage.find_objects(labels)
    expected = {(x.start, y.start, x.stop, y.stop) for y, x in slices}
    means = ndimage.mean(values, labels, range(1, count + 1))
    boxes, scores = mean_components(values)
    assert {tuple(box) for box in boxes.astype(int).tolist()} == expected
    np.testing.assert_allclose(sorted(scores), sorted(means), rtol=1e-6)


def test_pixels_that_share_a_corner_alone_are_two_parts():
    values = np.zeros((4, 4), np.float32)
    values[0, 0] = values[1, 1] = 1
    assert mean_components(values)[0].tolist() == [[0, 0, 1, 1], [1, 1, 2, 2]]


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3])
def test_a_constant_map_is_one_part(value):
    boxes, scores = mean_components(np.full((5, 8), value, np.float32))
    assert boxes.tolist() == [[0, 0, 8, 5]]
    assert scores == pytest.approx([value])


def shown(*boxes, response=1.0):
    values = np.zeros((200, 300), np.float32)
    for x0, y0, x1, y1 in boxes:
        values[y0:y1, x0:x1] = response
    return values


LEFT, RIGHT, SMALL = [0, 0, 80, 100], [150, 20, 290, 160], [100, 180, 120, 200]


def test_of_one_map_every_part_is_a_candidate_however_small():
    found = candidate_boxes([shown(LEFT, RIGHT, SMALL)])
    assert sorted(found.tolist()) == sorted([LEFT, RIGHT, SMALL])
    whole = mean_threshold_box(shown(LEFT, RIGHT, SMALL))
    assert whole.tolist() == [0, 0, 290, 200]


def test_of_several_maps_the_best_of_boxes_that_overlap_by_more_than_0_7_stays():
    nearly, apart = [0, 0, 80, 90], [0, 0, 80, 60]  # IoU 0.9 and 0.6 with LEFT
    maps = [shown(nearly), shown(LEFT, response=2.0), shown(apart)]
    assert candidate_boxes(maps).tolist() == [LEFT, apart]


@pytest.mark.parametrize("count", [0, 1, 300])
def test_suppression_keeps_what_torchvisions_keeps(count):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(20, 60, (count, 2))]).astype(np.float32)
    scores = rng.integers(0, 50, count).astype(np.float32)
    theirs = nms(torch.from_numpy(boxes), torch.from_numpy(scores), SUPPRESSED_FROM)
    assert best_apart(boxes, scores).tolist() == theirs.tolist()
    assert count < 300 or len(theirs) < 250


@pytest.mark.parametrize(("side", "count"), [(50, 0), (51, 1)])
def test_of_several_maps_boxes_below_51_px_go(side, count):
    assert len(candidate_boxes([shown([0, 0, side, 90])] * 2)) == count
    assert len(candidate_boxes([shown([0, 0, 90, side])] * 2)) == count


def test_of_several_maps_boxes_without_a_response_above_0_go():
    assert candidate_boxes([shown(LEFT) - 2] * 2).shape == (0, 4)
    assert candidate_boxes([shown(LEFT) - 2]).tolist() == [LEFT]


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="map holds nan"):
        candidate_boxes([np.full((3, 3), np.nan, np.float32)])
