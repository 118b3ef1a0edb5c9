"""Boxes of components at every threshold, the mean-threshold box, IoU and unions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import (
    best_component_ious,
    box_array,
    component_boxes,
    component_boxes_at,
    iou_xyxy,
    mean_threshold_box,
    union_mask,
)
from pipeline.evaluation.localization.maps import to_levels
from tests.evaluation.localization.labelling import at_thresholds, components, largest_box

SIDES = st.integers(1, 9)
LEVEL_MAPS = st.one_of(
    hnp.arrays(np.uint8, st.tuples(SIDES, SIDES)),
    hnp.arrays(np.uint8, st.tuples(SIDES, SIDES), elements=st.integers(0, 3)),
)


def labelled_boxes(levels):
    return at_thresholds(largest_box, levels, np.arange(256))


def labelled_ious(levels, boxes):
    def best(mask):
        return iou_xyxy(components(mask)[0], boxes).max(initial=0)

    return at_thresholds(best, levels, np.arange(256))


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


def drawn_maps(count):
    """Maps of up to 10 x 10 px and of every kind that is hard for one of the ways to label."""
    rng = np.random.default_rng(7)

    def shade():
        return rng.integers(0, 256)

    def noise(shape):
        return rng.integers(0, 256, shape) // 2 ** rng.integers(0, 8)

    def smooth(shape):
        return ndimage.gaussian_filter(255.0 * rng.random(shape), 1.5) // 8 * 8

    def constant(shape):
        return np.full(shape, shade())

    def bright_pixel(shape):
        levels = np.full(shape, rng.integers(0, 100))
        levels[rng.integers(shape[0]), rng.integers(shape[1])] = 200
        return levels

    def rings(shape):
        y, x = np.indices(shape) - rng.integers(0, 10, (2, 1, 1))
        return np.where(np.maximum(abs(y), abs(x)) % 3 == 0, shade(), shade())

    def comb(shape):
        levels = np.where(np.arange(shape[1]) % 2, shade() // 2, rng.integers(0, 256, shape[1]))
        levels = np.tile(levels, (shape[0], 1))
        levels[rng.integers(shape[0])] = shade()
        return levels

    def checkerboard(shape):
        return np.where(np.indices(shape).sum(0) % 2, shade(), noise(shape))

    kinds = [noise, smooth, constant, bright_pixel, rings, comb, checkerboard]
    for index in range(count):
        shape = (1, 1) if index % 50 == 0 else tuple(rng.integers(1, 11, 2))
        levels = np.asarray(kinds[index % len(kinds)](shape), dtype=np.uint8)
        yield levels.T if index % 3 == 0 else levels


def test_10000_maps_have_the_boxes_of_one_labelling_per_threshold():
    for levels in drawn_maps(10_000):
        expected = labelled_boxes(levels)
        assert np.array_equal(component_boxes(levels), expected), levels
        distinct = np.unique(levels)
        assert np.array_equal(component_boxes_at(levels, distinct), expected[distinct]), levels


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
@pytest.mark.parametrize("function", [component_boxes, lambda m: best_component_ious(m, [])])
def test_levels_other_than_uint8_images_are_refused(levels, function):
    with pytest.raises(InputError, match="to_levels"):
        function(levels)


FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUE_MAPS = st.one_of(
    hnp.arrays(np.float64, st.tuples(SIDES, SIDES), elements=FINITE),
    hnp.arrays(np.float64, st.tuples(SIDES, SIDES), elements=st.sampled_from([-1e300, 0, 0.1, 1])),
)


@settings(max_examples=100, deadline=None)
@given(VALUE_MAPS, st.lists(st.floats(allow_nan=False), min_size=1, max_size=40))
def test_boxes_at_any_thresholds_equal_one_labelling_each(values, drawn):
    thresholds = np.sort(np.concatenate([drawn, values.ravel()[:3]]))
    expected = at_thresholds(largest_box, values, thresholds)
    np.testing.assert_array_equal(component_boxes_at(values, thresholds), expected)


def test_thousand_thresholds_of_a_smooth_map_equal_one_labelling_each():
    values = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(30, 40)), 3)
    thresholds = np.linspace(values.min(), values.max(), 1000)
    expected = [largest_box(values >= threshold) for threshold in thresholds]
    np.testing.assert_array_equal(component_boxes_at(values, thresholds), expected)


@settings(max_examples=50, deadline=None)
@given(VALUE_MAPS)
def test_monotone_rescaling_of_the_values_keeps_every_box(values):
    # The place in the sorted values, cubed, is another map with the same order.
    distinct, ranks = np.unique(values, return_inverse=True)
    rescaled = ranks.reshape(values.shape) ** 3.0 - 7
    np.testing.assert_array_equal(
        component_boxes_at(rescaled, np.unique(rescaled)), component_boxes_at(values, distinct)
    )


@settings(max_examples=50, deadline=None)
@given(LEVEL_MAPS, st.randoms(use_true_random=False))
def test_monotone_rescaling_of_the_levels_keeps_every_box(levels, random):
    distinct, ranks = np.unique(levels, return_inverse=True)
    spread = np.array(sorted(random.sample(range(256), len(distinct))), dtype=np.uint8)
    rescaled = spread[ranks.reshape(levels.shape)]
    np.testing.assert_array_equal(
        component_boxes(rescaled)[spread], component_boxes(levels)[distinct]
    )


def flipped(boxes, width):
    x0, y0, x1, y1 = boxes.T
    return np.stack([width - x1, y0, width - x0, y1], axis=1)


def is_tied(mask):
    sizes = components(mask)[1]
    return (sizes == sizes.max()).sum() > 1


@settings(max_examples=60, deadline=None)
@given(LEVEL_MAPS)
def test_boxes_turn_with_the_map_where_no_two_components_are_largest(levels):
    clear = ~at_thresholds(is_tied, levels, np.arange(256))
    boxes = component_boxes(levels)
    np.testing.assert_array_equal(
        component_boxes(levels[:, ::-1])[clear], flipped(boxes, levels.shape[1])[clear]
    )
    np.testing.assert_array_equal(component_boxes(levels.T)[clear], boxes[clear][:, [1, 0, 3, 2]])


def test_every_threshold_of_a_constant_map_gives_the_whole_image():
    whole = np.tile([0, 0, 9, 7], (4, 1))
    thresholds = [-np.inf, 2.5, 2.6, np.inf]
    np.testing.assert_array_equal(component_boxes_at(np.full((7, 9), 2.5), thresholds), whole)


def test_thresholds_above_the_maximum_give_the_box_at_the_maximum_whatever_the_others():
    values = np.array([[0.0, 0.5, 0.2, 0.4]])
    for thresholds in ([7], [0.3, 7], [0.5, 7], [0.1, 0.6, 7]):
        np.testing.assert_array_equal(component_boxes_at(values, thresholds)[-1], [1, 0, 2, 1])


def test_values_are_not_rounded_to_single_precision():
    values = np.array([[1.0, 1.0 + 1e-12, 1.0]])
    np.testing.assert_array_equal(component_boxes_at(values, [1 + 1e-12]), [[1, 0, 2, 1]])


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([], "one or more"),
        (0.5, "one or more"),
        ([[0.5]], "one or more"),
        ([0.5, 0.4], "ascending"),
        ([np.nan], "NaN"),
        ([0.1, np.nan], "ascending"),
    ],
)
def test_thresholds_that_are_none_or_not_ascending_or_nan_are_refused(thresholds, message):
    with pytest.raises(InputError, match=message):
        component_boxes_at(np.eye(3), thresholds)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_map_that_is_not_finite_has_no_boxes(bad):
    with pytest.raises(InputError, match=f"{bad} at row 0, column 1"):
        component_boxes_at([[0, bad]], [0.5])


def test_map_without_pixels_has_no_boxes():
    with pytest.raises(InputError, match="shape"):
        component_boxes_at(np.zeros((0, 4)), [0.5])


CORNERS = hnp.arrays(
    np.float64, st.tuples(st.integers(0, 4), st.just(4)), elements=st.floats(-3, 12)
)


@settings(max_examples=100, deadline=None)
@given(LEVEL_MAPS, CORNERS)
def test_best_ious_equal_those_of_all_labelled_components(levels, boxes):
    np.testing.assert_array_equal(best_component_ious(levels, boxes), labelled_ious(levels, boxes))


@pytest.mark.parametrize("levels", SHAPES.values(), ids=SHAPES.keys())
def test_best_ious_of_hard_shapes_equal_those_of_all_labelled_components(levels):
    boxes = [[0, 0, 4, 3], [2, 1, 9, 8.5], [-4, -4, 2, 2]]
    np.testing.assert_array_equal(best_component_ious(levels, boxes), labelled_ious(levels, boxes))


@settings(max_examples=50, deadline=None)
@given(LEVEL_MAPS, CORNERS)
def test_best_iou_is_at_least_that_of_the_largest_component(levels, boxes):
    largest = iou_xyxy(component_boxes(levels), boxes).max(axis=1, initial=0)
    assert (best_component_ious(levels, boxes) >= largest).all()


@settings(max_examples=50, deadline=None)
@given(LEVEL_MAPS, hnp.arrays(np.int64, (3, 4), elements=st.integers(0, 9)))
def test_best_ious_turn_with_the_map_and_its_boxes(levels, boxes):
    expected = best_component_ious(levels, boxes)
    mirrored = best_component_ious(levels[:, ::-1], flipped(boxes, levels.shape[1]))
    np.testing.assert_array_equal(mirrored, expected)
    turned = best_component_ious(levels.T, boxes[:, [1, 0, 3, 2]])
    np.testing.assert_array_equal(turned, expected)


def test_small_component_on_the_object_is_found_beside_a_large_one():
    levels = np.zeros((20, 20), dtype=np.uint8)
    levels[:, 10:] = 200
    levels[2:6, 2:6] = 100
    ious = best_component_ious(levels, [[2, 2, 6, 6]])
    np.testing.assert_array_equal(ious[1:101], 1)
    np.testing.assert_array_equal(ious[101:], 0)
    assert ious[0] == 16 / 400


def test_box_of_a_ring_counts_its_hole_and_the_peak_inside_is_a_component_of_its_own():
    levels = ring(9)
    levels[4, 4] = 255
    outer, peak = best_component_ious(levels, [[0, 0, 9, 9]]), [[4, 4, 5, 5]]
    np.testing.assert_array_equal(outer[:201], 1)
    np.testing.assert_array_equal(outer[201:], 1 / 81)
    np.testing.assert_array_equal(best_component_ious(levels, peak)[11:], 1)


@pytest.mark.parametrize("boxes", [[], [[3, 3, 3, 9]], [[50, 50, 60, 60]], [[-9, -9, 0, 0]]])
def test_no_box_or_one_without_area_or_outside_has_iou_zero(boxes):
    np.testing.assert_array_equal(best_component_ious(SHAPES["noise"], boxes), np.zeros(256))


def test_box_that_touches_the_border_can_be_met_exactly():
    levels = np.zeros((6, 8), dtype=np.uint8)
    levels[3:, 5:] = 9
    np.testing.assert_array_equal(best_component_ious(levels, [[5, 3, 8, 6]])[1:], 1)


def test_constant_map_answers_with_the_whole_image_at_every_threshold():
    ious = best_component_ious(to_levels(np.full((4, 5), 0.3)), [[0, 0, 5, 2]])
    np.testing.assert_array_equal(ious, np.full(256, 0.5))


def test_one_pixel_image_is_one_component():
    ious = best_component_ious(np.array([[7]], dtype=np.uint8), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(ious, np.ones(256))


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


def test_box_with_a_nan_meets_none():
    for corner in range(4):
        box = np.array([0.0, 0, 4, 4])
        box[corner] = np.nan
        assert iou_xyxy([box], [[0, 0, 4, 4]]) == iou_xyxy([[0, 0, 4, 4]], [box]) == 0


def test_inverted_box_has_no_area():
    assert iou_xyxy([[4, 4, 0, 0]], [[0, 0, 4, 4]]) == 0
    assert iou_xyxy([[4, 4, 0, 0]], [[4, 4, 0, 0]]) == 0


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
