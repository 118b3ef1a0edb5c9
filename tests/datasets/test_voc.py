import re

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import photograph, voc
from pipeline.errors import InputError
from tests.pictures import voc_object, write_voc_image


def records(root, params, seed=0):
    dataset = voc.read(root, params.data, seed)
    return dataset, {name: list(split) for name, split in dataset.splits.items()}


def annotate(root, id, xml):
    path = root / f"VOCdevkit/VOC2007/Annotations/{id}.xml"
    path.write_text(xml)
    return path


def fails(root, params, message):
    with pytest.raises(InputError, match=re.escape(message)):
        records(root, params)


def test_val_is_held_out_of_trainval_and_test_is_the_official_one(tiny_voc, params):
    _, splits = records(tiny_voc, params)
    ids = {split: {record.id for record in part} for split, part in splits.items()}
    assert len(ids["val"]) == 2
    assert ids["train"] | ids["val"] == {f"{i:06}" for i in range(1, 21, 2)}
    assert not ids["train"] & ids["val"]
    assert ids["test"] == {"000002", "000004", "000006", "000008"}


def test_the_seed_changes_val_but_never_test(tiny_voc, params):
    chosen = [records(tiny_voc, params, seed)[1] for seed in range(4)]
    assert len({tuple(record.id for record in splits["val"]) for splits in chosen}) > 1
    assert len({tuple(record.id for record in splits["test"]) for splits in chosen}) == 1


def test_boxes_become_half_open_from_zero_and_fit_the_drawn_pixels(tiny_voc, params):
    _, splits = records(tiny_voc, params)
    first = next(record for part in splits.values() for record in part if record.id == "000001")
    assert first.boxes_xyxy.tolist() == [[4, 6, 24, 30], [40, 20, 60, 40]]
    assert first.boxes_xyxy.dtype == np.float32


def test_a_difficult_object_keeps_its_box_but_gives_no_image_label(tiny_voc, params):
    dataset, splits = records(tiny_voc, params)
    first = next(record for part in splits.values() for record in part if record.id == "000001")
    assert first.difficult.tolist() == [False, True]
    assert [dataset.classes[label] for label in first.labels] == ["cat"]
    assert dataset.classes[first.box_labels[1]] == "person"


def test_a_class_that_is_also_present_as_easy_is_a_label(tiny_voc, params):
    boxes = [("cat", [0, 0, 9, 9], 1), ("cat", [20, 20, 40, 40], 0), ("car", [5, 5, 9, 9], 0)]
    write_voc_image(tiny_voc, "000002", boxes)
    dataset, splits = records(tiny_voc, params)
    assert [dataset.classes[label] for label in splits["test"][0].labels] == ["car", "cat"]


def test_classes_are_the_official_ones_that_occur_in_official_order(tiny_voc, params):
    dataset, _ = records(tiny_voc, params)
    assert dataset.classes == ("car", "cat", "person")
    assert dataset.task == "multi"


def test_a_few_photographs_are_not_called_voc2007(tiny_voc, params):
    assert records(tiny_voc, params)[0].name == "VOC-style photographs (3 classes, 14 images)"


def test_the_official_numbers_of_images_make_it_voc2007(tiny_voc, params, monkeypatch):
    monkeypatch.setattr(voc, "_OFFICIAL_COUNTS", (10, 4))
    assert records(tiny_voc, params)[0].name == "VOC2007"


def test_parts_of_a_person_are_no_objects(tiny_voc, params):
    head = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
    xml = voc_object("person", [1, 2, 9, 9]).replace("</object>", head)
    annotate(tiny_voc, "000002", f"<annotation>{xml}</annotation>")
    assert records(tiny_voc, params)[1]["test"][0].boxes_xyxy.tolist() == [[1, 2, 9, 9]]


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([499, 0, 12, 9], "object 2 has xmin 500 > xmax 12"),
        ([5, 7, 9, 7], "object 2 has ymin 8 > ymax 7"),
        ([-1, 0, 9, 9], "object 2 has xmin 0 outside the 60 x 40 picture"),
        ([0, 0, 61, 9], "object 2 has xmax 61 outside the 60 x 40 picture"),
    ],
)
def test_a_bad_box_is_named_with_the_values_of_the_file(tiny_voc, params, box, fault):
    objects = voc_object("car", [0, 0, 9, 9]) + voc_object("cat", box)
    path = annotate(tiny_voc, "000002", f"<annotation>{objects}</annotation>")
    fails(tiny_voc, params, f"{path}: {fault}")


@pytest.mark.parametrize("text", ["nan", "left", ""])
def test_a_coordinate_must_be_a_number(tiny_voc, params, text):
    xml = voc_object("car", [4, 4, 9, 9]).replace("<xmax>9", f"<xmax>{text}")
    path = annotate(tiny_voc, "000002", f"<annotation>{xml}</annotation>")
    fails(tiny_voc, params, f"{path}: object 1 has ")


def test_an_unknown_class_is_named(tiny_voc, params):
    write_voc_image(tiny_voc, "000003", [("dragon", [0, 0, 9, 9], 0)])
    fails(tiny_voc, params, "000003.xml: object 1 has unknown class 'dragon'")


def test_a_test_class_without_training_object_is_named(tiny_voc, params):
    write_voc_image(tiny_voc, "000002", [("sofa", [0, 0, 9, 9], 0)])
    fails(tiny_voc, params, "000002.xml: class 'sofa' has no object in trainval")


ENTITY = (
    '<!DOCTYPE a [<!ENTITY b "car">]><annotation><object><name>&b;</name></object></annotation>'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_a_document_type_is_refused(tiny_voc, params, encoding):
    path = tiny_voc / "VOCdevkit/VOC2007/Annotations/000001.xml"
    path.write_bytes(ENTITY.encode(encoding))
    fails(tiny_voc, params, f"{path}: declares a document type")


@pytest.mark.parametrize("xml", ["", "<annotation>", "<?xml version='1.0' encoding='x'?><a/>"])
def test_malformed_xml_is_named(tiny_voc, params, xml):
    path = annotate(tiny_voc, "000001", xml)
    fails(tiny_voc, params, f"{path}: not valid XML")


@pytest.mark.parametrize(
    "name", ["ImageSets/Main/test.txt", "Annotations/000003.xml", "JPEGImages/000003.jpg"]
)
def test_a_missing_file_is_named(tiny_voc, params, name):
    path = tiny_voc / "VOCdevkit/VOC2007" / name
    path.unlink()
    fails(tiny_voc, params, f"{path}: not found")


def test_an_image_may_not_be_in_both_parts(tiny_voc, params):
    (tiny_voc / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").write_text("000002\n000003\n")
    fails(tiny_voc, params, "000003 is listed in both trainval.txt and test.txt")


def test_the_five_class_photographs_are_read_whole(voc_photographs, params, monkeypatch):
    def header(path, short_side):
        with Image.open(path) as image:
            return b"", *image.size

    monkeypatch.setattr(photograph, "load", header)
    dataset, splits = records(voc_photographs, params)
    assert dataset.name == "VOC-style photographs (5 classes, 1453 images)"
    assert dataset.classes == ("bus", "car", "cat", "person", "train")
    sizes = {split: len(part) for split, part in splits.items()}
    assert sizes == {"train": 678, "val": 169, "test": 606}
    assert sum(len(record.boxes_xyxy) for part in splits.values() for record in part) == 3538
