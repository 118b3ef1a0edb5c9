from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.packed.store import PackedSplit
from pipeline.saliency import methods
from pipeline.saliency.inference import with_saliency
from pipeline.saliency.smoothing import smooth, smoothed
from stages.paths import split_folder
from tests.coloured_boxes import coloured_box
from tests.parameters import changed


def test_the_gaussian_is_a_share_of_the_longer_side_cut_off_at_four_deviations():
    impulse = np.zeros((41, 101), np.float32)
    impulse[20, 50] = 1
    found = smooth(impulse, 0.02)  # 2.02 px, cut off beyond 9
    y, x = np.mgrid[-20:21, -50:51]
    bell = np.exp(-(x**2 + y**2) / (2 * 2.02**2)) * (np.maximum(abs(x), abs(y)) <= 9)
    np.testing.assert_allclose(found, bell / bell.sum(), atol=1e-6)


def test_the_edge_is_repeated_so_that_constants_stay():
    np.testing.assert_allclose(smooth(np.full((30, 20), 3, np.float32), 0.1), 3, rtol=1e-6)


def test_a_lone_pixel_no_longer_outweighs_a_bright_area():
    values = np.zeros((100, 100), np.float32)
    values[10, 10] = 2
    values[60:80, 60:80] = 1
    assert np.unravel_index(values.argmax(), values.shape) == (10, 10)
    y, x = np.unravel_index(smooth(values, 0.02).argmax(), values.shape)
    assert 60 <= y < 80 and 60 <= x < 80


def prediction(maps):
    return Prediction("0", "test", np.zeros(3), np.arange(len(maps)), maps)


def test_maps_are_resized_before_they_are_smoothed():
    record = replace(coloured_box(0, "multi"), width=100, height=50)
    maps = np.zeros((2, 20, 20), np.float32)
    maps[:, 10, 10] = 1
    found = smoothed(prediction(maps), record, 0.02, align_corners=False).maps
    assert found.shape == (2, 50, 100)
    # A cell of 5 x 2.5 px becomes a tent; 2 px of deviation are the same along both sides.
    across, down = (
        np.cov(range(n), aweights=found[0].sum(a), ddof=0) for n, a in ((100, 0), (50, 1))
    )
    assert across - 2**2 == pytest.approx(5**2 / 6, rel=0.1)
    assert down - 2**2 == pytest.approx(2.5**2 / 6, rel=0.1)


def test_an_image_of_which_nothing_is_asked_has_no_map():
    record = coloured_box(0, "multi")
    none = prediction(np.zeros((0, 8, 8), np.float32))
    found = smoothed(none, record, 0.02, align_corners=False)
    assert found.maps.shape == (0, record.height, record.width)


def test_a_map_that_is_not_finite_names_its_image():
    bad = np.full((1, 4, 4), np.nan, np.float32)
    with pytest.raises(InputError, match="image .*: map holds nan"):
        smoothed(prediction(bad), coloured_box(0, "multi"), 0.02, align_corners=False)


@pytest.mark.parametrize("method", ["gradient", "deconvolution", "guided_backpropagation", "lrp"])
def test_maps_of_single_pixels_are_smoothed_where_the_parameter_says_so(
    workspace, quick, monkeypatch, method
):
    def noise(network, images, classes, params):
        return torch.rand(images[:, 0].shape, generator=torch.Generator().manual_seed(0))

    monkeypatch.setitem(methods.METHODS, method, noise)
    split = PackedSplit(split_folder("multi", "test"))

    def maps(smoothing):
        chosen = changed(quick, saliency__smoothing=smoothing)
        pairs = [(prediction(np.zeros((0, 1, 1), np.float32)), record) for record in split]
        found = with_saliency(pairs, split, torch.nn.Identity(), method, chosen)
        return [own.maps for own, _ in found]

    plain, blurred = maps(0.0), maps(0.02)
    for before, after, record in zip(plain, blurred, split, strict=True):
        assert before.shape[1:] == (64, 64)
        if method == "lrp":
            np.testing.assert_array_equal(after, before)
        else:
            assert after.shape[1:] == (record.height, record.width)
            assert after.std() < before.std()
