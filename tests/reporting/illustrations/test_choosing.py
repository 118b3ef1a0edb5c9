from pipeline.reporting.illustrations.choosing import (
    boxed_labels,
    first_of_each_class,
    hard_labels,
)

LEFT, RIGHT = [0, 0, 10, 20], [30, 10, 40, 20]


def chosen(records, classes=3, **more):
    return {label: r.id for label, r in first_of_each_class(records, classes, **more).items()}


def test_each_class_has_its_first_picture_and_none_has_another_ones(picture):
    records = [
        picture("a", [LEFT, RIGHT], [1, 2]),
        picture("b", [LEFT], [1]),
        picture("c", [LEFT, RIGHT], [0, 2]),
        picture("d", [RIGHT], [2]),
        picture("e", [RIGHT], [2]),
    ]
    assert chosen(records) == {0: "c", 1: "a", 2: "d"}
    assert chosen(records, most=2) == {0: "c", 1: "a"}
    assert chosen(records, classes=9)[2] == "d"


def test_a_class_without_a_picture_is_left_out(picture):
    assert chosen([picture("a", [LEFT], [2])]) == {2: "a"}
    assert chosen([]) == {}


def test_pictures_may_have_to_have_boxes_or_be_hard(picture):
    bare, alone = picture("a", [], [0]), picture("b", [LEFT], [0])
    hard, large = picture("c", [RIGHT, LEFT], [0, 1]), picture("d", [[0, 0, 30, 20], RIGHT], [1, 0])
    records = [bare, alone, hard, large]
    assert chosen(records, shown=boxed_labels) == {0: "b", 1: "c"}
    # The left box covers a quarter of the picture: it is not small.
    assert chosen(records, shown=hard_labels) == {0: "c"}
