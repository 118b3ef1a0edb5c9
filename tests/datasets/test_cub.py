"""Facts of the CUB-200-2011 layout, on fourteen pictures of two classes."""

import re
from collections import Counter
from pathlib import Path

import pytest

from pipeline.datasets import cub
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record
from pipeline.params import Params


def records(root: Path, params: Params, seed: int = 0) -> tuple[Dataset, dict[str, list[Record]]]:
    dataset = cub.read(root, params.data, seed)
    return dataset, {name: list(split) for name, split in dataset.splits.items()}


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / "CUB_200_2011" / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def fails(root: Path, params: Params, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        records(root, params)


@pytest.mark.parametrize("seed", range(8))
def test_val_is_the_same_share_of_every_class(tiny_cub: Path, params: Params, seed: int) -> None:
    _, splits = records(tiny_cub, params, seed)
    counts = {split: Counter(r.labels for r in part) for split, part in splits.items()}
    assert counts["train"] == {(0,): 4, (1,): 4}
    assert counts["val"] == {(0,): 1, (1,): 1}
    assert counts["test"] == {(0,): 2, (1,): 2}


def test_no_image_is_in_two_splits(tiny_cub: Path, params: Params) -> None:
    _, splits = records(tiny_cub, params)
    ids = [record.id for part in splits.values() for record in part]
    assert len(ids) == len(set(ids)) == 14


def test_the_seed_changes_val_but_never_test(tiny_cub: Path, params: Params) -> None:
    chosen = [records(tiny_cub, params, seed)[1] for seed in range(6)]
    assert len({tuple(record.id for record in splits["val"]) for splits in chosen}) > 1
    assert len({tuple(record.id for record in splits["test"]) for splits in chosen}) == 1


def test_a_box_is_read_from_corner_width_and_height(tiny_cub: Path, params: Params) -> None:
    _, splits = records(tiny_cub, params)
    assert splits["test"][0].boxes_xyxy.tolist() == [[10, 5, 40, 30]]


def test_classes_are_those_with_a_training_image(tiny_cub: Path, params: Params) -> None:
    edit(tiny_cub, "classes.txt", "2 002.Blue_bird\n", "2 002.Blue_bird\n3 003.Green_bird\n")
    dataset, _ = records(tiny_cub, params)
    assert dataset.classes == ("001.Red_bird", "002.Blue_bird")
    assert (dataset.task, dataset.short_side) == ("single", params.data.short_side)


def test_a_few_photographs_are_called_a_subset(tiny_cub: Path, params: Params) -> None:
    assert records(tiny_cub, params)[0].name == "CUB-200-2011 subset (2 classes, 14 images)"


def test_the_official_numbers_of_images_make_it_cub(
    tiny_cub: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cub, "_OFFICIAL_COUNTS", (10, 4))
    assert records(tiny_cub, params)[0].name == "CUB-200-2011"


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("1 21.0 5.0 30.0 25.0", [21, 5, 50, 30]),
        ("1 10.0 16.0 30.0 25.0", [10, 16, 40, 40]),
        ("1 -3.5 5.0 30.0 99.0", [0, 5, 26.5, 40]),
    ],
)
def test_a_box_that_leaves_the_picture_is_clipped(
    tiny_cub: Path, params: Params, line: str, box: list[float]
) -> None:
    edit(tiny_cub, "bounding_boxes.txt", "1 10.0 5.0 30.0 25.0", line)
    _, splits = records(tiny_cub, params)
    assert splits["test"][0].boxes_xyxy.tolist() == [box]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1 52.0 5.0 30.0 25.0", "xmax 82 outside the 50 x 40 picture"),
        ("1 10.0 -25.0 30.0 25.0", "ymin -25 outside"),
        ("1 10.0 5.0 -3.0 25.0", "xmin 10 > xmax 7"),
        ("1 10.0 5.0 30.0 0.0", "ymin 5 = ymax 5"),
    ],
)
def test_a_bad_box_is_named_by_file_and_image(
    tiny_cub: Path, params: Params, line: str, fault: str
) -> None:
    edit(tiny_cub, "bounding_boxes.txt", "1 10.0 5.0 30.0 25.0", line)
    fails(tiny_cub, params, "bounding_boxes.txt: 001.Red_bird/bird_01.jpg: object 1 has ")
    fails(tiny_cub, params, fault)


@pytest.mark.parametrize(
    "line", ["1 10.0 5.0 30.0", "1 10.0 5.0 30.0 wide", "1 nan 5.0 30.0 25.0", "1"]
)
def test_a_box_must_have_four_numbers(tiny_cub: Path, params: Params, line: str) -> None:
    edit(tiny_cub, "bounding_boxes.txt", "1 10.0 5.0 30.0 25.0", line)
    fails(tiny_cub, params, "bounding_boxes.txt: 1 has ")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("bounding_boxes.txt", "1 10.0 5.0 30.0 25.0\n"),
        ("image_class_labels.txt", "1 1\n"),
        ("train_test_split.txt", "1 0\n"),
    ],
)
def test_an_image_without_a_line_is_named(
    tiny_cub: Path, params: Params, name: str, line: str
) -> None:
    edit(tiny_cub, name, line, "")
    fails(tiny_cub, params, f"{name}: no line for '1'")


@pytest.mark.parametrize(
    "name", ["bounding_boxes.txt", "image_class_labels.txt", "train_test_split.txt"]
)
def test_a_line_of_an_unlisted_image_is_named(tiny_cub: Path, params: Params, name: str) -> None:
    edit(tiny_cub, "images.txt", "1 001.Red_bird/bird_01.jpg\n", "")
    for other in {"bounding_boxes.txt", "image_class_labels.txt", "train_test_split.txt"} - {name}:
        path = tiny_cub / "CUB_200_2011" / other
        path.write_text(path.read_text().partition("\n")[2])
    fails(tiny_cub, params, f"{name}: image '1' is not in images.txt")


def test_an_unknown_class_is_named(tiny_cub: Path, params: Params) -> None:
    edit(tiny_cub, "image_class_labels.txt", "1 1\n", "1 77\n")
    fails(tiny_cub, params, "classes.txt: no line for '77'")


def test_a_class_without_training_image_is_named(tiny_cub: Path, params: Params) -> None:
    edit(tiny_cub, "classes.txt", "2 002.Blue_bird\n", "2 002.Blue_bird\n3 003.Green_bird\n")
    edit(tiny_cub, "image_class_labels.txt", "1 1\n", "1 3\n")
    fails(tiny_cub, params, "class '003.Green_bird' has no training image")


def test_the_official_part_is_0_or_1(tiny_cub: Path, params: Params) -> None:
    edit(tiny_cub, "train_test_split.txt", "1 0\n", "1 2\n")
    fails(tiny_cub, params, "train_test_split.txt: 1 has '2'; allowed: 0, 1")


@pytest.mark.parametrize("name", ["images.txt", "images/001.Red_bird/bird_01.jpg"])
def test_a_missing_file_is_named(tiny_cub: Path, params: Params, name: str) -> None:
    path = tiny_cub / "CUB_200_2011" / name
    path.unlink()
    fails(tiny_cub, params, f"{path}: not found")


def test_a_zero_byte_image_is_named(tiny_cub: Path, params: Params) -> None:
    path = tiny_cub / "CUB_200_2011/images/001.Red_bird/bird_01.jpg"
    path.write_bytes(b"")
    fails(tiny_cub, params, f"{path}: unreadable image (the file is empty)")


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("classes.txt", b"", "empty"),
        ("images.txt", b"1 a\xff.jpg\n", "no UTF-8 text"),
        ("images.txt", b"1 a.jpg\n1 b.jpg\n", "two lines for '1'"),
        ("images.txt", b"1 a.jpg\n2 a.jpg\n", "'a.jpg' is listed 2 times"),
        ("images.txt", b"1 ../classes.txt\n", "'../classes.txt' leads out of the folder"),
        ("images.txt", b"1 a\\b.jpg\n", "leads out of the folder"),
    ],
)
def test_a_bad_list_is_named(
    tiny_cub: Path, params: Params, name: str, content: bytes, fault: str
) -> None:
    (tiny_cub / "CUB_200_2011" / name).write_bytes(content)
    fails(tiny_cub, params, f"{name}: ")
    fails(tiny_cub, params, fault)


def test_both_parts_need_an_image(tiny_cub: Path, params: Params) -> None:
    lines = "".join(f"{key} 1\n" for key in range(1, 15))
    (tiny_cub / "CUB_200_2011/train_test_split.txt").write_text(lines)
    fails(tiny_cub, params, "train_test_split.txt: 14 training and 0 test images")


def test_nothing_may_be_held_out(tiny_cub: Path, params: Params) -> None:
    data = params.data.model_copy(update={"val_fraction": 0.0})
    splits = cub.read(tiny_cub, data, seed=0).splits
    assert (len(splits["train"]), list(splits["val"])) == (10, [])


def test_the_ten_class_photographs_are_read_whole(cub_photographs: Path, params: Params) -> None:
    dataset, splits = records(cub_photographs, params)
    assert dataset.name == "CUB-200-2011 subset (10 classes, 543 images)"
    assert {split: len(part) for split, part in splits.items()} == {
        "train": 240,
        "val": 60,
        "test": 243,
    }
    assert Counter(record.labels for record in splits["val"]) == {(i,): 6 for i in range(10)}
    read = [record for part in splits.values() for record in part]
    assert all(len(record.boxes_xyxy) == 1 for record in read)
    assert Counter(dataset.classes[record.labels[0]] for record in read) == Counter(
        path.parent.name for path in cub_photographs.glob("CUB_200_2011/images/*/*.jpg")
    )
