"""Photographs in the layout of COCO 2014 (Lin et al., ECCV 2014; cocodataset.org/#format-data)."""

import warnings
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from faster_coco_eval import COCO
from pydantic import BaseModel, Field, ValidationError

from pipeline.datasets import photograph
from pipeline.datasets.clipping import clip_overlapping
from pipeline.datasets.holdout import hold_out
from pipeline.datasets.listing import MOST_PIXELS, check_names
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record, Split, validate
from pipeline.params import DataParams

FOLDERS = (Path("annotations"), Path("train2014"), Path("val2014"))
_OFFICIAL_COUNTS = (82783, 40504)


class _Image(BaseModel):
    file_name: str
    width: int
    height: int


class _Category(BaseModel):
    id: int
    name: str


_Pixels = Annotated[float, Field(ge=-MOST_PIXELS, le=MOST_PIXELS)]


class _Annotation(BaseModel):
    bbox: Annotated[list[_Pixels], Field(min_length=4, max_length=4)]
    iscrowd: Literal[0, 1] = 0


class _Instances(BaseModel):
    """What an annotation file must have, besides the ids that the library wants."""

    images: Annotated[list[_Image], Field(min_length=1)]
    categories: Annotated[list[_Category], Field(min_length=1)]
    annotations: list[_Annotation]


@dataclass(frozen=True, slots=True)
class _Object:
    """One object: its label, whether it is a crowd, and x, y, width, height in px from 0."""

    label: int
    crowd: bool
    xywh: "array[float]"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image with its own annotations, so that nothing else is needed to make its record.

    Attributes:
        file: path below the root.
        size: width and height that the annotation file gives.
    """

    file: str
    size: tuple[int, int]
    objects: tuple[_Object, ...]

    @property
    def id(self) -> str:
        return str(PurePosixPath(self.file).with_suffix(""))


def read(root: Path, params: DataParams, seed: int) -> Dataset:
    """Describe COCO 2014 in `root` as a multi-label data set.

    Test is val2014; val is a seeded part (`params.val_fraction`) of train2014 and train the rest.
    The classes are the annotation files' categories in the order of their ids. Images without
    any object stay in every split: they are negatives of every class, in training and in mAP. A
    crowd region (`iscrowd`) is a `difficult` object: it does not make its class a label. Boxes
    that leave the picture are clipped; objects whose box has no width or no height (the official
    file has two) are left out.

    Raises:
        InputError: here or while records are made: an annotation file that is missing, is no JSON
            or lacks a part, categories that differ between the files, an annotation of an unknown
            image or category, a name that leads out of the folder, a missing or unreadable image,
            an image of another size than annotated, a bad box.
    """
    training_classes, training = _entries(root, "train2014")
    classes, test = _entries(root, "val2014")
    if classes != training_classes:
        raise InputError(
            f"{_annotations(root, 'val2014')}: its categories are not those of "
            f"{_annotations(root, 'train2014').name}; use the files of one release"
        )
    held_out = hold_out([entry.id for entry in training], params.val_fraction, seed)
    splits = {
        "train": [entry for entry in training if entry.id not in held_out],
        "val": [entry for entry in training if entry.id in held_out],
        "test": test,
    }
    name = _name(len(training), len(test), len(classes))
    make = partial(_records, root, params.short_side, classes)
    parts = {key: Split(make, part) for key, part in splits.items()}
    return Dataset(name, "multi", classes, parts, params.short_side)


def _name(training: int, test: int, classes: int) -> str:
    """The benchmark's name only for the benchmark's own number of images."""
    if (training, test) == _OFFICIAL_COUNTS:
        return "COCO2014"
    return f"COCO-style photographs ({classes} classes, {training + test} images)"


def _annotations(root: Path, part: str) -> Path:
    return root / "annotations" / f"instances_{part}.json"


def _entries(root: Path, part: str) -> tuple[tuple[str, ...], list[_Entry]]:
    """The classes and the images of one annotation file."""
    coco = load_annotations(_annotations(root, part))
    labels = {id: label for label, id in enumerate(sorted(coco.cats))}
    classes = tuple(coco.cats[id]["name"] for id in labels)
    entries = [
        _Entry(
            file=f"{part}/{image['file_name']}",
            size=(image["width"], image["height"]),
            objects=tuple(_objects(coco.imgToAnns.get(id, []), labels)),
        )
        for id, image in coco.imgs.items()
    ]
    return classes, entries


def _objects(annotations: list[dict[str, Any]], labels: dict[int, int]) -> Iterator[_Object]:
    """The objects of an image whose box has a width and a height."""
    for item in annotations:
        _, _, width, height = item["bbox"]
        if width and height:
            crowd = item.get("iscrowd", 0) == 1
            # Copied: a number of the parsed file would hold more than a gigabyte around it back.
            yield _Object(labels[item["category_id"]], crowd, array("d", item["bbox"]))


def load_annotations(path: Path) -> COCO:
    """Return the content of an annotation file, indexed and checked.

    Raises:
        InputError: it is missing, no JSON, lacks a part, or has an annotation of an unknown image
            or category, an id twice, or an image name twice or one that leads out of the folder.
    """
    coco = _load(path)
    _check(path, coco)
    return coco


def _load(path: Path) -> COCO:
    """The content of an annotation file, indexed."""
    try:
        with warnings.catch_warnings():
            # Annotation id 0 disturbs the library's evaluation, which is not used here.
            warnings.simplefilter("ignore", UserWarning)
            return COCO(path)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; it holds the annotations of COCO 2014") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); restore the file") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply for annotations; restore the file") from None
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        AssertionError,
        OverflowError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: no COCO annotations ({reason}); restore the file") from None


def _check(path: Path, coco: COCO) -> None:
    """Refuse an annotation file that lacks a part or does not fit together."""
    try:
        _Instances.model_validate(coco.dataset, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {key}: {first['msg']}; restore the file") from None
    check_names((image["file_name"] for image in coco.imgs.values()), path)
    for key, index in (("images", coco.imgs), ("categories", coco.cats)):
        if len(index) != len(coco.dataset[key]):
            raise InputError(f"{path}: {key} share an id; correct the ids")
    for kind, used, known in (
        ("image", coco.imgToAnns, coco.imgs),
        ("category", coco.catToImgs, coco.cats),
    ):
        if unknown := sorted(map(str, set(used) - set(known))):
            raise InputError(
                f"{path}: an annotation is of {kind} {unknown[0]}, which is not listed"
            )


def _records(
    root: Path, short_side: int, classes: tuple[str, ...], entries: Sequence[_Entry]
) -> Iterator[Record]:
    """Yield the records of `entries`."""
    for entry in entries:
        image, width, height = photograph.load(root / entry.file, short_side)
        photograph.check_size(root / entry.file, (width, height), entry.size)
        record = Record(
            id=entry.id,
            image=image,
            width=width,
            height=height,
            labels=tuple(sorted({item.label for item in entry.objects if not item.crowd})),
            boxes_xyxy=clip_overlapping(_boxes(entry), width, height),
            box_labels=np.array([item.label for item in entry.objects], dtype=np.int64),
            difficult=np.array([item.crowd for item in entry.objects], dtype=bool),
        )
        validate(record, classes, f"annotations of {root / entry.file}")
        yield record


def _boxes(entry: _Entry) -> np.ndarray:
    """(n, 4) half-open corners."""
    xywh = np.array([item.xywh for item in entry.objects], dtype=np.float32).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
