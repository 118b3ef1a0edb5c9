import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.packed.record import Record, validate

CLASSES = ("car", "cat")


def record(*boxes, labels=None):
    labels = [0] * len(boxes) if labels is None else labels
    return Record(
        id="a",
        image=b"",
        width=60,
        height=40,
        labels=tuple(sorted(set(labels))),
        boxes_xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        box_labels=np.array(labels, dtype=np.int64),
        difficult=np.zeros(len(boxes), dtype=bool),
    )


def test_a_box_may_fill_the_picture_and_a_picture_may_have_no_object():
    validate(record([0, 0, 60, 40]), CLASSES, "a.xml")
    validate(record(), CLASSES, "a.xml")


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([50, 0, 12, 9], "xmin 50 > xmax 12"),
        ([0, 9, 12, 9], "ymin 9 = ymax 9"),
        ([-1, 0, 12, 9], "xmin -1 outside the 60 x 40 picture"),
        ([0, -2, 12, 9], "ymin -2 outside"),
        ([0, 0, 61, 9], "xmax 61 outside"),
        ([0, 0, 12, 41], "ymax 41 outside"),
        ([0, 0, np.nan, 9], "xmax nan outside"),
        ([-np.inf, 0, 12, 9], "xmin -inf outside"),
    ],
)
def test_a_bad_box_is_named_by_file_object_and_values(box, fault):
    with pytest.raises(InputError) as error:
        validate(record([1, 1, 5, 5], box), CLASSES, "Annotations/000012.xml")
    assert str(error.value).startswith("Annotations/000012.xml: object 2 has ")
    assert fault in str(error.value)


def test_the_message_shows_the_coordinates_of_the_file():
    with pytest.raises(InputError, match="xmin 500 > xmax 12"):
        validate(record([499, 0, 12, 9]), CLASSES, "a.xml", file_adds=(1, 0))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_must_be_one_of_the_classes(label):
    with pytest.raises(InputError, match=f"a.xml: label {label} is none of the 2 classes"):
        validate(record([0, 0, 5, 5], labels=[label]), CLASSES, "a.xml")
