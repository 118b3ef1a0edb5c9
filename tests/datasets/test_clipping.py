"""Which official boxes are clipped to their picture of 60 x 40."""

import numpy as np
import pytest

from pipeline.datasets.clipping import clip_overlapping, clip_rounding, overlapping


def array(*box: float) -> np.ndarray:
    return np.array([box], dtype=np.float32)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-1, -0.5, 61, 40.5), [0, 0, 60, 40]),
        ((-1.5, 0, 9, 9), [-1.5, 0, 9, 9]),
        ((1, 2, 30, 39.5), [1, 2, 30, 39.5]),
    ],
)
def test_coordinates_are_clipped_that_are_at_most_a_pixel_outside(
    box: tuple[float, ...], expected: list[float]
) -> None:
    assert clip_rounding(array(*box), 60, 40).tolist() == [expected]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-50, -3, 90, 41), [0, 0, 60, 40]),
        ((60, 0, 70, 9), [60, 0, 70, 9]),
        ((0, -9, 9, 0), [0, -9, 9, 0]),
        ((30, 0, 12, 50), [30, 0, 12, 50]),
    ],
)
def test_a_box_that_overlaps_the_picture_is_clipped_and_others_stay(
    box: tuple[float, ...], expected: list[float]
) -> None:
    assert clip_overlapping(array(*box), 60, 40).tolist() == [expected]


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((59.5, 39.5, 90, 90), True),
        ((60, 0, 70, 9), False),
        ((0, -9, 9, 0), False),
        ((30, 0, 12, 9), False),
    ],
)
def test_a_box_overlaps_with_any_part_in_the_picture(box: tuple[float, ...], inside: bool) -> None:
    assert overlapping(array(*box), 60, 40).tolist() == [inside]


def test_a_box_that_is_not_finite_stays_so() -> None:
    box = array(np.nan, 0, 9, 9)
    assert np.isnan(clip_overlapping(box, 60, 40)).any()
    assert np.isnan(clip_rounding(box, 60, 40)).any()


def test_no_box_stays_no_box() -> None:
    none = np.zeros((0, 4), dtype=np.float32)
    assert clip_overlapping(none, 60, 40).shape == clip_rounding(none, 60, 40).shape == (0, 4)
