"""Resizing, normalising and quantising response maps."""

from math import inf, nextafter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import InputError
from pipeline.evaluation.localization.maps import (
    finite_map,
    normalise,
    reached_thresholds,
    resize_map,
    to_levels,
)

SIDES = st.integers(1, 12)
FINITE_MAPS = hnp.arrays(
    np.float32,
    st.tuples(SIDES, SIDES),
    elements=st.floats(-1000, 1000, width=32),
)


@pytest.mark.parametrize("source", [(1, 1), (1, 7), (7, 10), (14, 14)])
@pytest.mark.parametrize("target", [(1, 1), (5, 3), (14, 14), (375, 500)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_resize_agrees_with_torch(source, target, align_corners):
    values = np.random.default_rng(0).normal(size=source).astype(np.float32)
    # In float64: torch's float32 sampling positions are off by 1e-5 at 500 px.
    image = torch.from_numpy(values).double()[None, None]
    expected = torch.nn.functional.interpolate(
        image, size=target, mode="bilinear", align_corners=align_corners
    )
    found = resize_map(values, *target, align_corners=align_corners)
    np.testing.assert_allclose(found, expected[0, 0].numpy(), atol=2e-6)


def stretched(values, target):
    """Rows interpolated by NumPy in float64."""
    last = len(values) - 1
    position = np.clip((np.arange(target) + 0.5) * len(values) / target - 0.5, 0, last)
    lower = np.floor(position).astype(np.int64)
    share = (position - lower)[:, None]
    return values[lower] * (1 - share) + values[np.minimum(lower + 1, last)] * share


@settings(max_examples=50, deadline=None)
@given(FINITE_MAPS, st.integers(1, 40), st.integers(1, 40))
def test_resizing_gives_the_bytes_of_numpy(values, height, width):
    wide = stretched(values.T.astype(np.float64), width).T
    expected = stretched(wide, height).astype(np.float32)
    assert resize_map(values, height, width).tobytes() == expected.tobytes()


@settings(max_examples=50, deadline=None)
@given(FINITE_MAPS)
def test_normalising_and_quantising_give_the_bytes_of_numpy(values):
    shifted = values.astype(np.float64) - values.min()
    expected = (shifted / (shifted.max() or 1)).astype(np.float32)
    assert normalise(values).tobytes() == expected.tobytes()
    levels = np.floor(expected * np.float32(255)).astype(np.uint8)
    assert to_levels(values).tobytes() == levels.tobytes()


@pytest.mark.parametrize("function", [normalise, to_levels, lambda m: resize_map(m, 9, 4)])
def test_strided_map_gives_the_result_of_its_copy(function):
    values = np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32)
    for view in (values.T, values[::2, ::-1]):
        np.testing.assert_array_equal(function(view), function(view.copy()))


def test_resizing_two_pixels_to_four_clamps_the_edge():
    np.testing.assert_array_equal(resize_map([[0, 4]], 1, 4), [[0, 1, 3, 4]])


def test_aligned_corners_spread_two_pixels_evenly():
    np.testing.assert_array_equal(resize_map([[0, 3]], 1, 4, align_corners=True), [[0, 1, 2, 3]])


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_map_of_the_size_of_the_image_stays_as_it_is(align_corners):
    values = np.random.default_rng(0).normal(size=(7, 11)).astype(np.float32)
    found = resize_map(values, 7, 11, align_corners=align_corners)
    np.testing.assert_array_equal(found, values)


@settings(max_examples=50, deadline=None)
@given(FINITE_MAPS, st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_resizing_stays_within_the_range_of_the_map(values, height, width, align_corners):
    resized = resize_map(values, height, width, align_corners=align_corners)
    assert resized.shape == (height, width)
    assert resized.dtype == np.float32
    assert values.min() <= resized.min() <= resized.max() <= values.max()


@pytest.mark.parametrize("value", [0.1, -7.3, 1e-30, 3e38])
def test_constant_map_is_still_constant_after_resizing(value):
    resized = resize_map(np.full((10, 10), value), 375, 500)
    np.testing.assert_array_equal(resized, np.float32(value))


@settings(max_examples=50, deadline=None)
@given(FINITE_MAPS)
def test_normalised_map_spans_zero_to_one_and_a_constant_one_is_zero(values):
    normalised = normalise(values)
    assert normalised.min() == 0
    assert normalised.max() == (1 if values.max() > values.min() else 0)


def test_range_beyond_float32_is_normalised_without_overflow():
    np.testing.assert_array_equal(normalise([[-3e38, 0, 3e38]]), [[0, 0.5, 1]])


def test_level_t_means_at_least_t_of_255():
    values = np.linspace(-3, 5, 1021)[None]
    levels, normalised = to_levels(values), normalise(values)
    assert levels.dtype == np.uint8
    for t in (0, 1, 17, 128, 254, 255):
        np.testing.assert_array_equal(levels >= t, normalised * np.float32(255) >= t)


def counted(values, thresholds):
    return np.array([[(thresholds <= value).sum() for value in row] for row in values])


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(SIDES, SIDES), elements=FINITE),
    st.lists(st.floats(allow_nan=False), max_size=30),
)
def test_thresholds_up_to_a_value_are_counted(values, drawn):
    nearest = [nextafter(value, inf) for value in values[:, 0]]
    thresholds = np.sort([*drawn, *values[0], *nearest])
    expected = counted(values, np.minimum(thresholds, values.max()))
    np.testing.assert_array_equal(reached_thresholds(values, thresholds), expected)


@pytest.mark.parametrize("spread", [1e-323, 1e-300, 1e-12, 1.0, 1e300])
def test_thresholds_are_counted_however_unevenly_they_lie(spread):
    rng = np.random.default_rng(2)
    values = rng.normal(size=(20, 20)) * spread
    values[0] = [-1e308, 1e308] * 10
    thresholds = np.sort(np.concatenate([values[1:].ravel(), values[0, :2]]))
    np.testing.assert_array_equal(
        reached_thresholds(values, thresholds), counted(values, thresholds)
    )


def test_thresholds_above_the_maximum_count_as_the_maximum():
    np.testing.assert_array_equal(reached_thresholds([[0, 1, 2]], [1, 5, np.inf]), [[0, 1, 3]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "function",
    [
        finite_map,
        normalise,
        to_levels,
        lambda m: resize_map(m, 4, 4),
        lambda m: reached_thresholds(m, [0]),
    ],
)
def test_map_that_is_not_finite_is_refused_with_its_first_bad_pixel(function, bad):
    values = np.zeros((3, 4))
    values[1, 2] = values[2, 0] = bad
    with pytest.raises(InputError, match=f"{bad} at row 1, column 2"):
        function(values)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (4,), (1, 4, 4)])
def test_map_without_two_sides_is_refused(shape):
    with pytest.raises(InputError, match="shape"):
        finite_map(np.zeros(shape))


def test_resizing_to_no_pixels_is_refused():
    with pytest.raises(InputError, match="0 x 5"):
        resize_map([[1.0]], 0, 5)
