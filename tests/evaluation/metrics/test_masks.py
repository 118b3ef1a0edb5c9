"""PxAP and mask IoU against counts by hand, by pixel, and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import InputError
from pipeline.evaluation.localization.maps import to_levels
from pipeline.evaluation.metrics.masks import level_histograms, mask_ious, px_ap

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)


@st.composite
def judged_maps(draw, max_size=3):
    """Some (levels, mask, ignored) of small images, levels often equal."""
    images = []
    for _ in range(draw(st.integers(1, max_size))):
        shape = draw(SHAPES)
        few = st.sampled_from([0, 1, 100, 254, 255])
        levels = draw(hnp.arrays(np.uint8, shape, elements=few))
        images.append((levels, *(draw(hnp.arrays(bool, shape)) for _ in range(2))))
    return images


def histograms_of(images):
    return np.stack([level_histograms(*image) for image in images])


def by_pixel(images):
    """Precision and recall threshold by threshold over one long list of pixels."""
    levels = np.concatenate([m[~ignored] for m, _, ignored in images])
    mask = np.concatenate([m[~ignored] for _, m, ignored in images])
    area, recall_before = 0.0, 0.0
    for t in range(255, -1, -1):
        marked = levels >= t
        if marked.any():
            recall = (marked & mask).sum() / mask.sum()
            area += (marked & mask).sum() / marked.sum() * (recall - recall_before)
            recall_before = recall
    return 100 * area


def test_histogram_counts_each_level_on_and_off_the_object():
    levels = np.array([[0, 7, 7], [255, 7, 0]], dtype=np.uint8)
    mask = np.array([[0, 1, 1], [1, 0, 0]])
    on, off = level_histograms(levels, mask)
    assert (on[7], on[255], on.sum()) == (2, 1, 3)
    assert (off[0], off[7], off.sum()) == (2, 1, 3)


def test_ignored_pixels_count_neither_way():
    levels = np.array([[0, 7, 7], [255, 7, 0]], dtype=np.uint8)
    on, off = level_histograms(levels, [[0, 1, 1], [1, 0, 0]], [[1, 1, 0], [0, 0, 0]])
    assert (on[7], on[255], on.sum()) == (1, 1, 2)
    assert (off[0], off[7], off.sum()) == (1, 1, 2)


def test_area_of_four_pixels_by_hand():
    # Falling levels: object, background, object, background.
    histograms = histograms_of([(np.array([[9, 8, 7, 6]], dtype=np.uint8), [[1, 0, 1, 0]])])
    assert px_ap(histograms) == pytest.approx(100 * (0.5 * 1 + 0.5 * 2 / 3))


def test_pixels_of_all_images_are_ranked_together():
    high = (np.array([[200, 100]], dtype=np.uint8), [[1, 0]])
    low = (np.array([[50, 10]], dtype=np.uint8), [[1, 0]])
    # Each image alone is perfect; together the background at 100 comes before the object at 50.
    assert px_ap(histograms_of([high])) == px_ap(histograms_of([low])) == 100
    assert px_ap(histograms_of([high, low])) == pytest.approx(100 * (0.5 * 1 + 0.5 * 2 / 3))


@settings(max_examples=60, deadline=None)
@given(judged_maps())
def test_area_equals_counting_pixels_at_each_threshold(images):
    found = px_ap(histograms_of(images))
    if any((mask & ~ignored).any() for _, mask, ignored in images):
        assert found == pytest.approx(by_pixel(images), abs=1e-9)
    else:
        assert np.isnan(found)


@settings(max_examples=60, deadline=None)
@given(judged_maps())
def test_mask_iou_equals_counting_pixels_at_each_threshold(images):
    ious = mask_ious(histograms_of(images))
    for row, (levels, mask, ignored) in zip(ious, images, strict=True):
        on = mask & ~ignored
        for t in (0, 1, 2, 100, 101, 255):
            marked = (levels >= t) & ~ignored
            if on.any():
                assert row[t] == pytest.approx(100 * (marked & on).sum() / (marked | on).sum())
            else:
                assert np.isnan(row[t])


@settings(max_examples=40, deadline=None)
@given(SHAPES.flatmap(lambda shape: hnp.arrays(bool, shape)), st.floats(-5, 5), st.floats(0.1, 9))
def test_perfect_map_scores_100_at_any_offset_and_contrast(mask, offset, contrast):
    mask = mask.copy()
    mask.flat[0], mask.flat[-1] = True, mask.size == 1
    levels = to_levels(mask * contrast + offset)
    histograms = histograms_of([(levels, mask)] * 3)
    assert px_ap(histograms) == 100
    if mask.size > 1:
        assert (mask_ious(histograms)[:, 1:] == 100).all()
    np.testing.assert_allclose(mask_ious(histograms)[:, 0], 100 * mask.mean())


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0])
def test_constant_map_gives_the_share_of_object_pixels(value):
    mask = np.zeros((10, 20), bool)
    mask[:5, :8] = True
    histograms = histograms_of([(to_levels(np.full((10, 20), value)), mask)])
    assert px_ap(histograms) == pytest.approx(20)
    assert mask_ious(histograms)[0, 0] == 20
    assert (mask_ious(histograms)[0, 1:] == 0).all()


def test_inverted_map_is_worse_than_a_constant_one():
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    histograms = histograms_of([(to_levels(~mask), mask)])
    assert px_ap(histograms) == 50
    assert (mask_ious(histograms)[0, 1:] == 0).all()


def test_monotone_rescaling_of_levels_moves_the_thresholds_and_not_the_area():
    random = np.random.default_rng(0)
    levels = random.integers(0, 100, (12, 15)).astype(np.uint8)
    mask = random.random((12, 15)) < 0.4
    plain, stretched = histograms_of([(levels, mask), (2 * levels + 5, mask)])
    assert px_ap(plain[None]) == pytest.approx(px_ap(stretched[None]), rel=1e-12)
    np.testing.assert_array_equal(
        mask_ious(stretched[None])[0, 5:205:2], mask_ious(plain[None])[0, :100]
    )


def test_image_of_one_pixel():
    on, off = (histograms_of([(to_levels([[3.0]]), [[mask]])]) for mask in (1, 0))
    assert (px_ap(on), mask_ious(on)[0, 0]) == (100, 100)
    assert np.isnan([px_ap(off), mask_ious(off)[0, 0]]).all()


def test_image_without_an_object_is_left_out_of_the_iou_and_lowers_the_precision():
    perfect = (np.array([[255, 0]], dtype=np.uint8), [[1, 0]])
    empty = (np.array([[255, 0]], dtype=np.uint8), [[0, 0]])
    histograms = histograms_of([perfect, empty])
    assert px_ap(histograms) == 50
    assert np.isnan(mask_ious(histograms)[1]).all()


def test_no_images_have_no_area():
    assert np.isnan(px_ap(np.zeros((0, 2, 256))))
    assert mask_ious(np.zeros((0, 2, 256))).shape == (0, 256)


def test_nan_never_becomes_a_level():
    with pytest.raises(InputError, match="nan at row 0, column 1"):
        to_levels([[0, np.nan]])


@pytest.mark.parametrize(
    ("levels", "mask", "ignored", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2)), None, "uint8"),
        (np.zeros((0, 2), np.uint8), np.zeros((0, 2)), None, "non-empty"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3)), None, "one size"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2)), np.zeros((3, 2)), "one size"),
    ],
)
def test_bad_maps_and_masks_are_refused(levels, mask, ignored, message):
    with pytest.raises(InputError, match=message):
        level_histograms(levels, mask, ignored)


@pytest.mark.parametrize("metric", [px_ap, mask_ious])
def test_histograms_of_another_shape_are_refused(metric):
    with pytest.raises(InputError, match="histograms of shape"):
        metric(np.zeros((2, 256)))
