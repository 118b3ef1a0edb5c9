"""The sweep is compared with ways that do the same work."""

import sys

import cv2
import numpy as np
import pytest

from benchmarks import box_sweep
from benchmarks.box_sweep import IOUS, boxes, draw, rows
from pipeline.evaluation.localization.boxes import component_boxes
from pipeline.evaluation.localization.maps import to_levels


@pytest.fixture(autouse=True)
def threads():
    """Give OpenCV its threads back."""
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.mark.parametrize("side", [5, 14])
def test_ways_of_the_same_rule_give_the_same_boxes(side):
    values = draw(side, seed=1)
    exact = ["labels counted", "scipy", "one pass"]
    first, *others = boxes(7).items()
    expected = first[1](values)
    assert expected.shape == (7, 4)
    for name, method in others:
        if any(word in name for word in exact):
            np.testing.assert_array_equal(method(values), expected, name)


def test_labelling_each_distinct_level_gives_the_boxes_of_all_levels():
    values = draw(14, seed=2)
    found = boxes(256)["OpenCV components, per distinct 8-bit level"](values)
    np.testing.assert_array_equal(found, component_boxes(to_levels(values)))


def test_contours_box_a_filled_rectangle_exactly():
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 3:21] = 1
    np.testing.assert_array_equal(box_sweep.contoured(mask), [3, 4, 21, 9])


def test_both_ways_to_the_best_iou_agree_exactly():
    values = draw(14, seed=3)
    labelled, swept = (method(values) for method in IOUS.values())
    np.testing.assert_array_equal(swept, labelled)
    assert swept.max() > 0.1


def test_ratio_compares_with_the_first_method_of_the_same_repeat(monkeypatch):
    clock = iter([0, 10, 0, 2, 0, 30, 0, 3, 0, 10, 0, 5])
    monkeypatch.setattr(box_sweep.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(box_sweep, "MAPS", {"noise": 4})
    slow, fast = rows({"slow": lambda v: np.zeros(2), "fast": lambda v: np.arange(2)}, 3)
    assert slow["Times faster"] == "1.0"
    assert fast["Times faster"] == "5.0"
    assert (fast["Median, ms"], fast["Range, ms"]) == ("3000.00", "2000.00 – 5000.00")
    assert (slow["Same answers"], fast["Same answers"]) == ("100.0%", "50.0%")


def test_both_tables_are_printed(monkeypatch, capsys):
    monkeypatch.setattr(box_sweep, "MAPS", {"small": 3})
    monkeypatch.setattr(sys, "argv", ["box_sweep", "--thresholds", "5", "--repeats", "1"])
    box_sweep.main()
    printed = capsys.readouterr().out
    assert printed.count("| small | one pass |") == 2
    assert "Largest component's box at 5 thresholds" in printed
