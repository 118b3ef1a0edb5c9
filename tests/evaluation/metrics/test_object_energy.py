"""Object Energy and its centred control."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import union_mask
from pipeline.evaluation.metrics.object_energy import (
    bell,
    centred_gaussian,
    object_energy,
    separable_object_energy,
)


def test_uniform_map_gives_the_share_of_the_image_that_boxes_cover():
    boxes = [[0, 0, 10, 10], [5, 0, 15, 10]]
    assert object_energy(np.full((10, 20), 0.3), boxes) == pytest.approx(75)


def test_energy_inside_and_outside():
    energy = np.zeros((10, 10))
    energy[2, 2], energy[8, 8] = 3, 1
    assert object_energy(energy, [[0, 0, 5, 5]]) == 75
    assert object_energy(energy, [[0, 0, 9, 9], [2, 2, 3, 3]]) == 100
    assert object_energy(energy, [[4, 4, 8, 8]]) == 0


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 2**32 - 1))
def test_scale_of_the_map_does_not_matter_and_the_complement_holds_the_rest(scale, seed):
    energy = np.random.default_rng(seed).random((6, 8))
    inside = object_energy(energy, [[0, 0, 3, 6]])
    assert object_energy(energy * scale, [[0, 0, 3, 6]]) == pytest.approx(inside, rel=1e-5)
    assert inside + object_energy(energy, [[3, 0, 8, 6]]) == pytest.approx(100)


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        (np.zeros((4, 4)), "zero everywhere"),
        (np.full((4, 4), -0.1), "negative"),
        (np.full((4, 4), np.nan), "nan at row 0, column 0"),
    ],
)
def test_map_without_an_energy_is_refused(energy, message):
    with pytest.raises(InputError, match=message):
        object_energy(energy, [[0, 0, 2, 2]])


def test_boxes_without_area_hold_no_energy():
    assert object_energy(np.ones((4, 4)), [[2, 2, 2, 4]]) == 0


def test_boxes_at_and_beyond_the_border_are_cut_there():
    energy = np.ones((4, 8))
    assert object_energy(energy, [[6, 2, 8, 4]]) == pytest.approx(12.5)
    assert object_energy(energy, [[6, 2, 99, 99]]) == pytest.approx(12.5)
    assert object_energy(energy, [[0, 0, 8, 4]]) == 100


def test_image_of_one_pixel_has_all_or_nothing():
    assert object_energy([[0.1]], [[0, 0, 1, 1]]) == 100
    assert object_energy([[0.1]], [[0, 0, 0, 1]]) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 7), st.integers(0, 5), st.integers(1, 8), st.integers(1, 6))
def test_map_that_is_zero_off_the_objects_scores_100(x, y, width, height):
    box = [[x, y, x + width, y + height]]
    energy = union_mask(box, 12, 16) * np.random.default_rng(0).random((12, 16))
    assert object_energy(energy, box) == 100


def test_image_without_boxes_is_refused():
    with pytest.raises(InputError, match="without boxes"):
        object_energy(np.ones((4, 4)), np.zeros((0, 4)))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 10), (375, 500)])
def test_gaussian_sums_to_one_and_is_symmetric_about_the_middle(height, width):
    gaussian = centred_gaussian(height, width, 0.25)
    assert gaussian.shape == (height, width)
    assert gaussian.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(gaussian, gaussian[::-1, ::-1], rtol=1e-5)
    assert gaussian[height // 2, width // 2] == gaussian.max()


def test_one_sigma_each_way_holds_68_percent_of_each_axis():
    gaussian = centred_gaussian(200, 400, 0.1)
    middle = object_energy(gaussian, [[160, 80, 240, 120]])
    assert middle == pytest.approx(100 * 0.6827**2, abs=0.2)


def test_wide_gaussian_tends_to_the_uniform_map():
    assert object_energy(centred_gaussian(20, 20, 100), [[0, 0, 5, 20]]) == pytest.approx(
        25, abs=0.01
    )


@pytest.mark.parametrize("arguments", [(0, 5, 0.2), (5, 0, 0.2), (5, 5, 0), (5, 5, np.nan)])
def test_gaussian_without_sides_or_spread_is_refused(arguments):
    with pytest.raises(InputError, match="positive"):
        centred_gaussian(*arguments)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-3, 23)] * 4), min_size=1, max_size=5),
    st.integers(1, 20),
    st.integers(1, 20),
    st.floats(0.1, 2),
)
def test_the_energy_of_a_separable_map_is_that_of_the_map(boxes, height, width, sigma):
    rows, columns = bell(height, sigma), bell(width, sigma)
    energy = object_energy(np.outer(rows, columns), boxes)
    assert separable_object_energy(rows, columns, boxes) == pytest.approx(energy, abs=1e-3)


def test_a_separable_map_needs_boxes_as_well():
    with pytest.raises(InputError, match="an image without boxes has no Object Energy"):
        separable_object_energy(np.ones(3), np.ones(3), [])
