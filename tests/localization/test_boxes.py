"""Boxes of components at every threshold, the mean-threshold box, IoU and unions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from pipeline.errors import InputError
from pipeline.localization.boxes import (
    box_array,
    component_boxes,
    iou_xyxy,
    mean_threshold_box,
    union_mask,
)
from pipeline.localization.maps import to_levels

EIGHT_NEIGHBOURS = np.ones((3, 3))
SIDES = st.integers(1, 9)
LEVEL_MAPS = st.one_of(
    hnp.arrays(np.uint8, st.tuples(SIDES, SIDES)),
    hnp.arrays(np.uint8, st.tuples(SIDES, SIDES), elements=st.integers(0, 3)),
)


def tight_box(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def labelled_boxes(levels):
    """One labelling per threshold: slow, and with nothing in common with the one-pass sweep."""
    boxes = np.empty((256, 4), dtype=np.float32)
    for t in range(256):
        components, count = ndimage.label(levels >= min(t, levels.max()), EIGHT_NEIGHBOURS)
        parts = [components == i for i in range(1, count + 1)]
        largest = max(parts, key=lambda part: (part.sum(), -np.flatnonzero(part)[0]))
        boxes[t] = tight_box(largest)
    return boxes


def ring(side):
    levels = np.full((side, side), 200, dtype=np.uint8)
    levels[2:-2, 2:-2] = 10
    return levels


def comb():
    """Teeth that only the lowest row joins: many components become one at level 5."""
    levels = np.zeros((8, 15), dtype=np.uint8)
    levels[:7, ::2] = np.arange(40, 48, dtype=np.uint8)
    levels[7] = 5
    return levels


def one_pixel():
    levels = np.zeros((5, 6), dtype=np.uint8)
    levels[3, 1] = 255
    return levels


SHAPES = {
    "constant zero": np.zeros((4, 7), dtype=np.uint8),
    "constant 255": np.full((4, 7), 255, dtype=np.uint8),
    "one pixel": one_pixel(),
    "ring": ring(9),
    "comb": comb(),
    "checkerboard": (np.indices((6, 6)).sum(axis=0) % 2 * 90).astype(np.uint8),
    "1x1": np.array([[7]], dtype=np.uint8),
    "1xN": np.array([[3, 3, 0, 3, 3, 3, 0, 255]], dtype=np.uint8),
    "Nx1": np.array([[9], [0], [9], [9]], dtype=np.uint8),
    "falling ramp": np.arange(255, -1, -1, dtype=np.uint8).reshape(16, 16),
    "noise": np.random.default_rng(1).integers(0, 256, (23, 31), dtype=np.uint8),
    "coarse noise": np.random.default_rng(2).integers(0, 4, (23, 31), dtype=np.uint8),
}


@pytest.mark.parametrize("levels", SHAPES.values(), ids=SHAPES.keys())
def test_sweep_equals_one_labelling_per_threshold(levels):
    np.testing.assert_array_equal(component_boxes(levels), labelled_boxes(levels))


@settings(max_examples=60, deadline=None)
@given(LEVEL_MAPS)
def test_sweep_equals_one_labelling_per_threshold_on_any_map(levels):
    np.testing.assert_array_equal(component_boxes(levels), labelled_boxes(levels))


def test_smooth_map_of_image_size_agrees_at_every_threshold():
    noise = np.random.default_rng(3).normal(size=(60, 80))
    levels = to_levels(ndimage.gaussian_filter(noise, 4))
    np.testing.assert_array_equal(component_boxes(levels), labelled_boxes(levels))


def test_most_pixels_win_over_the_largest_box_area():
    levels = np.zeros((60, 10), dtype=np.uint8)
    levels[5:55, 0] = 100
    levels[5:9, 4:8] = 100
    np.testing.assert_array_equal(component_boxes(levels)[100], [0, 5, 1, 55])


def test_of_equal_components_the_first_in_row_major_order_wins():
    levels = np.array([[0, 0, 0, 0, 8], [8, 0, 0, 0, 8], [8, 0, 0, 0, 0]], dtype=np.uint8)
    np.testing.assert_array_equal(component_boxes(levels)[8], [4, 0, 5, 2])


def test_first_pixel_of_a_component_may_join_it_late():
    levels = np.array([[0, 8, 0, 9, 9], [0, 9, 0, 0, 0]], dtype=np.uint8)
    boxes = component_boxes(levels)
    np.testing.assert_array_equal(boxes[9], [3, 0, 5, 1])
    np.testing.assert_array_equal(boxes[8], [1, 0, 2, 2])


def test_diagonal_pixels_are_connected():
    np.testing.assert_array_equal(
        component_boxes(np.eye(4, dtype=np.uint8))[1], component_boxes(np.ones((4, 4), "uint8"))[1]
    )


def test_level_zero_is_the_whole_image_and_levels_above_the_maximum_repeat_it():
    levels = one_pixel()
    levels[levels == 255] = 40
    boxes = component_boxes(levels)
    np.testing.assert_array_equal(boxes[0], [0, 0, 6, 5])
    np.testing.assert_array_equal(boxes[1:], np.tile([1, 3, 2, 4], (255, 1)))


@settings(max_examples=40, deadline=None)
@given(LEVEL_MAPS)
def test_raising_every_level_shifts_the_thresholds(levels):
    halved = levels // 2
    shifted = component_boxes(halved + np.uint8(100))
    np.testing.assert_array_equal(shifted[100:], component_boxes(halved)[:156])


@settings(max_examples=40, deadline=None)
@given(LEVEL_MAPS, st.integers(0, 3), st.integers(0, 3))
def test_dark_margin_shifts_the_boxes_above_it(levels, top, left):
    bright = np.maximum(levels, 1)
    padded = np.pad(bright, ((top, 0), (left, 0)))
    expected = component_boxes(bright)[1:] + np.float32([left, top, left, top])
    np.testing.assert_array_equal(component_boxes(padded)[1:], expected)


def test_strided_levels_give_the_boxes_of_their_copy():
    levels = SHAPES["noise"]
    np.testing.assert_array_equal(component_boxes(levels.T), component_boxes(levels.T.copy()))


@pytest.mark.parametrize(
    "levels", [np.zeros((0, 4), "uint8"), np.zeros((4, 4)), np.zeros((1, 4, 4), "uint8")]
)
def test_levels_other_than_uint8_images_are_refused(levels):
    with pytest.raises(InputError, match="to_levels"):
        component_boxes(levels)


def test_mean_threshold_box_covers_all_components():
    response = np.zeros((20, 30))
    response[2:4, 5:7] = 1
    response[15, 25] = 1
    np.testing.assert_array_equal(mean_threshold_box(response), [5, 2, 26, 16])


@pytest.mark.parametrize("value", [0, -2.5, 0.1, 3e38])
def test_mean_threshold_box_of_a_constant_map_is_the_whole_image(value):
    np.testing.assert_array_equal(mean_threshold_box(np.full((7, 9), value)), [0, 0, 9, 7])


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.int8, st.tuples(SIDES, SIDES)),
    st.sampled_from([0.25, 1.0, 8.0]),
    st.integers(-50, 50),
)
def test_mean_threshold_box_ignores_scale_and_offset(response, scale, offset):
    np.testing.assert_array_equal(
        mean_threshold_box(response * scale + offset), mean_threshold_box(response)
    )


def test_perfect_ten_pixel_mask_scores_iou_one():
    response = np.zeros((20, 20))
    response[5:15, 3:13] = 1
    truth = [[3, 5, 13, 15]]
    assert iou_xyxy(component_boxes(to_levels(response))[[128]], truth) == 1.0
    assert iou_xyxy([mean_threshold_box(response)], truth) == 1.0


def test_iou_of_known_pairs():
    a = [[0, 0, 10, 10], [0, 0, 4, 4]]
    b = [[5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 10, 10]]
    np.testing.assert_allclose(iou_xyxy(a, b), [[1 / 3, 0, 1], [0, 0, 0.16]])


def test_empty_boxes_have_iou_zero_and_no_boxes_no_entries():
    assert iou_xyxy([[3, 3, 3, 3]], [[3, 3, 3, 3]]) == 0
    assert iou_xyxy([[0, 0, 1, 1]], []).shape == (1, 0)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int16, (2, 4), elements=st.integers(0, 12)))
def test_iou_equals_counting_pixels(corners):
    # Sorted corners make boxes that may be empty, never inverted.
    a, b = np.sort(corners.reshape(2, 2, 2), axis=1).reshape(2, 1, 4)
    masks = union_mask(a, 12, 12), union_mask(b, 12, 12)
    union = (masks[0] | masks[1]).sum()
    expected = (masks[0] & masks[1]).sum() / union if union else 0
    assert iou_xyxy(a, b)[0, 0] == pytest.approx(expected)
    assert iou_xyxy(a, b) == iou_xyxy(b, a)


def test_union_counts_shared_pixels_once_and_cuts_at_the_image():
    mask = union_mask([[-5, -5, 2, 2], [1, 1, 3, 3], [9, 9, 20, 20]], 10, 10)
    assert mask.sum() == 4 + 4 - 1 + 1
    assert not union_mask([], 10, 10).any()


def test_fractional_box_holds_the_pixels_whose_centre_it_holds():
    np.testing.assert_array_equal(union_mask([[0.4, 0, 2.6, 1]], 1, 4), [[True, True, True, False]])
    np.testing.assert_array_equal(
        union_mask([[0.6, 0, 2.4, 1]], 1, 4), [[False, True, False, False]]
    )


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], [[1, 2, 3]], [[[1, 2, 3, 4]]]])
def test_boxes_of_another_shape_are_refused(boxes):
    with pytest.raises(InputError, match="boxes of shape"):
        box_array(boxes)
