from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import component_boxes
from pipeline.evaluation.localization.maps import resize_map, to_levels
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.sources import SPG_SOURCES
from pipeline.packed.record import Record
from pipeline.reporting.examples import choose, multi_gallery, single_gallery

CLASSES = ("bird", "fish")


def record(number, labels=(1,)):
    """A 40 x 20 picture stored at half size with a bird on the left and a fish on the right."""
    buffer = BytesIO()
    Image.new("RGB", (20, 10), "gray").save(buffer, "PNG")
    boxes = np.array([[0, 0, 20, 20], [20, 0, 40, 20]], np.float32)
    return Record(
        id=str(number),
        image=buffer.getvalue(),
        width=40,
        height=20,
        labels=labels,
        boxes_xyxy=boxes,
        box_labels=np.array([0, 1]),
        difficult=np.zeros(2, bool),
    )


def prediction(number, branches=(), split="test"):
    """Strong response in the right half for class 1, in the left for class 0."""
    maps = np.zeros((2, 2, 4), np.float32)
    maps[0, :, :2] = maps[1, :, 2:] = 1
    return Prediction(
        id=str(number),
        split=split,
        scores=np.zeros(2, np.float32),
        map_classes=np.array([0, 1]),
        maps=maps,
        proposal_map=np.full((2, 4), 1 / 8, np.float32),
        guidance={name: maps[0] for name in branches},
    )


def test_examples_stand_at_even_distances_in_the_split():
    chosen = choose([record(i) for i in range(60)])
    assert [int(r.id) for r in chosen] == [0, 10, 20, 30, 40, 50]
    assert len(choose([record(i) for i in range(3)])) == 3


def test_a_picture_without_label_gives_way_to_the_next_one():
    records = [record(i, () if i % 10 == 0 else (1,)) for i in range(60)]
    assert [r.id for r in choose(records)] == ["1", "11", "21", "31", "41", "51"]


def test_multi_examples_show_the_first_class_with_its_boxes():
    gallery = multi_gallery([record(7, (1,))], CLASSES, [prediction(7)], [prediction(7)])
    assert len(gallery.columns) == len(gallery.rows["1: fish"]) == 4
    image, cam, proposal, spn = gallery.rows["1: fish"]
    assert cam.true_xyxy.tolist() == [[20, 0, 40, 20]]
    assert cam.predicted_xyxy.shape == (1, 4) and cam.predicted_xyxy[0, 0] >= 15
    assert spn.size == (40, 20) and spn.heat is not None and spn.heat.shape == (10, 20)
    assert image.heat is None and len(proposal.predicted_xyxy) == 0


def test_single_examples_show_the_branches_that_the_network_has():
    plain, full = [prediction(0)], [prediction(0, ("b1", "b2", "c"))]
    gallery = single_gallery([record(0)], CLASSES, (plain, 0.5), (full, 0.5))
    assert gallery.columns[3:] == ("B2", "B1", "C")
    without_c = [prediction(0, ("b1", "b2"))]
    gallery = single_gallery([record(0)], CLASSES, (plain, 0.5), (without_c, 0.5))
    assert gallery.columns[3:] == ("B2", "B1")
    assert len(gallery.rows["1: fish"]) == 5


def test_recommended_boxes_have_the_last_column():
    plain, full = [prediction(0)], [prediction(0, ("b1", "b2"))]
    chosen = SPG_SOURCES["attention+b"].source, 0.5
    gallery = single_gallery([record(0)], CLASSES, (plain, 0.5), (full, 0.5), chosen)
    assert gallery.columns[-1] == "SPG recommended"
    *_, last = gallery.rows["1: fish"]
    whole = resize_map(chosen[0](Answer(full[0], record(0), False)), 20, 40)
    expected = component_boxes(to_levels(whole))[round(0.5 * 255)]
    assert np.array_equal(last.predicted_xyxy, expected[None])


def test_a_higher_threshold_gives_a_smaller_box():
    plain, spg = [prediction(0)], [prediction(0, ("b1", "b2"))]
    gallery = single_gallery([record(0)], CLASSES, (plain, 0.1), (spg, 0.9))
    _, low, high, *_ = gallery.rows["1: fish"]
    assert high.predicted_xyxy[0, 0] > low.predicted_xyxy[0, 0]


def test_a_picture_without_test_prediction_is_an_error():
    predictions = [prediction(0, split="val")]
    with pytest.raises(InputError, match="no test picture 0.*evaluate"):
        multi_gallery([record(0)], CLASSES, predictions, predictions)
