"""Photographs in the layout of the PASCAL VOC 2007 devkit (Everingham et al., IJCV 2010)."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets import photograph
from pipeline.datasets.holdout import hold_out
from pipeline.datasets.record import Dataset, Record, Split, validate
from pipeline.errors import InputError
from pipeline.params import DataParams

FOLDER = Path("VOCdevkit/VOC2007")
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
_OFFICIAL_COUNTS = (5011, 4952)


@dataclass(frozen=True)
class _Object:
    """One annotated object: class, box as in the file (1-based, last pixel included), flag."""

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool


def read(root: Path, params: DataParams, seed: int) -> Dataset:
    """Describe the VOC devkit in `root`/VOCdevkit/VOC2007 as a multi-label data set.

    Test is the official test list; val is a seeded part (`params.val_fraction`) of trainval and
    train the rest. The classes are those of the official 20 that occur in trainval. Boxes are
    converted to half-open ones from 0; an object marked difficult gives no image-level label.

    Raises:
        InputError: here or while records are made: a missing file, an unreadable image, XML that
            is malformed or declares a document type, an unknown class, a bad box.
    """
    folder = root / FOLDER
    trainval, test = (_listed(folder, split) for split in ("trainval", "test"))
    if shared := set(trainval) & set(test):
        raise InputError(f"{folder}: {min(shared)} is listed in both trainval.txt and test.txt")
    held_out = hold_out(trainval, params.val_fraction, seed)
    classes = _occurring(folder, trainval)
    splits = {
        "train": [id for id in trainval if id not in held_out],
        "val": [id for id in trainval if id in held_out],
        "test": test,
    }
    name = _name(len(trainval), len(test), len(classes))
    make = partial(_records, folder, params.short_side, classes)
    return Dataset(name, "multi", classes, {key: Split(make, ids) for key, ids in splits.items()})


def _listed(folder: Path, split: str) -> list[str]:
    """The image ids of ImageSets/Main/<split>.txt."""
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        return path.read_text().split()
    except FileNotFoundError:
        raise InputError(f"{path}: not found; it lists the image ids of the split") from None


def _name(trainval: int, test: int, classes: int) -> str:
    """The benchmark's name only for the benchmark's own number of images."""
    if (trainval, test) == _OFFICIAL_COUNTS:
        return "VOC2007"
    return f"VOC-style photographs ({classes} classes, {trainval + test} images)"


def _occurring(folder: Path, ids: list[str]) -> tuple[str, ...]:
    """The official classes with an object in the images `ids`, in official order."""
    found = {item.name for id in ids for item in _objects(_annotation(folder, id))}
    return tuple(name for name in CLASSES if name in found)


def _annotation(folder: Path, id: str) -> Path:
    return folder / "Annotations" / f"{id}.xml"


def _records(
    folder: Path, short_side: int, classes: tuple[str, ...], ids: list[str]
) -> Iterator[Record]:
    """Yield the records of the images `ids`."""
    for id in ids:
        path = _annotation(folder, id)
        objects = _objects(path)
        image, width, height = photograph.load(folder / "JPEGImages" / f"{id}.jpg", short_side)
        boxes = np.array([item.corners for item in objects], dtype=np.float32).reshape(-1, 4)
        labels = [_label(item.name, classes, path) for item in objects]
        easy = {label for label, item in zip(labels, objects, strict=True) if not item.difficult}
        record = Record(
            id=id,
            image=image,
            width=width,
            height=height,
            labels=tuple(sorted(easy)),
            boxes_xyxy=boxes - np.array([1, 1, 0, 0], dtype=np.float32),
            box_labels=np.array(labels, dtype=np.int64),
            difficult=np.array([item.difficult for item in objects], dtype=bool),
        )
        validate(record, classes, str(path), first_pixel=1)
        yield record


def _label(name: str, classes: tuple[str, ...], path: Path) -> int:
    if name not in classes:
        raise InputError(f"{path}: class {name!r} has no object in trainval; remove the object")
    return classes.index(name)


def _objects(path: Path) -> list[_Object]:
    """The objects of an annotation file, in its order."""
    elements = _parse(path).findall("object")
    return [_object(element, f"{path}: object {i}") for i, element in enumerate(elements, 1)]


def _object(element: ET.Element, source: str) -> _Object:
    """One <object>; its parts (head, hand, foot) are ignored."""
    name = element.findtext("name", "").strip()
    if name not in CLASSES:
        raise InputError(f"{source} has unknown class {name!r}; known: {', '.join(CLASSES)}")
    xmin, ymin, xmax, ymax = (
        _number(element, f"bndbox/{edge}", source) for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    difficult = element.findtext("difficult", "0").strip() == "1"
    return _Object(name, (xmin, ymin, xmax, ymax), difficult)


def _number(element: ET.Element, key: str, source: str) -> float:
    text = element.findtext(key)
    try:
        return float(text or "")
    except ValueError:
        raise InputError(f"{source} has {key} {text!r}, which is no number; correct it") from None


class _NoDoctype(ET.TreeBuilder):
    """Refuses a document type, the only place where XML can declare entities.

    Called before any entity can expand, whatever the file's encoding.
    """

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise InputError("declares a document type, which VOC annotations never do; remove it")


def _parse(path: Path) -> ET.Element:
    """The root element of an annotation file."""
    try:
        return ET.fromstring(path.read_bytes(), parser=ET.XMLParser(target=_NoDoctype()))
    except FileNotFoundError:
        raise InputError(f"{path}: not found, although its image is listed") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ET.ParseError, LookupError, ValueError) as error:
        raise InputError(f"{path}: not valid XML ({error}); restore the file") from None
