"""Pointing localization: points, hits, the difficult subset, accuracy, pointing with prediction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import union_mask
from pipeline.evaluation.metrics.pointing import (
    difficult_pairs,
    is_hit,
    point_of_maximum,
    pointing_accuracy,
    pointing_classes,
    pointing_with_prediction,
)

SIDES = st.integers(1, 8)


def test_point_is_x_then_y_of_the_maximum():
    response = np.zeros((4, 6))
    response[1, 5] = 2
    assert point_of_maximum(response) == (5, 1)


def test_first_of_equal_maxima_in_row_major_order_is_the_point():
    assert point_of_maximum([[0, 0, 1], [1, 0, 1]]) == (2, 0)
    assert point_of_maximum(np.full((3, 3), -7)) == (0, 0)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int8, st.tuples(SIDES, SIDES)))
def test_point_is_invariant_to_monotone_rescaling(response):
    stretched = np.exp(response.astype(np.float64) / 32) * 5 - 3
    assert point_of_maximum(stretched) == point_of_maximum(response)


def test_nan_has_no_maximum():
    with pytest.raises(InputError, match="nan"):
        point_of_maximum([[0, np.nan]])


@pytest.mark.parametrize(
    ("x", "tolerance", "hit"),
    [(9, 0, False), (10, 0, True), (19, 0, True), (20, 0, False)]
    + [(34, 15, True), (35, 15, False), (37, 18, True), (38, 18, False)],
)
def test_tolerance_enlarges_a_half_open_box_on_every_side(x, tolerance, hit):
    box = [[10, 10, 20, 20]]
    assert is_hit((x, 15), box, tolerance) is hit
    assert is_hit((15, x), box, tolerance) is hit
    # The box is symmetric about 14.5, the middle of its first and last pixel.
    assert is_hit((29 - x, 15), box, tolerance) is hit


def test_box_edge_on_a_pixel_centre_holds_the_first_pixel_and_not_the_last():
    box = [[0.5, 0, 10.5, 10]]
    assert is_hit((0, 5), box, 0)
    assert not is_hit((10, 5), box, 0)


@pytest.mark.parametrize(
    ("point", "box", "disc"),
    [
        ((34, 15), True, True),  # beside it both rules agree
        ((35, 15), False, False),
        ((30, 30), True, True),  # 10.5 px beyond both edges of the corner: 14.8 px away
        ((31, 31), True, False),  # 11.5 px beyond: 16.3 px away
        ((34, 34), True, False),
    ],
)
def test_the_disc_cuts_the_corners_of_the_enlarged_box(point, box, disc):
    boxes = [[10, 10, 20, 20]]
    assert is_hit(point, boxes, 15) is box
    assert is_hit(point, boxes, 15, "disc") is disc


def test_any_box_of_the_class_can_be_hit_and_none_never():
    assert is_hit((50, 50), [[0, 0, 5, 5], [50, 50, 51, 51]], 0)
    assert not is_hit((50, 0), [[0, 0, 5, 5], [50, 50, 51, 51]], 15)
    assert not is_hit((0, 0), [], 1000)
    assert not is_hit((0, 0), [], 1000, "disc")


def test_negative_tolerance_is_refused():
    with pytest.raises(InputError, match="-1 px"):
        is_hit((0, 0), [[0, 0, 1, 1]], -1)


def test_classes_with_only_difficult_boxes_are_not_asked_for():
    np.testing.assert_array_equal(pointing_classes([3, 1, 1, 2], [0, 1, 0, 1]), [1, 3])
    assert pointing_classes([3, 1], [1, 1]).size == 0
    assert pointing_classes([], []).size == 0


def test_small_class_beside_another_is_difficult_and_a_quarter_is_not_small():
    boxes = [[0, 0, 50, 50], [0, 0, 49, 50]]
    np.testing.assert_array_equal(difficult_pairs(boxes, [4, 7], 100, 100), [7])


def test_class_alone_in_its_image_is_never_difficult():
    boxes = [[0, 0, 2, 2], [5, 5, 7, 7]]
    assert difficult_pairs(boxes, [4, 4], 100, 100).size == 0
    assert difficult_pairs([], [], 100, 100).size == 0


def test_the_union_of_a_class_decides_and_not_the_sum():
    apart = [[0, 0, 40, 40], [50, 50, 90, 90], [0, 0, 1, 1]]
    same = [[0, 0, 40, 40], [0, 0, 40, 40], [0, 0, 1, 1]]
    np.testing.assert_array_equal(difficult_pairs(apart, [0, 0, 1], 100, 100), [1])
    np.testing.assert_array_equal(difficult_pairs(same, [0, 0, 1], 100, 100), [0, 1])


def test_accuracy_is_the_mean_over_classes_and_not_over_pairs():
    mean, per_class = pointing_accuracy([0, 0, 0, 0, 2], [True, True, False, False, True], 3)
    np.testing.assert_array_equal(per_class, [50, np.nan, 100])
    assert mean == 75


def test_no_pairs_have_no_accuracy():
    mean, per_class = pointing_accuracy([], [], 3)
    assert np.isnan(mean)
    assert np.isnan(per_class).all()


@pytest.mark.parametrize("label", [-1, 3])
def test_pair_of_an_unknown_class_is_refused(label):
    with pytest.raises(InputError, match=r"classes 0\.\.2"):
        pointing_accuracy([label], [True], 3)


BOXES = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2)


@settings(max_examples=50, deadline=None)
@given(st.lists(BOXES, min_size=1, max_size=4), st.data())
def test_oracle_map_points_at_every_class_with_accuracy_100(corners, data):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corners])
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=10)))
    labels = labels[: len(boxes)]
    classes = pointing_classes(labels, np.zeros(len(boxes)))
    hits = [
        is_hit(point_of_maximum(union_mask(boxes[labels == c], 20, 20)), boxes[labels == c], 0)
        for c in classes
    ]
    assert pointing_accuracy(classes, hits, 3)[0] == 100


def test_map_of_one_pixel_points_at_it_and_fills_its_image():
    assert point_of_maximum([[-3.5]]) == (0, 0)
    assert is_hit((0, 0), [[0, 0, 1, 1]], 0)
    assert difficult_pairs([[0, 0, 1, 1], [0, 0, 1, 1]], [0, 1], 1, 1).size == 0


def test_box_without_area_holds_no_pixel_but_has_a_neighbourhood():
    assert not is_hit((5, 5), [[5, 5, 5, 5]], 0)
    assert is_hit((5, 5), [[5, 5, 5, 5]], 1)
    assert not is_hit((7, 5), [[5, 5, 5, 5]], 2)
    np.testing.assert_array_equal(difficult_pairs([[5, 5, 5, 9], [0, 0, 9, 9]], [0, 1], 9, 9), [0])


def test_box_at_the_border_is_hit_up_to_the_border():
    box = [[12, 8, 20, 10]]  # in the lower right corner of a 20 x 10 image
    assert is_hit((19, 9), box, 0)
    assert is_hit((0, 0), box, 15)
    assert not is_hit((0, 0), box, 11)


def test_prediction_needs_the_class_and_the_point():
    scores, targets = [[0.9, 0.2], [0.8, 0.6], [0.7, 0.4]], [[1, 0], [0, 1], [1, -1]]
    everywhere = np.ones((3, 2), bool)
    mean, per_class = pointing_with_prediction(scores, targets, everywhere)
    np.testing.assert_allclose(per_class, [100 * (1 + 2 / 3) / 2, 100])
    assert mean == pytest.approx(per_class.mean())
    first_missed = everywhere.copy()
    first_missed[0, 0] = False
    np.testing.assert_allclose(
        pointing_with_prediction(scores, targets, first_missed)[1], [100 / 6, 100]
    )
