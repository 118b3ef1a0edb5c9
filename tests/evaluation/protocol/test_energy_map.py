"""The energy map is the sum of the scores of the boxes over each pixel, whatever the boxes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import InputError
from pipeline.evaluation.metrics.object_energy import object_energy
from pipeline.evaluation.protocol.energy_map import energy_map, object_energies
from pipeline.packed.proposals import Proposals
from tests.coloured_boxes import coloured_box

NO_BOXES = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
sides = st.integers(1, 12)
scores = st.floats(0, 1, width=32).filter(lambda score: score == 0 or score > 1e-3)


@st.composite
def scored_boxes(draw):
    """Boxes in, across and outside of a picture; also inverted and without area; some on halves."""
    count = draw(st.integers(0, 12))
    edges = st.integers(-8, 40).map(lambda edge: edge / 2)
    boxes = draw(hnp.arrays(np.float32, (count, 4), elements=edges))
    return boxes, draw(hnp.arrays(np.float32, count, elements=scores))


def summed(boxes, scores, height, width):
    """The definition, pixel by pixel; a uniform map where it says nothing."""
    energy = np.zeros((height, width))
    for (x0, y0, x1, y1), score in zip(boxes, scores, strict=True):
        for y, x in np.ndindex(height, width):
            if x0 <= x + 0.5 < x1 and y0 <= y + 0.5 < y1:
                energy[y, x] += score
    return energy if energy.any() else np.ones((height, width))


@settings(max_examples=200, deadline=None)
@given(scored_boxes(), sides, sides)
def test_running_sums_equal_the_sum_over_boxes_for_each_pixel(scored, height, width):
    boxes, score = scored
    found = energy_map(boxes, score, height, width)
    np.testing.assert_allclose(found, summed(boxes, score, height, width), rtol=1e-12, atol=1e-12)
    assert found.dtype == np.float64 and (found >= 0).all()


@settings(max_examples=50, deadline=None)
@given(scored_boxes(), st.integers(0, 2**32 - 1))
def test_the_order_of_the_boxes_does_not_matter(scored, seed):
    boxes, score = scored
    order = np.random.default_rng(seed).permutation(len(score))
    np.testing.assert_allclose(
        energy_map(boxes[order], score[order], 9, 11), energy_map(boxes, score, 9, 11), atol=1e-12
    )


def test_scores_add_up_where_boxes_overlap():
    found = energy_map([[0, 0, 2, 2], [1, 0, 4, 1]], [1, 0.5], 2, 4)
    np.testing.assert_array_equal(found, [[1, 1.5, 0.5, 0.5], [1, 1, 0, 0]])


def test_a_pixel_without_a_box_is_left_with_nothing_negative():
    rng = np.random.default_rng(0)
    boxes = np.hstack([rng.integers(0, 5, (300, 2)), rng.integers(6, 9, (300, 2))])
    found = energy_map(boxes, rng.random(300), 20, 20)
    assert found.min() == 0 and found[12:, 12:].max() < 1e-12


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [
        NO_BOXES,
        ([[2, 2, 2, 5]], [1]),
        ([[4, 4, 2, 2]], [1]),
        ([[50, 50, 60, 60]], [1]),
        ([[0, 0, 3, 3]], [0]),
        ([[0.6, 0, 1.4, 5]], [1]),
    ],
    ids=["none", "zero area", "inverted", "outside", "score 0", "between pixel centres"],
)
def test_proposals_that_say_nothing_give_the_uniform_map(boxes, scores):
    np.testing.assert_array_equal(energy_map(boxes, scores, 5, 7), np.ones((5, 7)))


def test_an_image_of_one_pixel_has_its_energy():
    assert energy_map([[0, 0, 1, 1], [0, 0, 9, 9]], [0.25, 0.5], 1, 1).tolist() == [[0.75]]


@pytest.mark.parametrize(
    ("boxes", "scores", "size", "message"),
    [
        ([[0, 0, 1, 1]], [1, 2], (3, 3), r"scores of shape \(2,\)"),
        ([[0, 0, 1]], [1], (3, 3), "boxes of shape"),
        ([[0, 0, 1, np.nan]], [1], (3, 3), "not finite"),
        ([[0, 0, 1, 1]], [np.inf], (3, 3), "not finite"),
        ([[0, 0, 1, 1]], [-0.5], (3, 3), "score -0.5"),
        ([[0, 0, 1, 1]], [1], (0, 3), "energy map of 0 x 3 px"),
    ],
)
def test_what_is_no_energy_is_refused(boxes, scores, size, message):
    with pytest.raises(InputError, match=message):
        energy_map(boxes, scores, *size)


def proposed(record, boxes, scores):
    return Proposals(record.id, "test", np.array(boxes, np.float32), np.array(scores, np.float32))


def test_object_energy_is_the_share_inside_the_union_of_all_boxes():
    record = coloured_box(1, "multi")  # 48 x 40; [5, 6, 22, 30] and, difficult, [30, 18, 46, 38]
    halves = proposed(record, [[5, 6, 22, 30], [0, 0, 48, 6]], [1, 17 * 24 / (48 * 6)])
    oracle = proposed(record, record.boxes_xyxy, [0.9, 0.1])
    silent = proposed(record, *NO_BOXES)
    uniform = 100 * (17 * 24 + 16 * 20) / (48 * 40)
    found = object_energies([halves, oracle, silent], [record] * 3)
    np.testing.assert_allclose(found, [50, 100, uniform], rtol=1e-6)
    assert found[2] == pytest.approx(object_energy(np.ones((40, 48)), record.boxes_xyxy))


def test_an_image_without_objects_has_no_object_energy():
    record = replace(coloured_box(0, "multi"), boxes_xyxy=np.zeros((0, 4), np.float32))
    assert np.isnan(object_energies([proposed(record, [[0, 0, 9, 9]], [1])], [record])).all()


def test_no_images_have_no_object_energies():
    assert object_energies([], []).shape == (0,)


def test_proposals_of_other_images_are_refused():
    one, two = coloured_box(1, "multi"), coloured_box(2, "multi")
    with pytest.raises(InputError, match="proposals of image 001 for image 002; run .*evaluate_"):
        object_energies([proposed(one, *NO_BOXES)], [two])
    with pytest.raises(InputError, match="proposals of 0 images for 2; run .*evaluate_"):
        object_energies([], [one, two])
