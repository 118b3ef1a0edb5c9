"""Facts of ILSVRC's CLS-LOC layout, on twenty pictures of two synsets."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import ilsvrc
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record
from pipeline.params import DataParams, Params
from tests.datasets.layouts import BOX, SYNSETS, write_ilsvrc_annotation, write_tiny_ilsvrc

FIRST = "ILSVRC2012_val_00000001"
DATA = "ILSVRC/Data/CLS-LOC"
BLACKLIST = "ILSVRC/devkit/data/ILSVRC2014_clsloc_validation_blacklist.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tiny_ilsvrc(tmp_path)
    return tmp_path


def data(params: Params, **changes: object) -> DataParams:
    return params.data.model_copy(update=changes)


def records(root: Path, params: DataParams) -> tuple[Dataset, dict[str, list[Record]]]:
    dataset = ilsvrc.read(root, params, seed=0)
    return dataset, {name: list(split) for name, split in dataset.splits.items()}


def first(root: Path, params: Params) -> Record:
    """The first val picture."""
    return records(root, data(params, val_fraction=0.0))[1]["test"][0]


def fails(root: Path, params: DataParams, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        records(root, params)


def test_training_images_are_labelled_by_their_folder_and_have_no_box(
    root: Path, params: Params
) -> None:
    dataset, splits = records(root, params.data)
    assert (dataset.task, dataset.classes) == ("single", tuple(SYNSETS))
    assert [record.labels for record in splits["train"]] == [(0,)] * 5 + [(1,)] * 5
    assert all(record.boxes_xyxy.shape == (0, 4) for record in splits["train"])
    assert splits["train"][0].id == "n01440764/n01440764_0"


def test_thresholds_are_chosen_on_a_part_of_the_official_val(root: Path, params: Params) -> None:
    _, splits = records(root, params.data)
    ids = {name: {record.id for record in part} for name, part in splits.items()}
    assert [len(ids[name]) for name in ("train", "val", "test")] == [10, 2, 8]
    assert ids["val"] | ids["test"] == {f"ILSVRC2012_val_{i:08}" for i in range(1, 11)}


def test_without_a_held_out_part_the_test_is_the_whole_official_val(
    root: Path, params: Params
) -> None:
    _, splits = records(root, data(params, val_fraction=0.0))
    assert (len(splits["val"]), len(splits["test"])) == (0, 10)


def test_a_val_label_is_its_objects_synset(root: Path, params: Params) -> None:
    _, splits = records(root, data(params, val_fraction=0.0))
    assert [record.labels for record in splits["test"]] == [(1,), (0,)] * 5


def test_a_val_box_includes_its_last_pixel(root: Path, params: Params) -> None:
    record = first(root, params)
    assert record.boxes_xyxy.tolist() == [list(BOX)]
    pixels = np.asarray(Image.open(root / DATA / f"val/{record.id}.JPEG"))
    x0, y0, x1, y1 = BOX
    assert (pixels[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2, 1] > 200).all()


def test_an_image_may_have_several_boxes(root: Path, params: Params) -> None:
    boxes = [(0, 0, 9, 9), (50, 30, 60, 40)]
    write_ilsvrc_annotation(root, FIRST, [("n01440764", box) for box in boxes])
    record = first(root, params)
    assert record.boxes_xyxy.tolist() == [list(box) for box in boxes]
    assert (record.labels, record.box_labels.tolist()) == ((0,), [0, 0])


def test_a_box_that_leaves_the_picture_is_clipped(root: Path, params: Params) -> None:
    write_ilsvrc_annotation(root, FIRST, [("n01440764", (-3, 5, 90, 41))])
    assert first(root, params).boxes_xyxy.tolist() == [[0, 5, 60, 40]]


@pytest.mark.parametrize("box", [(60, 0, 80, 9), (-9, 0, 0, 9), (30, 0, 12, 9)])
def test_a_box_outside_the_picture_or_inverted_is_left_out(
    root: Path, params: Params, box: tuple[int, int, int, int]
) -> None:
    path = write_ilsvrc_annotation(root, FIRST, [("n01440764", box), ("n01440764", BOX)])
    record = first(root, params)
    assert (record.boxes_xyxy.tolist(), record.box_labels.tolist()) == ([list(BOX)], [0])
    assert len(record.difficult) == 1
    write_ilsvrc_annotation(root, FIRST, [("n01440764", box)])
    fails(root, params.data, f"{path}: objects of one synset are needed, found none inside")


def test_the_blacklist_leaves_out_val_images_by_number(root: Path, params: Params) -> None:
    _, splits = records(root, data(params, val_fraction=0.0, ilsvrc_blacklist=True))
    numbers = [int(record.id[-8:]) for record in splits["test"]]
    assert numbers == [1, 2, 4, 5, 6, 7, 8, 9, 10]


def test_the_blacklist_is_not_needed_otherwise(root: Path, params: Params) -> None:
    (root / BLACKLIST).unlink()
    records(root, params.data)
    fails(root, data(params, ilsvrc_blacklist=True), "devkit: has no ILSVRC20??_clsloc_validation")


@pytest.mark.parametrize("content", ["3\nfour\n", "-1\n", "1.5\n", "²\n"])
def test_a_malformed_blacklist_is_named(root: Path, params: Params, content: str) -> None:
    (root / BLACKLIST).write_text(content)
    fails(root, data(params, ilsvrc_blacklist=True), f"{root / BLACKLIST}: ")


def test_the_blacklist_needs_val_images_with_numbers(root: Path, params: Params) -> None:
    folder = root / DATA / "val"
    (folder / f"{FIRST}.JPEG").rename(folder / "cat.JPEG")
    annotation = root / f"ILSVRC/Annotations/CLS-LOC/val/{FIRST}.xml"
    annotation.rename(annotation.with_name("cat.xml"))
    fails(root, data(params, ilsvrc_blacklist=True), "val image cat.JPEG has no number")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"val_fraction": 0.0}, "ILSVRC"),
        ({"val_fraction": 0.2}, "ILSVRC val (8 of 10 images)"),
        ({"val_fraction": 0.0, "ilsvrc_blacklist": True}, "ILSVRC val (9 of 10 images)"),
    ],
)
def test_only_the_whole_official_val_is_called_so(
    root: Path,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    name: str,
) -> None:
    assert ilsvrc._OFFICIAL_COUNTS == (1281167, 50000)
    monkeypatch.setattr(ilsvrc, "_OFFICIAL_COUNTS", (10, 10))
    assert ilsvrc.read(root, data(params, **changes), 0).name == name


def test_a_few_photographs_are_not_called_ilsvrc_val(root: Path, params: Params) -> None:
    assert records(root, params.data)[0].name == "ILSVRC-style photographs (2 classes, 20 images)"
    assert records(root, params.data)[0].short_side == params.data.short_side


def test_val_images_may_be_sorted_into_folders_and_end_in_jpg(root: Path, params: Params) -> None:
    _, official = records(root, params.data)
    for number, path in enumerate(sorted((root / DATA / "val").iterdir())):
        # A wrong folder: labels and boxes are those of the annotations.
        folder = path.parent / list(SYNSETS)[number % 3 // 2]
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    for number, path in enumerate(sorted(root.rglob("*.JPEG"))):
        path.rename(path.with_suffix([".jpeg", ".jpg", ".JPG"][number % 3]))
    _, copied = records(root, params.data)
    for name, part in official.items():
        assert [(r.id, r.labels, r.boxes_xyxy.tolist()) for r in part] == [
            (r.id, r.labels, r.boxes_xyxy.tolist()) for r in copied[name]
        ]


def test_other_files_and_folders_are_no_images_or_classes(root: Path, params: Params) -> None:
    (root / DATA / "train/.cache").mkdir()
    (root / DATA / "train/n02084071.tar").touch()
    (root / DATA / "train/n01440764/.DS_Store").touch()
    dataset, splits = records(root, params.data)
    assert (dataset.classes, len(splits["train"])) == (tuple(SYNSETS), 10)


def test_no_image_is_opened_before_its_record_is_made(root: Path, params: Params) -> None:
    for path in root.rglob("*.JPEG"):
        path.write_bytes(b"")
    split = ilsvrc.read(root, params.data, seed=0).splits["train"]
    make = pickle.loads(pickle.dumps(split.make))
    with pytest.raises(InputError, match="n01440764_1.JPEG: unreadable image"):
        next(make(split.keys[1:2]))


def test_cmyk_pictures_are_read(root: Path, params: Params) -> None:
    path = root / DATA / f"val/{FIRST}.JPEG"
    Image.new("CMYK", (600, 400)).save(path)
    write_ilsvrc_annotation(root, FIRST, [("n01440764", (0, 0, 600, 400))])
    assert (first(root, params).width, first(root, params).height) == (600, 400)


@pytest.mark.parametrize(
    ("objects", "fault"),
    [
        ([], "objects of one synset are needed, found none inside the picture"),
        (["n01440764", "n01443537"], "found n01440764, n01443537"),
        (["n02084071"], "synset 'n02084071' has no folder of training images"),
    ],
)
def test_val_objects_must_be_of_one_known_synset(
    root: Path, params: Params, objects: list[str], fault: str
) -> None:
    path = write_ilsvrc_annotation(root, FIRST, [(synset, BOX) for synset in objects])
    fails(root, params.data, f"{path}: ")
    fails(root, params.data, fault)


def test_a_missing_annotation_or_image_is_named(root: Path, params: Params) -> None:
    image = root / DATA / f"val/{FIRST}.JPEG"
    split = ilsvrc.read(root, params.data, seed=0).splits["test"]
    image.unlink()
    with pytest.raises(InputError, match=re.escape(f"{image}: not found")):
        list(split)
    annotation = root / f"ILSVRC/Annotations/CLS-LOC/val/{FIRST}.xml"
    annotation.unlink()
    with pytest.raises(InputError, match=re.escape(f"{image}: not found")):
        list(split)


def test_val_images_and_annotations_must_match_before_anything_is_packed(
    root: Path, params: Params
) -> None:
    image = root / DATA / f"val/{FIRST}.JPEG"
    annotation = root / f"ILSVRC/Annotations/CLS-LOC/val/{FIRST}.xml"
    content = image.read_bytes()
    image.unlink()
    with pytest.raises(InputError, match=re.escape(f"{image}: not found, although")):
        ilsvrc.read(root, params.data, seed=0)
    image.write_bytes(content)
    annotation.unlink()
    with pytest.raises(InputError, match=re.escape(f"{annotation}: not found; it holds")):
        ilsvrc.read(root, params.data, seed=0)


def test_missing_and_empty_folders_are_named(root: Path, params: Params) -> None:
    folder = root / DATA / "train/n01440764"
    for path in folder.iterdir():
        path.unlink()
    fails(root, params.data, f"{folder}: has no image (*.JPEG, *.jpg)")
    for path in (root / DATA / "train").iterdir():
        path.rename(root / path.name)
    fails(root, params.data, f"{root / DATA / 'train'}: has no folder of a synset")
    (root / DATA / "train").rmdir()
    fails(root, params.data, f"{root / DATA / 'train'}: cannot be listed (No such file")
