"""Which pictures stand in the galleries, and what is said of them."""

import base64
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.sources import SOURCES
from pipeline.reporting.page import encoding
from pipeline.reporting.page.data_card import ABOUT
from pipeline.reporting.page.gallery import MOST, PER_CLASS, draw
from tests.reporting.page.conftest import MISSED


def labelled(labels):
    """A split of which nothing but labels is known."""
    return SimpleNamespace(columns=lambda name: ({name: own} for own in labels))


def test_each_class_has_as_many_pictures_drawn_by_the_seed():
    split = labelled([[number % 3] for number in range(300)])
    drawn = draw(split, seed=0)
    assert [label for _, label in drawn] == [0] * PER_CLASS + [1] * PER_CLASS + [2] * PER_CLASS
    assert all(index % 3 == label for index, label in drawn)
    assert drawn == draw(split, seed=0) != draw(split, seed=1)


def test_of_many_classes_some_at_even_distances_are_shown():
    drawn = draw(labelled([[number % 200] for number in range(2000)]), seed=0)
    assert len(drawn) == MOST
    assert sorted({label for _, label in drawn}) == list(range(0, 200, 20))


def test_a_picture_without_label_is_not_drawn_and_small_classes_are_whole():
    assert draw(labelled([[], [0], [0, 1]]), seed=0) == [(1, 0), (2, 0), (2, 1)]


def test_a_method_hits_where_its_maximum_lies_on_the_class(report):
    multi, _ = report.galleries
    assert [item.class_name for item in multi.items] == ["red", "lime", "lime", "blue", "blue"]
    assert len(multi.pictures) == 4  # one of them is shown for two classes
    cam, spn = multi.methods
    assert {item.views["CAM"].hit for item in multi.items} == {True}
    missed = [item for item in multi.items if not item.views["SPN"].hit]
    assert len(missed) == 1 and missed[0].outcomes(spn) == ["miss", "loss"]
    assert missed[0].outcomes(cam) == ["hit"]
    assert list(multi.layers) == ["input", "proposal", "response"]


def test_boxes_are_judged_against_the_true_ones(report, splits):
    _, single = report.galleries
    (missed,) = (i for i in single.items if i.views["SPG"].hit is False)
    number = [record.id for record in splits["single"]["test"]].index(MISSED)
    assert missed.class_name == "lime" and number == 2
    for item in single.items:
        view, (true,) = item.views["SPG-plain"], item.boxes
        assert view.hit and view.iou > 0.8
        assert np.allclose(view.box, true, atol=1.5)
    plain = next(m for m in single.methods if m.label == "SPG-plain")
    spg = next(m for m in single.methods if m.label == "SPG")
    assert missed.outcomes(spg) == ["miss", "loss"] and missed.outcomes(plain) == ["hit"]


def test_spg_shows_its_masks_in_the_papers_order(report):
    _, single = report.galleries
    assert list(single.items[0].views["SPG"].layers) == ["attention", "mask-a", "b2", "b1", "c"]
    assert list(single.items[0].views["SPG"].choices)[0] == "input"


def pixels(uri):
    assert uri.startswith("data:image/webp;base64,")
    content = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(BytesIO(content)).convert("RGB")).astype(int)


def test_masks_have_three_colours_and_probabilities_a_fixed_scale():
    mask = pixels(encoding.mask(np.array([[0, 1, 2]], np.uint8)))
    assert mask.shape == (1, 3, 3) and len(np.unique(mask.reshape(-1, 3), axis=0)) == 3
    half = np.full((8, 8), 0.5, np.float32)
    dark, middle = pixels(encoding.heat(half)), pixels(encoding.probabilities(half))
    assert dark.max() < 20 < 150 < middle.max()
    assert pixels(encoding.heat(np.eye(300, 600, dtype=np.float32))).shape == (56, 112, 3)


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_of_pictures_has_words_and_a_licence(source):
    assert ABOUT[source].what and ABOUT[source].licence
    assert set(ABOUT) == set(SOURCES)
