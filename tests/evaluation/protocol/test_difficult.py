"""The difficult subset of pointing, by the rule and by a published list."""

import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.voc import CLASSES as VOC
from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.metrics.pointing import difficult_pairs
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.difficult import difficult_subset, read_list
from pipeline.evaluation.protocol.multi_label import pointing_figures
from pipeline.packed.record import Record
from tests.conftest import REPOSITORY
from tests.parameters import changed

CLASSES = ("dog", "cat", "cow")


def answer(id="1"):
    """An image of a small dog, and a cat that covers half of it."""
    boxes = np.array([[0, 0, 10, 10], [50, 0, 100, 80]], np.float32)
    record = Record(id, b"", 100, 80, (0, 1), boxes, np.array([0, 1]), np.zeros(2, bool))
    maps = np.ones((3, 2, 2), np.float32)
    prediction = Prediction(id, "test", np.zeros(3, np.float32), np.arange(3), maps)
    return Answer(prediction, record, align_corners=False)


@pytest.fixture
def written(tmp_path):
    def make(text):
        path = tmp_path / "difficult.tsv"
        path.write_text(text)
        return path

    return make


def test_the_rule_is_that_of_the_paper():
    assert list(difficult_subset(None, CLASSES)(answer())) == [0]


def test_the_columns_of_a_list_are_the_classes_in_alphabetical_order(written):
    path = written("1\t1\t0\t0\n2\t0\t0\t1\n3\t0\t0\t0\n")  # cat, cow, dog
    assert read_list(path, CLASSES) == {"1": {1}, "2": {0}, "3": set()}
    assert difficult_subset(path, CLASSES)(answer()) == {1}


def test_the_list_decides_which_pairs_are_counted(written, params):
    few = changed(params, evaluate__resamples=3)
    one = answer()
    pair = (one.prediction, one.record)
    for flags, count in (("1\t0\t1", 2), ("1\t0\t0", 1), ("0\t1\t0", 0)):
        listed = changed(few, evaluate__difficult_from=str(written(f"1\t{flags}\n")))
        found = pointing_figures([pair], CLASSES, listed).scores(listed)
        assert found["n"] == {"test": 1, "pointing_all": 2, "pointing_difficult": count}


def test_an_image_that_is_not_listed_is_named(written):
    subset = difficult_subset(written("1\t1\t0\t0\n"), CLASSES)
    with pytest.raises(InputError, match=r"difficult.tsv: image 7 is not listed; .*, or rule"):
        subset(answer("7"))


@pytest.mark.parametrize(
    "text", ["1\t1\t0\t0\n2\t1\t0\n", "1\t1\t0\t0\n\n", "1\t1\t0\t0\n2\t0\t0\t2\n", "1 1 0 0\n"]
)
def test_a_line_that_is_no_image_with_its_flags_is_named(written, text):
    number = text.count("\n")
    with pytest.raises(InputError, match=f"line {number} is no image name with 3 flags 0 or 1"):
        read_list(written(text), CLASSES)


def test_a_missing_list_is_told_with_its_parameter(tmp_path):
    with pytest.raises(InputError, match=r"none.tsv: not found; evaluate.difficult_from is rule"):
        difficult_subset(tmp_path / "none.tsv", CLASSES)


@pytest.fixture(scope="module")
def annotations():
    """The folder of the official boxes of VOC2007 test and of Excitation Backprop's list."""
    folder = Path(os.environ.get("WSOL_ANNOTATIONS", REPOSITORY.parent / "shared/data/annotations"))
    names = ("voc2007-test-boxes.csv", "voc2007-test-difficult-pairs.tsv")
    if not all((folder / name).is_file() for name in names):
        pytest.skip(
            f"no official boxes: set WSOL_ANNOTATIONS to the folder with {' and '.join(names)}"
        )
    return folder


def test_the_rule_finds_2270_of_7013_pairs_of_voc2007_test_and_the_list_2230_of_them(annotations):
    objects, sizes = defaultdict(list), {}
    with open(annotations / "voc2007-test-boxes.csv") as file:
        for row in csv.DictReader(file):
            x0, y0, x1, y1 = (int(row[edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))
            box = [x0 - 1, y0 - 1, x1, y1]
            objects[row["image"]].append((VOC.index(row["class"]), box))
            sizes[row["image"]] = int(row["width"]), int(row["height"])
    assert len(objects) == 4952
    assert len({(id, label) for id, own in objects.items() for label, _ in own}) == 7013
    rule = set()
    for id, own in objects.items():
        labels, boxes = zip(*own, strict=True)
        rule |= {(id, int(label)) for label in difficult_pairs(boxes, labels, *sizes[id])}
    listed = {
        (id, label)
        for id, own in read_list(annotations / "voc2007-test-difficult-pairs.tsv", VOC).items()
        for label in own
    }
    assert (len(rule), len(listed), len(rule & listed)) == (2270, 2230, 2230)
