"""Selective Search finds regions of one kind, and leaves nothing to chance."""

import cv2
import numpy as np
import pytest

from pipeline.evaluation.localization.boxes import iou_xyxy
from pipeline.methods.selective_search import selective_search


@pytest.fixture(scope="module")
def image():
    """A red and a blue box on grey, with some noise."""
    noise = np.random.default_rng(0).integers(0, 30, (120, 160, 3))
    picture = np.full((120, 160, 3), 100) + noise
    picture[20:60, 30:80] = (220, 10, 10)
    picture[70:110, 90:150] = (10, 10, 220)
    return picture.astype(np.uint8)


def test_regions_have_their_boxes(image):
    boxes, _ = selective_search(image)
    best = iou_xyxy(boxes, [[30, 20, 80, 60], [90, 70, 150, 110], [0, 0, 160, 120]]).max(axis=0)
    assert (best[:2] > 0.9).all() and best[2] == 1


def test_each_box_is_there_once_largest_first_and_all_count_alike(image):
    boxes, scores = selective_search(image)
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes.shape == (len(scores), 4)
    assert len(np.unique(boxes, axis=0)) == len(boxes) > 3
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    assert (np.diff(areas) <= 0).all() and areas.min() > 0
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [160, 120]).all()
    assert (scores == 1).all()


@pytest.fixture(scope="module")
def patchwork():
    """Patches of 20 px in random colours: many regions of the same size."""
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return colours.repeat(20, axis=0).repeat(20, axis=1)


def test_a_second_search_finds_the_same_in_the_same_order(patchwork):
    first, second = selective_search(patchwork), selective_search(patchwork)
    np.testing.assert_array_equal(first[0], second[0])
    areas = (first[0][:, 2:] - first[0][:, :2]).prod(axis=1)
    assert len(np.unique(areas)) < len(areas) - 20


def test_the_boxes_are_those_of_opencv_for_its_own_order_of_channels(patchwork):
    def of_opencv(bgr):
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(bgr))
        search.switchToSelectiveSearchFast()
        return {(x, y, x + w, y + h) for x, y, w, h in search.process().tolist()}

    found = set(map(tuple, selective_search(patchwork)[0].tolist()))
    assert found == of_opencv(patchwork[..., ::-1]) != of_opencv(patchwork)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (50, 70)])
def test_one_colour_is_one_region(shape):
    boxes, scores = selective_search(np.full((*shape, 3), 99, np.uint8))
    assert boxes.tolist() == [[0, 0, shape[1], shape[0]]] and scores.tolist() == [1]
