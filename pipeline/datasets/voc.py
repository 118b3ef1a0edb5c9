"""Photographs in the layout of the PASCAL VOC devkit (Everingham et al., IJCV 2010)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets import photograph
from pipeline.datasets.annotation_xml import AnnotatedObject, read_objects
from pipeline.datasets.clipping import clip_rounding
from pipeline.datasets.holdout import hold_out
from pipeline.datasets.listing import check_names, read_lines
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record, Split, validate
from pipeline.params import DataParams

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip


@dataclass(frozen=True)
class Edition:
    """One year's data set.

    Attributes:
        name: as tables show it, if the numbers of images are the official ones.
        year: names the folder below VOCdevkit.
        training, test: the lists, below ImageSets/Main, that play these parts.
        counts: official numbers of images in these lists.
    """

    name: str
    year: int
    training: str
    test: str
    counts: tuple[int, int]

    @property
    def folder(self) -> Path:
        """The folder of the edition, below the root."""
        return Path(f"VOCdevkit/VOC{self.year}")


VOC2007 = Edition("VOC2007", 2007, "trainval", "test", (5011, 4952))
VOC2012 = Edition("VOC2012", 2012, "train", "val", (5717, 5823))
"""Tested on val, as in SPN Table 3: the annotations of VOC2012's test images are not public."""


def read(root: Path, edition: Edition, params: DataParams, seed: int) -> Dataset:
    """Describe `edition` below `root` as a multi-label data set.

    Test is the edition's test list; val is a seeded part (`params.val_fraction`) of its training
    list and train the rest. The classes are those of the official 20 that occur in the training
    list. Boxes are converted to half-open ones from 0; a coordinate that is at most 1 px outside is
    clipped (VOC2012 has fractional ones). An object marked difficult gives no image-level label.

    Raises:
        InputError: here or while records are made: a missing or empty list, a list that names an
            image twice or leads out of the folder, an image in both lists, a missing or unreadable
            image or annotation, an unknown class, a bad box.
    """
    folder = root / edition.folder
    training, test = (_listed(folder, split) for split in (edition.training, edition.test))
    if shared := set(training) & set(test):
        lists = f"{edition.training}.txt and {edition.test}.txt"
        raise InputError(f"{folder}: {min(shared)} is listed in both {lists}; list it in one")
    held_out = hold_out(training, params.val_fraction, seed)
    classes = _occurring(folder, training)
    splits = {
        "train": [id for id in training if id not in held_out],
        "val": [id for id in training if id in held_out],
        "test": test,
    }
    name = _name(edition, len(training), len(test), len(classes))
    make = partial(_records, folder, params.short_side, classes)
    parts = {key: Split(make, ids) for key, ids in splits.items()}
    return Dataset(name, "multi", classes, parts, params.short_side)


def _listed(folder: Path, split: str) -> list[str]:
    """The image ids of ImageSets/Main/<split>.txt."""
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    ids = read_lines(path, "the image ids of the split")
    check_names(ids, path)
    return ids


def _name(edition: Edition, training: int, test: int, classes: int) -> str:
    """The benchmark's name only for the benchmark's own number of images."""
    if (training, test) == edition.counts:
        return edition.name
    return f"VOC-style photographs ({classes} classes, {training + test} images)"


def _occurring(folder: Path, ids: list[str]) -> tuple[str, ...]:
    """The official classes with an object in the images `ids`, in official order."""
    found = {item.name for id in ids for item in _objects(_annotation(folder, id))}
    return tuple(name for name in CLASSES if name in found)


def _annotation(folder: Path, id: str) -> Path:
    return folder / "Annotations" / f"{id}.xml"


def _objects(path: Path) -> list[AnnotatedObject]:
    """The objects of an annotation file, all of official classes."""
    objects = read_objects(path)
    for number, item in enumerate(objects, start=1):
        if item.name not in CLASSES:
            known = ", ".join(CLASSES)
            raise InputError(
                f"{path}: object {number} has unknown class {item.name!r}; known: {known}"
            )
    return objects


def _records(
    folder: Path, short_side: int, classes: tuple[str, ...], ids: Sequence[str]
) -> Iterator[Record]:
    """Yield the records of the images `ids`."""
    for id in ids:
        path = _annotation(folder, id)
        objects = _objects(path)
        image, width, height = photograph.load(folder / "JPEGImages" / f"{id}.jpg", short_side)
        labels = [_label(item.name, classes, path) for item in objects]
        easy = {label for label, item in zip(labels, objects, strict=True) if not item.difficult}
        record = Record(
            id=id,
            image=image,
            width=width,
            height=height,
            labels=tuple(sorted(easy)),
            boxes_xyxy=clip_rounding(_boxes(objects), width, height),
            box_labels=np.array(labels, dtype=np.int64),
            difficult=np.array([item.difficult for item in objects], dtype=bool),
            truncated=np.array([item.truncated for item in objects], dtype=bool),
        )
        validate(record, classes, str(path), file_adds=(1, 0))
        yield record


def _boxes(objects: list[AnnotatedObject]) -> np.ndarray:
    """(n, 4) half-open from 0; the files count from 1 and include the last pixel."""
    corners = np.array([item.corners for item in objects], dtype=np.float32).reshape(-1, 4)
    return corners - np.array([1, 1, 0, 0], dtype=np.float32)


def _label(name: str, classes: tuple[str, ...], path: Path) -> int:
    if name not in classes:
        raise InputError(
            f"{path}: class {name!r} has no object in the training images; remove the object"
        )
    return classes.index(name)
