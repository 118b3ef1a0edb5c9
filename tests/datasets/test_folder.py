"""The user's own pictures: class folders, labels.csv, boxes, splits, and what is refused."""

import json
import re
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pipeline.datasets import folder
from pipeline.errors import InputError
from pipeline.packed.record import SPLITS, Dataset, Record, Task
from pipeline.params import Params
from tests.parameters import changed
from tests.pictures import draw

SIZE, BOX = (50, 40), [10, 5, 40, 30]
HEAD = "image,width,height,class,xmin,ymin,xmax,ymax\n"


def picture(path: Path) -> None:
    draw(path, SIZE, [("red", BOX)])


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Ten pictures of cats and five of dogs, in a folder for each class."""
    for name, count in (("cat", 10), ("dog", 5)):
        for number in range(count):
            picture(tmp_path / name / f"{number}.jpg")
    return tmp_path


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Eight pictures: a cat, a dog or both in each, and none in the last two."""
    lines = ["path,labels"]
    for number in range(8):
        picture(tmp_path / f"all/{number}.png")
        lines.append(
            f"all/{number}.png,{('cat', 'dog', 'cat;dog')[number % 3] if number < 6 else ''}"
        )
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def read(
    root: Path, params: Params, task: Task = "single", seed: int = 0
) -> tuple[Dataset, dict[str, list[Record]]]:
    found = folder.read(root, params.data, params.folder, task, seed)
    return found, {name: list(split) for name, split in found.splits.items()}


def fails(root: Path, params: Params, message: str, task: Task = "single") -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read(root, params, task)


def every(splits: dict[str, list[Record]]) -> dict[str, Record]:
    return {record.id: record for part in splits.values() for record in part}


@pytest.mark.parametrize("seed", range(4))
def test_each_class_is_dealt_by_the_same_shares(classes: Path, params: Params, seed: int) -> None:
    found, splits = read(classes, params, seed=seed)
    assert found.classes == ("cat", "dog") and list(splits) == list(SPLITS)
    counts = {name: Counter(r.labels for r in part) for name, part in splits.items()}
    assert counts["test"] == {(0,): 2, (1,): 1}
    assert counts["val"] == {(0,): 2, (1,): 1}  # of the other 8 and 4
    assert counts["train"] == {(0,): 6, (1,): 3}
    assert len(every(splits)) == 15


def test_the_seed_decides_what_is_test(classes: Path, params: Params) -> None:
    def tested(seed: int) -> tuple[str, ...]:
        return tuple(record.id for record in read(classes, params, seed=seed)[1]["test"])

    assert tested(0) == tested(0)
    assert len({tested(seed) for seed in range(6)}) > 1


def test_a_class_of_two_pictures_has_one_in_train_and_one_in_test(
    classes: Path, params: Params
) -> None:
    for number in range(2):
        picture(classes / f"owl/{number}.jpg")
    splits = read(classes, params)[1]
    assert [sum(r.labels == (2,) for r in splits[name]) for name in SPLITS] == [1, 0, 1]


def test_pictures_of_class_folders_suit_both_tracks(classes: Path, params: Params) -> None:
    single, multi = (read(classes, params, task) for task in ("single", "multi"))
    assert multi[0].task == "multi" and single[0].name == "own pictures (2 classes, 15 images)"
    assert {i: r.labels for i, r in every(single[1]).items()} == {
        i: r.labels for i, r in every(multi[1]).items()
    }


def test_hidden_files_are_passed_over(classes: Path, params: Params) -> None:
    (classes / "cat/.DS_Store").write_bytes(b"")
    (classes / ".git").mkdir()
    assert len(every(read(classes, params)[1])) == 15


def test_folders_of_splits_are_the_split(classes: Path, params: Params) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            picture(classes / f"fixed/{split}/{name}/0.jpg")
            picture(classes / f"fixed/{split}/{name}/1.jpg")
    splits = read(classes / "fixed", params)[1]
    assert {record.id.partition("/")[0] for record in splits["test"]} == {"test"}
    assert [len(splits[name]) for name in SPLITS] == [2, 2, 4]
    picture(classes / "fixed/val/cat/0.jpg")
    splits = read(classes / "fixed", params)[1]
    assert [record.id for record in splits["val"]] == ["val/cat/0.jpg"]
    assert len(splits["train"]) == 4


def test_a_class_may_be_called_train(classes: Path, params: Params) -> None:
    (classes / "dog").rename(classes / "train")
    assert read(classes, params)[0].classes == ("cat", "train")


def test_labels_of_a_csv_are_several_one_or_none(csv: Path, params: Params) -> None:
    found, splits = read(csv, params, "multi")
    assert found.classes == ("cat", "dog")
    labels = {id: record.labels for id, record in every(splits).items()}
    assert labels["all/2.png"] == (0, 1) and labels["all/1.png"] == (1,)
    assert labels["all/7.png"] == ()
    for name in ("train", "test"):
        assert {c for record in splits[name] for c in record.labels} == {0, 1}


def test_a_column_of_the_csv_can_be_the_split(csv: Path, params: Params) -> None:
    lines = (csv / "labels.csv").read_text().splitlines()
    parts = ["split", *["train"] * 4, "test", "test", "val", "test"]
    (csv / "labels.csv").write_text(
        "\n".join(f"{line},{part}" for line, part in zip(lines, parts, strict=True))
    )
    splits = read(csv, params, "multi")[1]
    assert [record.id for record in splits["test"]] == ["all/4.png", "all/5.png", "all/7.png"]
    assert [record.id for record in splits["val"]] == ["all/6.png"]


def test_a_list_of_classes_gives_their_order(classes: Path, params: Params) -> None:
    (classes / "classes.txt").write_text("dog\ncat\n")
    found, splits = read(classes, params)
    assert found.classes == ("dog", "cat")
    assert every(splits)["cat/0.jpg"].labels == (1,)


def test_boxes_of_a_csv_are_counted_as_told_and_may_be_of_some_pictures(
    classes: Path, params: Params
) -> None:
    (classes / "boxes.csv").write_text(HEAD + "cat/0.jpg,50,40,cat,10,5,39,29\n")
    boxed = every(read(classes, params)[1])
    assert boxed["cat/0.jpg"].boxes_xyxy.tolist() == [BOX]
    assert boxed["cat/0.jpg"].box_labels.tolist() == [0]
    assert boxed["cat/1.jpg"].boxes_xyxy.shape == (0, 4)
    from_1 = changed(params, folder__pixels="from-1")
    assert every(read(classes, from_1)[1])["cat/0.jpg"].boxes_xyxy.tolist() == [[9, 4, 39, 29]]


def test_a_box_without_class_is_of_the_only_label(classes: Path, params: Params) -> None:
    text = "image,width,height,xmin,ymin,xmax,ymax\ndog/0.jpg,50,40,10,5,39,29\n"
    (classes / "boxes.csv").write_text(text)
    assert every(read(classes, params)[1])["dog/0.jpg"].box_labels.tolist() == [1]


def coco(box: list[float], name: str = "dog/0.jpg", category: str = "dog", crowd: int = 0) -> str:
    annotation = {"id": 7, "image_id": 1, "category_id": 3, "bbox": box, "iscrowd": crowd}
    image = {"id": 1, "file_name": name, "width": 50, "height": 40}
    bare = image | {"id": 2, "file_name": "not/here.jpg"}
    categories = [{"id": 3, "name": category}, {"id": 4, "name": "never seen"}]
    content = {"images": [image, bare], "annotations": [annotation], "categories": categories}
    return json.dumps(content)


def test_boxes_of_coco_are_corner_and_size_and_crowds_are_none(
    classes: Path, params: Params
) -> None:
    (classes / "boxes.json").write_text(coco([10, 5, 30, 25]))
    record = every(read(classes, params)[1])["dog/0.jpg"]
    assert record.boxes_xyxy.tolist() == [BOX] and record.box_labels.tolist() == [1]
    (classes / "boxes.json").write_text(coco([10, 5, 30, 25], crowd=1))
    assert len(every(read(classes, params)[1])["dog/0.jpg"].boxes_xyxy) == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path\n", "labels.csv: line 1: no column labels"),
        ("path,labels\n", "labels.csv: line 2: no pictures"),
        ("path,labels,spilt\nall/0.png,cat,train\n", "line 1: column 'spilt' is none of path, lab"),
        ("path,labels\nall/9.png,cat\n", "line 2: "),
        (
            "path,labels\nall/0.png,cat\nall/0.png,dog\n",
            "line 3: all/0.png was named before (line 2",
        ),
        ("path,labels\nall/0.png,cat\nall/./0.png,dog\n", "line 3: all/0.png was named before"),
        ("path,labels\n../0.png,cat\n", "line 2: '../0.png' leads out of the folder"),
        ("path,labels\nlabels.csv,cat\n", "line 2: labels.csv is no picture (.bmp, "),
        ("path,labels\nall/0.png,cat;\n", "line 2: '' is no label: empty"),
        ("path,labels\nall/0.png,a/b\n", "line 2: 'a/b' is no label"),
        ("path,labels\nall/0.png,cat;cat\n", "line 2: labels 'cat;cat' have one twice"),
        (
            "path,labels,split\nall/0.png,cat,dev\n",
            "line 2: split 'dev' is none of train, val, test",
        ),
        ("path,labels\nall/0.png,\n", "labels.csv: no picture has a label"),
        (
            "path,labels\nall/0.png,cat\nall/1.png,cat\nall/2.png,dgo\n",
            "line 4: the only picture of class 'dgo', which needs one in train and one in test",
        ),
        (
            "path,labels,split\nall/0.png,cat,train\nall/1.png,dog,test\nall/2.png,cat,val\n",
            "line 3: label 'dog' has no training picture; add some",
        ),
        ("path,labels,split\nall/0.png,cat,train\nall/1.png,cat,train\n", "is left for test; add"),
        (
            "path,labels\nall/0.png,cat\nall/1.png,cat\n",
            "no picture is left for val; add pictures, or",
        ),
    ],
)
def test_a_bad_list_of_labels_is_told_by_file_and_line(
    csv: Path, params: Params, text: str, told: str
) -> None:
    (csv / "labels.csv").write_text(text)
    fails(csv, params, told, "multi")


def test_several_labels_are_for_the_other_track(csv: Path, params: Params) -> None:
    fails(csv, params, "labels.csv: line 4: 2 labels; the single-label track takes pictures of one")


def test_a_missing_file_is_told_with_the_line(csv: Path, params: Params) -> None:
    (csv / "all/3.png").unlink()
    fails(csv, params, "all/3.png not found; correct the path or restore it", "multi")
    fails(csv, params, "labels.csv: line 5: ", "multi")


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_what_is_no_image_is_told_with_the_line(csv: Path, params: Params, content: bytes) -> None:
    (csv / "all/3.png").write_bytes(content)
    fails(csv, params, "labels.csv: line 5: ", "multi")
    with pytest.raises(InputError, match=r"3\.png: unreadable image .*or take the picture out"):
        read(csv, params, "multi")


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ("cat\n", "dog/0.jpg: unknown label 'dog'; "),
        ("cat\ndog\nowl\n", "classes.txt: class 'owl' has no picture; add pictures or remove"),
        ("cat\ndog\ncat\n", "classes.txt: class 'cat' is listed 2 times"),
    ],
)
def test_a_list_of_classes_must_be_that_of_the_pictures(
    classes: Path, params: Params, listed: str, told: str
) -> None:
    (classes / "classes.txt").write_text(listed)
    fails(classes, params, told)


def test_pictures_are_packed_as_prediction_sees_them(classes: Path, params: Params) -> None:
    turned, deep = Image.Exif(), Image.new("I;16", SIZE, 30000)
    turned[0x112] = 6
    Image.new("RGB", SIZE, "red").save(classes / "dog/0.jpg", exif=turned)
    deep.save(classes / "dog/deep.tif")
    (classes / "boxes.csv").write_text(f"{HEAD}dog/0.jpg,40,50,dog,0,0,39,49\n")
    dataset, splits = read(classes, params)
    found = every(splits)
    assert dataset.short_side == params.data.short_side
    assert (found["dog/0.jpg"].width, found["dog/0.jpg"].height) == (40, 50)
    assert found["dog/0.jpg"].boxes_xyxy.tolist() == [[0, 0, 40, 50]]
    grey = Image.open(BytesIO(found["dog/deep.tif"].image)).convert("L").getpixel((20, 20))
    assert abs(grey - 30000 / 257) < 3


def test_bad_folders_are_told(classes: Path, params: Params) -> None:
    (classes / "owl").mkdir()
    fails(classes, params, "owl: label 'owl' has no picture; add or remove it")
    (classes / "owl").rmdir()
    (classes / "dog/notes.txt").write_text("")
    fails(classes, params, "notes.txt is no picture (.bmp, .gif, .jpeg, .jpg, .png, .tif, .tiff, ")
    (classes / "dog/notes.txt").unlink()
    picture(classes / "dog/more/0.jpg")
    fails(classes, params, "dog/more: a folder in the folder of a class")
    (classes / "dog/more").rename(classes / "dog2")
    fails(classes, params, "dog2/0.jpg: the only picture of class 'dog2'")


def test_an_empty_folder_or_one_class_are_told(tmp_path: Path, params: Params) -> None:
    fails(tmp_path, params, "neither labels.csv nor a folder of pictures for each class; add one")
    for number in range(4):
        picture(tmp_path / f"cat/{number}.jpg")
    fails(tmp_path, params, "one class, 'cat'; the single-label track needs two")
    assert read(tmp_path, params, "multi")[0].classes == ("cat",)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("cat/x.jpg,50,40,cat,1,1,9,9", "boxes.csv: line 2: box of an unknown picture, cat/x.jpg"),
        ("cat/0.jpg,50,40,owl,1,1,9,9", "boxes.csv: line 2: box of an unknown class, 'owl'; known"),
        ("cat/0.jpg,50,40,dog,1,1,9,9", "line 2: box of 'dog', which is no label of the picture"),
        ("cat/0.jpg,50,40,cat,9,1,5,9", "boxes.csv: line 2: inverted box"),
        ("cat/0.jpg,50,40,cat,9,1,8,9", "boxes.csv: line 2: inverted box, or one of no size"),
        ("cat/0.jpg,50,40,cat,9,1,50,9", "line 2: the box 9, 1, 50, 9 leaves its image of 50 x 40"),
        ("cat/0.jpg,60,40,cat,9,1,50,9", "cat/0.jpg: 50 x 40 px, but annotated as 60 x 40"),
    ],
)
def test_a_bad_box_is_told_by_file_and_line(
    classes: Path, params: Params, row: str, told: str
) -> None:
    (classes / "boxes.csv").write_text(HEAD + row + "\n")
    fails(classes, params, told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            coco([10, 5, 0, 25]),
            "annotation 7 (dog/0.jpg): inverted box, or one of no size: width 0",
        ),
        (coco([10, 5, -3, 25]), "annotation 7 (dog/0.jpg): inverted box"),
        (coco([10, 5, 45, 25]), "annotation 7 (dog/0.jpg): the box 10, 5, 55, 30 leaves its image"),
        (coco([10, 5, 9, 9], "0.jpg"), "annotation 7 (0.jpg): box of an unknown picture, 0.jpg"),
        (coco([10, 5, 9, 9], category="owl"), "box of an unknown class, 'owl'; known: cat, dog"),
        ("{}", "boxes.json: images: Field required"),
        ("[", "boxes.json: no COCO annotations"),
    ],
)
def test_a_bad_box_of_coco_is_told_by_file_and_annotation(
    classes: Path, params: Params, text: str, told: str
) -> None:
    (classes / "boxes.json").write_text(text)
    fails(classes, params, told)


def test_a_box_without_class_needs_a_picture_of_one_label(csv: Path, params: Params) -> None:
    text = "image,width,height,xmin,ymin,xmax,ymax\nall/2.png,50,40,10,5,39,29\n"
    (csv / "boxes.csv").write_text(text)
    fails(csv, params, "boxes.csv: line 2: a box without class of a picture with 2 labels", "multi")


def test_two_files_of_boxes_are_one_too_many(classes: Path, params: Params) -> None:
    (classes / "boxes.csv").write_text(HEAD)
    (classes / "boxes.json").write_text("{}")
    fails(classes, params, "has boxes.csv and boxes.json; keep one of them")
