"""Annotation files in VOC's XML: what is read, and what malformed and hostile ones are told."""

import re
from pathlib import Path

import pytest

from pipeline.datasets.annotation_xml import AnnotatedObject, read_objects
from pipeline.errors import InputError
from tests.pictures import voc_object

LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
HOSTILE = {
    "entity": '<!DOCTYPE a [<!ENTITY b "car">]><annotation>&b;</annotation>',
    "billion laughs": f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l9;</annotation>',
    "file": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>',
    "external": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><annotation/>',
}


def written(folder: Path, xml: str, encoding: str = "utf-8") -> Path:
    path = folder / "a.xml"
    path.write_bytes(xml.encode(encoding))
    return path


def fails(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
        read_objects(path)


def test_an_object_is_read_as_written(tmp_path: Path) -> None:
    xml = voc_object("car", [4, 6, 24, 30], 1).replace("<xmin>5", "<xmin> 5.25 ")
    path = written(tmp_path, f"<annotation>{xml}<object>{xml[8:]}</annotation>")
    expected = AnnotatedObject("car", (5.25, 7, 24, 30), difficult=True, truncated=False)
    assert read_objects(path) == [expected, expected]


def test_an_annotation_may_have_no_object(tmp_path: Path) -> None:
    assert read_objects(written(tmp_path, "<annotation/>")) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("xml", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_document_type_is_refused_before_it_acts(tmp_path: Path, xml: str, encoding: str) -> None:
    fails(written(tmp_path, xml, encoding), "declares a document type")


@pytest.mark.parametrize(
    "xml",
    ["", "<annotation>", "<annotation/><annotation/>", "<a>\0</a>", "<?xml encoding='x'?><a/>"],
)
def test_malformed_xml_is_named(tmp_path: Path, xml: str) -> None:
    fails(written(tmp_path, xml), "not valid XML")


def test_xml_of_another_kind_is_named(tmp_path: Path) -> None:
    fails(written(tmp_path, "<html/>"), "its root is <html>, not <annotation>")


def test_deep_nesting_does_no_harm(tmp_path: Path) -> None:
    deep = f"<annotation>{'<a>' * 100_000}{'</a>' * 100_000}</annotation>"
    assert read_objects(written(tmp_path, deep)) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    fails(tmp_path / "a.xml", "not found; it holds the objects of a listed image")


@pytest.mark.parametrize("text", ["", "left", "1,5", "nan", "-inf", "1e300", "1000001"])
def test_a_coordinate_must_be_a_number(tmp_path: Path, text: str) -> None:
    xml = voc_object("car", [4, 4, 9, 9]).replace("<xmax>9", f"<xmax>{text}")
    shown = f"object 1 has bndbox/xmax {text!r}, no number of pixels"
    fails(written(tmp_path, f"<annotation>{xml}</annotation>"), shown)


def test_a_missing_box_is_named(tmp_path: Path) -> None:
    xml = "<annotation><object><name>car</name></object></annotation>"
    fails(written(tmp_path, xml), "object 1 has bndbox/xmin None, no number of pixels")
