"""EdgeBoxes finds what an outline encloses."""

import numpy as np
import pytest

from pipeline.evaluation.localization.boxes import iou_xyxy
from pipeline.methods.bases.edge_boxes import edge_boxes

OBJECT = [40, 30, 110, 80]


@pytest.fixture(scope="module")
def image():
    """A red box on grey, with a little noise."""
    noise = np.random.default_rng(0).integers(0, 8, (120, 160, 3))
    picture = np.full((120, 160, 3), 120) + noise
    picture[30:80, 40:110] = (230, 10, 10)
    return picture.astype(np.uint8)


def test_the_best_box_encloses_the_object(image):
    boxes, scores = edge_boxes(image, 50)
    x0, y0, x1, y1 = boxes[0]
    assert x0 <= 40 and y0 <= 30 and x1 >= 110 and y1 >= 80
    assert iou_xyxy(boxes, [OBJECT]).max() > 0.75
    assert scores[0] > 1.2 * scores[1]


def test_boxes_come_best_first_and_lie_in_the_image(image):
    boxes, scores = edge_boxes(image, 200)
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes.shape == (len(scores), 4) and len(scores) > 20
    assert (np.diff(scores) <= 0).all() and scores.min() > 0
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [160, 120]).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_boxes_reach_all_edges_of_the_image():
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    boxes, _ = edge_boxes(noise, 5000)
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
    assert boxes[:, 2:].max(axis=0).tolist() == [160, 120]


def test_a_limit_keeps_the_best(image):
    many, many_scores = edge_boxes(image, 100)
    few, few_scores = edge_boxes(image, 10)
    np.testing.assert_array_equal(few, many[:10])
    np.testing.assert_array_equal(few_scores, many_scores[:10])


def test_a_mirrored_image_has_its_objects_mirrored(image):
    best = edge_boxes(image, 1)[0][0]
    x0, y0, x1, y1 = edge_boxes(image[:, ::-1].copy(), 1)[0][0]
    np.testing.assert_allclose([160 - x1, y0, 160 - x0, y1], best, atol=6)


@pytest.mark.parametrize("shape", [(1, 1), (2, 90), (90, 2), (31, 31), (200, 200)])
def test_an_image_without_edges_or_room_has_no_boxes(shape):
    boxes, scores = edge_boxes(np.full((*shape, 3), 99, np.uint8), 10)
    assert boxes.shape == (0, 4) and scores.shape == (0,)
    if max(shape) < 32:
        noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
        assert len(edge_boxes(noise, 10)[0]) == 0
