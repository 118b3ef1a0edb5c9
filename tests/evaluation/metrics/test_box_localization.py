"""CorLoc, threshold selection, MaxBoxAcc, the GT-known, top-1, top-5 and top-5* errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import best_component_ious, component_boxes
from pipeline.evaluation.localization.maps import to_levels
from pipeline.evaluation.metrics.box_localization import (
    cor_loc,
    is_located,
    level_hits,
    localization_errors,
    max_box_acc,
    max_box_acc_any,
    max_box_acc_v2,
    select_second_threshold,
    select_threshold,
)

HITS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 6), st.just(256)))
LEVELS = st.integers(0, 255)


def hits_at(*runs):
    """One image per run [start, end): its boxes are right at these levels."""
    levels = np.arange(256)
    return np.array([(levels >= start) & (levels < end) for start, end in runs])


def test_iou_of_exactly_one_half_is_located():
    truth = [[0, 0, 10, 10]]
    assert is_located([0, 0, 10, 5], truth)
    assert not is_located([0, 0, 10, 4.9], truth)
    assert is_located([0, 0, 10, 10], [[50, 50, 60, 60], *truth])
    assert not is_located([0, 0, 10, 10], [])


def test_box_without_area_is_never_located():
    assert not is_located([5, 5, 5, 9], [[5, 5, 5, 9]])
    assert not is_located([0, 0, 10, 10], [[5, 5, 5, 9]])
    assert not level_hits(np.tile([0, 0, 10, 10], (256, 1)), [[5, 5, 5, 9]]).any()


def test_object_at_the_border_is_located_exactly():
    response = np.zeros((9, 12))
    response[6:, 7:] = 1
    hits = level_hits(component_boxes(to_levels(response)), [[7, 6, 12, 9]])
    assert hits[1:].all()
    assert is_located(component_boxes(to_levels(response))[255], [[7, 6, 12, 9]])


def test_image_of_one_pixel_is_located_at_every_level():
    levels = to_levels([[-2.5]])
    assert level_hits(component_boxes(levels), [[0, 0, 1, 1]]).all()
    assert (best_component_ious(levels, [[0, 0, 1, 1]]) == 1).all()


def test_cor_loc_is_the_mean_over_classes():
    mean, per_class = cor_loc([0, 0, 0, 0, 2], [True, False, False, False, True], 3)
    np.testing.assert_array_equal(per_class, [25, np.nan, 100])
    assert mean == 62.5
    assert np.isnan(cor_loc([], [], 3)[0])


def test_perfect_map_hits_at_every_level_but_zero():
    response = np.zeros((40, 40))
    response[10:20, 10:20] = 1
    hits = level_hits(component_boxes(to_levels(response)), [[10, 10, 20, 20]])
    assert not hits[0]
    assert hits[1:].all()


def test_constant_map_is_judged_by_the_whole_image():
    boxes = component_boxes(to_levels(np.ones((10, 10))))
    assert level_hits(boxes, [[0, 0, 10, 5]]).all()
    assert not level_hits(boxes, [[0, 0, 10, 4]]).any()


def test_image_without_boxes_cannot_be_judged():
    with pytest.raises(InputError, match="without boxes"):
        level_hits(np.zeros((256, 4)), [])


@pytest.mark.parametrize(
    ("runs", "level"),
    [
        ([(7, 8)], 7),
        ([(10, 21)], 15),
        ([(10, 20)], 14),
        ([(0, 100), (50, 256)], 74),
        ([(0, 256)], 127),
        ([(250, 256)], 252),
        ([(0, 0)], 127),
    ],
)
def test_middle_of_the_best_run_is_selected(runs, level):
    assert select_threshold(hits_at(*runs)) == level


def test_longest_of_several_best_runs_is_selected_and_the_lowest_of_equals():
    assert select_threshold(hits_at((5, 8)) | hits_at((40, 51)) | hits_at((90, 100))) == 45
    assert select_threshold(hits_at((5, 8)) | hits_at((40, 43))) == 6


@settings(max_examples=50, deadline=None)
@given(HITS, st.randoms(use_true_random=False))
def test_selected_level_is_best_whatever_the_order_of_images(hits, random):
    level = select_threshold(hits)
    assert hits[:, level].sum() == hits.sum(axis=0).max()
    assert select_threshold(random.sample(list(hits), len(hits))) == level


def test_second_threshold_adds_the_images_that_the_first_misses():
    hits = hits_at((100, 111), (100, 111), (20, 31), (20, 31), (99, 112))
    first = select_threshold(hits)
    assert first == 105
    assert select_second_threshold(hits, first) == 25


@settings(max_examples=50, deadline=None)
@given(HITS, LEVELS)
def test_second_threshold_is_the_best_partner_of_the_first(hits, first):
    second = select_second_threshold(hits, first)
    either = (hits | hits[:, [first]]).sum(axis=0)
    assert either[second] == either.max()


def test_errors_of_six_hand_made_images():
    # Level 100 hits in images 0-3, level 50 in images 2-5.
    hits = np.zeros((6, 256), dtype=bool)
    hits[:4, 100] = True
    hits[2:, 50] = True
    errors = localization_errors(hits, [0, 3, 2, 7, 1, 2], first=100, second=50)
    assert errors == {
        "gt_known": pytest.approx(100 * 2 / 6),  # 4, 5 missed
        "top_1": pytest.approx(100 * 5 / 6),  # 0 found
        "top_5": pytest.approx(100 * 3 / 6),  # 0, 1, 2 found
        "top_5_star": pytest.approx(100 * 3 / 6),  # 0, 2 and, by the second box, 4 found
    }


@settings(max_examples=50, deadline=None)
@given(HITS, LEVELS, LEVELS, st.data())
def test_errors_are_ordered_and_do_not_depend_on_the_order_of_images(hits, first, second, data):
    ranks = np.array([data.draw(st.integers(0, 9)) for _ in hits])
    errors = localization_errors(hits, ranks, first, second)
    assert 0 <= errors["gt_known"] <= errors["top_5"] <= errors["top_1"] <= 100
    assert errors["top_5_star"] <= errors["top_1"]
    assert errors["top_1"] >= 100 * (ranks > 0).mean() - 1e-9
    assert localization_errors(hits[::-1], ranks[::-1], first, second) == pytest.approx(errors)


def test_perfect_boxes_leave_the_classification_error():
    hits, ranks = np.ones((4, 256), bool), [0, 1, 2, 4]
    errors = localization_errors(hits, ranks, 128, 64)
    assert errors == {"gt_known": 0, "top_1": 75, "top_5": 0, "top_5_star": 25}


def test_no_images_other_shapes_and_missing_ranks_are_refused():
    for hits in (np.zeros((0, 256)), np.zeros((3, 255)), np.zeros(256)):
        with pytest.raises(InputError, match="hits of shape"):
            select_threshold(hits)
    with pytest.raises(InputError, match="one rank for each of 2"):
        localization_errors(np.zeros((2, 256)), [0], 1, 2)


def test_best_threshold_of_the_judged_images_counts():
    hits = hits_at((10, 50), (40, 90), (45, 60), (200, 256))
    assert max_box_acc(hits) == 75  # levels 45 to 49
    assert max_box_acc(hits, [1, 1, 1, 9]) == 75  # levels 200 to 255: 9 of 12
    assert max_box_acc(~hits_at((0, 256))) == 0


@settings(max_examples=50, deadline=None)
@given(HITS, LEVELS)
def test_best_threshold_is_never_below_another_and_reached_by_one(hits, level):
    ranks = np.zeros(len(hits))
    errors = [localization_errors(hits, ranks, t, t)["gt_known"] for t in range(256)]
    assert max_box_acc(hits) == pytest.approx(100 - min(errors))
    assert max_box_acc(hits) >= 100 - errors[level] - 1e-9
    assert max_box_acc(hits) == pytest.approx(100 - errors[select_threshold(hits)])


def test_each_iou_has_its_own_best_threshold():
    ious = np.zeros((4, 256))
    ious[:, 10] = [0.3, 0.3, 0.3, 0.29]  # 75 % at IoU 0.3
    ious[:, 20] = [0.5, 0.5, 0.1, 0.1]  # 50 % at 0.5
    ious[:, 30] = [0.7, 0.69, 0.1, 0.1]  # 25 % at 0.7, 50 % at 0.5
    assert max_box_acc_v2(ious) == 50
    assert max_box_acc_v2(np.full((2, 256), 0.7)) == 100


def test_perfect_maps_have_maxboxacc_100_with_any_offset_and_contrast():
    boxes = [[3, 2, 9, 7], [0, 0, 5, 5], [4, 6, 12, 10]]
    hits, ious = [], []
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        response = np.full((10, 12), -7.0)
        response[y0:y1, x0:x1] = number
        levels = to_levels(response)
        hits.append(level_hits(component_boxes(levels), [[x0, y0, x1, y1]]))
        ious.append(best_component_ious(levels, [[x0, y0, x1, y1]]))
    assert max_box_acc(hits) == 100
    assert max_box_acc_v2(ious) == 100


def test_second_version_takes_the_small_component_that_the_first_does_not():
    levels = np.zeros((20, 20), np.uint8)
    levels[2:5, 2:5] = 200  # the object
    levels[10:18, 10:18] = 200  # larger, and no object
    box = [[2, 2, 5, 5]]
    assert max_box_acc([level_hits(component_boxes(levels), box)]) == 0
    assert max_box_acc_v2([best_component_ious(levels, box)]) == 100


def test_the_second_metric_is_the_mean_of_its_parts_each_at_its_own_threshold():
    ious = np.zeros((4, 256))
    ious[:3, 10], ious[:2, 50], ious[0, 90] = 0.3, 0.5, 0.7
    parts = [max_box_acc_any(ious, least) for least in (0.3, 0.5, 0.7)]
    assert parts == [75, 50, 25]
    assert max_box_acc_v2(ious) == 50


@pytest.mark.parametrize("metric", [max_box_acc, max_box_acc_v2])
def test_empty_split_has_no_best_threshold(metric):
    with pytest.raises(InputError, match="n >= 1"):
        metric(np.zeros((0, 256)))
    with pytest.raises(InputError, match="no images to judge"):
        metric(np.ones((2, 256)), [0, 0])
