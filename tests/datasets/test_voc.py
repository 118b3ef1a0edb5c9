"""Facts of the PASCAL VOC layout, on ten and four pictures of coloured shapes."""

import pickle
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import photograph, voc
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record
from pipeline.params import Params
from tests.pictures import voc_object, write_voc_image

LISTS = "VOCdevkit/VOC2007/ImageSets/Main"


def records(
    root: Path, params: Params, seed: int = 0, edition: voc.Edition = voc.VOC2007
) -> tuple[Dataset, dict[str, list[Record]]]:
    dataset = voc.read(root, edition, params.data, seed)
    return dataset, {name: list(split) for name, split in dataset.splits.items()}


def annotate(root: Path, id: str, xml: str) -> Path:
    path = root / f"VOCdevkit/VOC2007/Annotations/{id}.xml"
    path.write_text(xml)
    return path


def as_voc2012(root: Path) -> Path:
    """The same pictures and lists in the layout of the 2012 edition."""
    folder = (root / "VOCdevkit/VOC2007").rename(root / "VOCdevkit/VOC2012")
    for old, new in (("trainval", "train"), ("test", "val")):
        (folder / f"ImageSets/Main/{old}.txt").rename(folder / f"ImageSets/Main/{new}.txt")
    return root


def fails(root: Path, params: Params, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        records(root, params)


def test_val_is_held_out_of_trainval_and_test_is_the_official_one(
    tiny_voc: Path, params: Params
) -> None:
    _, splits = records(tiny_voc, params)
    ids = {split: {record.id for record in part} for split, part in splits.items()}
    assert len(ids["val"]) == 2
    assert ids["train"] | ids["val"] == {f"{i:06}" for i in range(1, 21, 2)}
    assert not ids["train"] & ids["val"]
    assert ids["test"] == {"000002", "000004", "000006", "000008"}


def test_the_seed_changes_val_but_never_test(tiny_voc: Path, params: Params) -> None:
    chosen = [records(tiny_voc, params, seed)[1] for seed in range(4)]
    assert len({tuple(record.id for record in splits["val"]) for splits in chosen}) > 1
    assert len({tuple(record.id for record in splits["test"]) for splits in chosen}) == 1


def test_boxes_become_half_open_from_zero_and_fit_the_drawn_pixels(
    tiny_voc: Path, params: Params
) -> None:
    _, splits = records(tiny_voc, params)
    first = next(record for part in splits.values() for record in part if record.id == "000001")
    assert first.boxes_xyxy.tolist() == [[4, 6, 24, 30], [40, 20, 60, 40]]
    assert first.boxes_xyxy.dtype == np.float32


def test_a_difficult_object_keeps_its_box_but_gives_no_image_label(
    tiny_voc: Path, params: Params
) -> None:
    dataset, splits = records(tiny_voc, params)
    first = next(record for part in splits.values() for record in part if record.id == "000001")
    assert first.difficult.tolist() == [False, True]
    assert [dataset.classes[label] for label in first.labels] == ["cat"]
    assert dataset.classes[first.box_labels[1]] == "person"


def test_a_class_that_is_also_present_as_easy_is_a_label(tiny_voc: Path, params: Params) -> None:
    boxes = [("cat", [0, 0, 9, 9], 1), ("cat", [20, 20, 40, 40], 0), ("car", [5, 5, 9, 9], 0)]
    write_voc_image(tiny_voc, "000002", boxes)
    dataset, splits = records(tiny_voc, params)
    assert [dataset.classes[label] for label in splits["test"][0].labels] == ["car", "cat"]


def test_classes_are_the_official_ones_that_occur_in_official_order(
    tiny_voc: Path, params: Params
) -> None:
    dataset, _ = records(tiny_voc, params)
    assert dataset.classes == ("car", "cat", "person")
    assert dataset.task == "multi"


def test_a_few_photographs_are_not_called_voc2007(tiny_voc: Path, params: Params) -> None:
    assert records(tiny_voc, params)[0].name == "VOC-style photographs (3 classes, 14 images)"
    assert records(tiny_voc, params)[0].short_side == params.data.short_side


def test_the_official_numbers_of_images_make_it_voc2007(tiny_voc: Path, params: Params) -> None:
    edition = replace(voc.VOC2007, counts=(10, 4))
    assert records(tiny_voc, params, edition=edition)[0].name == "VOC2007"


def test_voc2012_trains_on_train_and_tests_on_val(tiny_voc: Path, params: Params) -> None:
    edition = replace(voc.VOC2012, counts=(10, 4))
    dataset, splits = records(as_voc2012(tiny_voc), params, edition=edition)
    assert dataset.name == "VOC2012"
    assert {name: len(part) for name, part in splits.items()} == {"train": 8, "val": 2, "test": 4}
    assert [record.id for record in splits["test"]] == ["000002", "000004", "000006", "000008"]


def test_the_official_editions_have_their_numbers_of_images() -> None:
    assert voc.VOC2007.counts == (5011, 4952)
    assert voc.VOC2012.counts == (5717, 5823)


def test_nothing_may_be_held_out(tiny_voc: Path, params: Params) -> None:
    data = params.data.model_copy(update={"val_fraction": 0.0})
    splits = voc.read(tiny_voc, voc.VOC2007, data, seed=0).splits
    assert (len(splits["train"]), list(splits["val"])) == (10, [])


def test_any_process_makes_any_part(tiny_voc: Path, params: Params) -> None:
    split = voc.read(tiny_voc, voc.VOC2007, params.data, seed=0).splits["train"]
    make = pickle.loads(pickle.dumps(split.make))
    assert [record.id for record in make(split.keys[3:5])] == [r.id for r in split][3:5]


def test_the_truncated_flag_is_read(tiny_voc: Path, params: Params) -> None:
    plain = voc_object("car", [0, 0, 9, 9])
    flagged = plain.replace("<difficult>", "<truncated>1</truncated><difficult>")
    annotate(tiny_voc, "000002", f"<annotation>{plain}{flagged}</annotation>")
    truncated = records(tiny_voc, params)[1]["test"][0].truncated
    assert truncated is not None
    assert truncated.tolist() == [False, True]


@pytest.mark.parametrize("flag", ["difficult", "truncated"])
def test_a_flag_is_0_or_1(tiny_voc: Path, params: Params, flag: str) -> None:
    xml = voc_object("car", [0, 0, 9, 9]).replace("<bndbox>", f"<{flag}>yes</{flag}><bndbox>")
    xml = xml.replace("<difficult>0</difficult>", "")
    path = annotate(tiny_voc, "000002", f"<annotation>{xml}</annotation>")
    fails(tiny_voc, params, f"{path}: object 1 has {flag} 'yes'; allowed: 0, 1")


def test_fractional_coordinates_are_kept_and_clipped_by_a_pixel(
    tiny_voc: Path, params: Params
) -> None:
    xml = voc_object("car", [4, 4, 9, 9])
    edges = {"<xmin>5": "<xmin>0.2", "<ymin>5": "<ymin>5.7", "<xmax>9": "<xmax>60.9"}
    for old, new in edges.items():
        xml = xml.replace(old, new)
    annotate(tiny_voc, "000002", f"<annotation>{xml}</annotation>")
    box = records(tiny_voc, params)[1]["test"][0].boxes_xyxy[0]
    np.testing.assert_allclose(box, [0, 4.7, 60, 9], atol=1e-5)


def test_parts_of_a_person_are_no_objects(tiny_voc: Path, params: Params) -> None:
    head = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
    xml = voc_object("person", [1, 2, 9, 9]).replace("</object>", head)
    annotate(tiny_voc, "000002", f"<annotation>{xml}</annotation>")
    assert records(tiny_voc, params)[1]["test"][0].boxes_xyxy.tolist() == [[1, 2, 9, 9]]


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([499, 0, 12, 9], "object 2 has xmin 500 > xmax 12"),
        ([5, 7, 9, 7], "object 2 has ymin 8 > ymax 7"),
        ([-2, 0, 9, 9], "object 2 has xmin -1 outside the 60 x 40 picture"),
        ([0, 0, 62, 9], "object 2 has xmax 62 outside the 60 x 40 picture"),
    ],
)
def test_a_bad_box_is_named_with_the_values_of_the_file(
    tiny_voc: Path, params: Params, box: list[float], fault: str
) -> None:
    objects = voc_object("car", [0, 0, 9, 9]) + voc_object("cat", box)
    path = annotate(tiny_voc, "000002", f"<annotation>{objects}</annotation>")
    fails(tiny_voc, params, f"{path}: {fault}")


def test_an_unknown_class_is_named(tiny_voc: Path, params: Params) -> None:
    write_voc_image(tiny_voc, "000003", [("dragon", [0, 0, 9, 9], 0)])
    fails(tiny_voc, params, "000003.xml: object 1 has unknown class 'dragon'")


def test_a_test_class_without_training_object_is_named(tiny_voc: Path, params: Params) -> None:
    write_voc_image(tiny_voc, "000002", [("sofa", [0, 0, 9, 9], 0)])
    fails(tiny_voc, params, "000002.xml: class 'sofa' has no object in the training images")


@pytest.mark.parametrize(
    "name", ["ImageSets/Main/test.txt", "Annotations/000003.xml", "JPEGImages/000003.jpg"]
)
def test_a_missing_file_is_named(tiny_voc: Path, params: Params, name: str) -> None:
    path = tiny_voc / "VOCdevkit/VOC2007" / name
    path.unlink()
    fails(tiny_voc, params, f"{path}: not found")


def test_an_image_may_not_be_in_both_parts(tiny_voc: Path, params: Params) -> None:
    (tiny_voc / LISTS / "test.txt").write_text("000002\n000003\n")
    fails(tiny_voc, params, "000003 is listed in both trainval.txt and test.txt")


@pytest.mark.parametrize("split", ["trainval", "test"])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\n", "empty; it holds the image ids"),
        (b"000002\n\xff\n", "no UTF-8 text"),
        (b"000002\n000002\n", "'000002' is listed 2 times"),
        (b"../../000002\n", "'../../000002' leads out of the folder"),
        (b"/etc/passwd\n", "'/etc/passwd' leads out of the folder"),
    ],
)
def test_a_bad_list_is_named(
    tiny_voc: Path, params: Params, split: str, content: bytes, fault: str
) -> None:
    path = tiny_voc / LISTS / f"{split}.txt"
    path.write_bytes(content)
    fails(tiny_voc, params, f"{path}: {fault}")


def test_the_five_class_photographs_are_read_whole(
    voc_photographs: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def header(path: Path, short_side: int) -> tuple[bytes, int, int]:
        with Image.open(path) as image:
            return b"", *image.size

    monkeypatch.setattr(photograph, "load", header)
    dataset, splits = records(voc_photographs, params)
    assert dataset.name == "VOC-style photographs (5 classes, 1453 images)"
    assert dataset.classes == ("bus", "car", "cat", "person", "train")
    sizes = {split: len(part) for split, part in splits.items()}
    assert sizes == {"train": 678, "val": 169, "test": 606}
    read = [record for part in splits.values() for record in part]
    assert sum(len(record.boxes_xyxy) for record in read) == 3538
    assert not any(record.difficult.any() for record in read)
    for listed, parts in (("trainval", ("train", "val")), ("test", ("test",))):
        boxes = Counter(
            dataset.classes[label]
            for part in parts
            for record in splits[part]
            for label in record.box_labels
        )
        assert boxes == counted_objects(voc_photographs, listed)


def counted_objects(root: Path, split: str) -> Counter[str]:
    """How many objects of each class the annotation files have, found without a parser."""
    ids = (root / LISTS / f"{split}.txt").read_text().split()
    assert len(ids) == {"trainval": 847, "test": 606}[split]
    texts = ((root / f"VOCdevkit/VOC2007/Annotations/{id}.xml").read_text() for id in ids)
    return Counter(name for text in texts for name in re.findall(r"<object>\s*<name>(\w+)", text))
