"""Facts of the COCO 2014 layout, on fourteen pictures of coloured shapes."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets import coco
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record
from pipeline.params import Params
from tests.datasets.layouts import write_json, write_tiny_coco

TRAIN = "annotations/instances_train2014.json"
VAL = "annotations/instances_val2014.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tiny_coco(tmp_path)
    return tmp_path


def records(root: Path, params: Params, seed: int = 0) -> tuple[Dataset, dict[str, list[Record]]]:
    dataset = coco.read(root, params.data, seed)
    return dataset, {name: list(split) for name, split in dataset.splits.items()}


def edit(root: Path, name: str, change: Callable[[Any], object]) -> None:
    content = json.loads((root / name).read_text())
    change(content)
    write_json(root / name, content)


def boxed(root: Path, *box: float) -> None:
    """Give the first object of the first val picture another box."""
    edit(root, VAL, lambda content: content["annotations"][0].update(bbox=list(box)))


def fails(root: Path, params: Params, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        records(root, params)


def test_val_is_held_out_of_train2014_and_val2014_is_the_test(root: Path, params: Params) -> None:
    dataset, splits = records(root, params)
    assert {name: len(part) for name, part in splits.items()} == {"train": 8, "val": 2, "test": 4}
    ids = {name: {record.id for record in part} for name, part in splits.items()}
    assert ids["test"] == {f"val2014/COCO_val2014_{i:012}" for i in range(1, 5)}
    assert ids["train"] | ids["val"] == {f"train2014/COCO_train2014_{i:012}" for i in range(1, 11)}
    assert dataset.task == "multi"


def test_classes_are_the_categories_in_the_order_of_their_ids(root: Path, params: Params) -> None:
    assert records(root, params)[0].classes == ("person", "car", "cat")


def test_a_box_is_read_from_corner_width_and_height(root: Path, params: Params) -> None:
    first = records(root, params)[1]["test"][0]
    assert first.boxes_xyxy.tolist() == [[4, 6, 24, 30]]
    assert (first.width, first.height) == (60, 40)


def test_a_crowd_is_difficult_and_no_label(root: Path, params: Params) -> None:
    second = records(root, params)[1]["test"][1]
    assert second.labels == (2,)
    assert second.box_labels.tolist() == [2, 0]
    assert second.difficult.tolist() == [False, True]


def test_images_without_object_stay_as_negatives(root: Path, params: Params) -> None:
    last = records(root, params)[1]["test"][3]
    assert (last.labels, last.boxes_xyxy.shape) == ((), (0, 4))


@pytest.mark.parametrize(
    ("box", "expected"),
    [((40, 30, 30.5, 20), [[40, 30, 60, 40]]), ((-3, 2, 9, 9), [[0, 2, 6, 11]])],
)
def test_a_box_that_leaves_the_picture_is_clipped(
    root: Path, params: Params, box: tuple[float, ...], expected: list[list[float]]
) -> None:
    boxed(root, *box)
    assert records(root, params)[1]["test"][0].boxes_xyxy.tolist() == expected


@pytest.mark.parametrize("box", [(4, 6, 0, 9), (4, 6, 9, 0.0)])
def test_an_object_without_area_is_left_out(
    root: Path, params: Params, box: tuple[float, ...]
) -> None:
    boxed(root, *box)
    first = records(root, params)[1]["test"][0]
    assert (first.labels, len(first.boxes_xyxy)) == ((), 0)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((70, 6, 9, 9), "object 1 has xmax 79 outside the 60 x 40 picture"),
        ((9, 6, -5, 9), "object 1 has xmin 9 > xmax 4"),
    ],
)
def test_a_box_outside_the_picture_or_inverted_is_named(
    root: Path, params: Params, box: tuple[float, ...], fault: str
) -> None:
    boxed(root, *box)
    fails(root, params, f"COCO_val2014_000000000001.jpg: {fault}")


@pytest.mark.parametrize(
    "box",
    [
        [float("nan"), 0, 9, 9],
        [float("inf"), 0, 9, 9],
        [1e300, 6, 9, 9],
        ["1", 0, 9, 9],
        [0, 0, 9],
        [0] * 5,
        None,
        7,
    ],
)
def test_a_box_must_be_four_numbers_of_pixels(root: Path, params: Params, box: object) -> None:
    edit(root, VAL, lambda content: content["annotations"][1].update(bbox=box))
    fails(root, params, f"{root / VAL}: annotations.1.bbox")


def test_a_few_photographs_are_not_called_coco2014(root: Path, params: Params) -> None:
    assert records(root, params)[0].name == "COCO-style photographs (3 classes, 14 images)"
    assert records(root, params)[0].short_side == params.data.short_side


def test_the_official_numbers_of_images_make_it_coco2014(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert coco._OFFICIAL_COUNTS == (82783, 40504)
    monkeypatch.setattr(coco, "_OFFICIAL_COUNTS", (10, 4))
    assert records(root, params)[0].name == "COCO2014"


def test_nothing_may_be_held_out(root: Path, params: Params) -> None:
    splits = coco.read(root, params.data.model_copy(update={"val_fraction": 0.0}), 0).splits
    assert (len(splits["train"]), list(splits["val"])) == (10, [])


def test_a_part_is_made_without_the_annotation_file(root: Path, params: Params) -> None:
    split = coco.read(root, params.data, seed=0).splits["train"]
    whole = [record.id for record in split]
    (root / TRAIN).unlink()
    make, keys = pickle.loads(pickle.dumps((split.make, split.keys[3:5])))
    assert [record.id for record in make(keys)] == whole[3:5]


def test_annotation_id_0_is_as_good_as_any(
    root: Path, params: Params, recwarn: pytest.WarningsRecorder
) -> None:
    edit(root, VAL, lambda content: content["annotations"][0].update(id=0))
    records(root, params)
    assert not recwarn.list


def test_reading_prints_nothing(
    root: Path, params: Params, capfd: pytest.CaptureFixture[str]
) -> None:
    records(root, params)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "no COCO annotations (JSONDecodeError"),
        (b'{"images": [', "no COCO annotations (JSONDecodeError"),
        (b'{"images": "\xff"}', "no COCO annotations (UnicodeDecodeError"),
        (b"[]", "no COCO annotations (AssertionError"),
        (b"7", "no COCO annotations (AssertionError"),
        (b'{"images": 7}', "no COCO annotations (TypeError"),
        (b'{"images": ["a"]}', "no COCO annotations (TypeError"),
        (b'{"images": [{"id": NaN}]}', "no COCO annotations (ValueError"),
        (b'{"images": [{"id": Infinity}]}', "no COCO annotations (OverflowError"),
        (b'{"images": [{"file_name": "a"}]}', "no COCO annotations (KeyError: 'id')"),
        (b"{}", "images: Field required"),
        (b'{"images": [], "categories": [], "annotations": []}', "images: List should have"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_a_malformed_annotation_file_is_named(
    root: Path, params: Params, content: bytes, fault: str
) -> None:
    (root / VAL).write_bytes(content)
    fails(root, params, f"{root / VAL}: {fault}")


def test_a_missing_annotation_file_is_named(root: Path, params: Params) -> None:
    (root / TRAIN).unlink()
    fails(root, params, f"{root / TRAIN}: not found")
    (root / TRAIN).mkdir()
    fails(root, params, f"{root / TRAIN}: cannot be read (Is a directory)")


@pytest.mark.parametrize(
    ("key", "field"),
    [("images", "file_name"), ("images", "width"), ("categories", "name"), ("annotations", "bbox")],
)
def test_a_missing_field_is_named(root: Path, params: Params, key: str, field: str) -> None:
    edit(root, VAL, lambda content: content[key][0].pop(field))
    fails(root, params, f"{root / VAL}: {key}.0.{field}: Field required")


@pytest.mark.parametrize(
    ("field", "fault"), [("image_id", "of image 99"), ("category_id", "of category 99")]
)
def test_an_annotation_of_something_unlisted_is_named(
    root: Path, params: Params, field: str, fault: str
) -> None:
    edit(root, VAL, lambda content: content["annotations"][0].update({field: 99}))
    fails(root, params, f"{root / VAL}: an annotation is {fault}, which is not listed")


def test_the_id_of_a_category_is_a_number(root: Path, params: Params) -> None:
    edit(root, VAL, lambda content: content["categories"].append({"id": "z", "name": "zebra"}))
    fails(root, params, f"{root / VAL}: categories.3.id: Input should be a valid integer")


@pytest.mark.parametrize("key", ["images", "categories"])
def test_ids_must_differ(root: Path, params: Params, key: str) -> None:
    edit(root, VAL, lambda content: content[key][0].update(id=content[key][1]["id"]))
    fails(root, params, f"{root / VAL}: {key} share an id")


@pytest.mark.parametrize("name", ["../train2014/a.jpg", "/etc/passwd"])
def test_a_file_name_may_not_lead_out_of_the_folder(root: Path, params: Params, name: str) -> None:
    edit(root, VAL, lambda content: content["images"][0].update(file_name=name))
    fails(root, params, f"{root / VAL}: {name!r} leads out of the folder")


def test_both_files_must_have_the_same_categories(root: Path, params: Params) -> None:
    edit(root, VAL, lambda content: content["categories"][0].update(name="dragon"))
    fails(root, params, f"{root / VAL}: its categories are not those of instances_train2014.json")


def test_a_missing_image_is_named(root: Path, params: Params) -> None:
    path = root / "val2014/COCO_val2014_000000000002.jpg"
    path.unlink()
    fails(root, params, f"{path}: not found")


def test_an_image_of_another_size_is_named(root: Path, params: Params) -> None:
    edit(root, VAL, lambda content: content["images"][0].update(width=61))
    fails(root, params, "COCO_val2014_000000000001.jpg: 60 x 40 px, but annotated as 61 x 40")
