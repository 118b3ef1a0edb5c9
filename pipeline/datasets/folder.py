"""The user's own pictures: a folder for each class or a CSV of labels, with boxes or without."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets import photograph
from pipeline.datasets.box_list import Annotated
from pipeline.datasets.clipping import clip_rounding
from pipeline.datasets.dealing import deal
from pipeline.datasets.folder_boxes import boxes_of_pictures
from pipeline.datasets.folder_listing import LABELS, Picture, listed_pictures
from pipeline.datasets.listing import read_bytes, read_lines
from pipeline.errors import InputError
from pipeline.packed.record import SPLITS, Dataset, Record, Split, Task, validate
from pipeline.params import DataParams, FolderParams

CLASSES = "classes.txt"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A picture, its labels and its boxes, so that nothing else is needed to make its record."""

    picture: Picture
    labels: tuple[int, ...]
    boxes: Annotated | None
    box_labels: tuple[int, ...]


def read(root: Path, params: DataParams, own: FolderParams, task: Task, seed: int) -> Dataset:
    """Describe the pictures in `root` as a data set of either track; see docs/own-data.md.

    Where the pictures are not told their split, `own.test_fraction` of each class is test, and
    without a split val `params.val_fraction` of the others is val; see `dealing.deal`. Classes are
    those of classes.txt in its order, else all labels in alphabetical order. A picture without
    boxes has a record without boxes.

    Raises:
        InputError: here or while records are made: as `listed_pictures` and `boxes_of_pictures`; a
            label that classes.txt lacks or that has no training picture, a class of classes.txt
            without picture, a class of one picture that is to be dealt, a picture with other than
            one label on the single-label track, an empty part, an unreadable picture, one of
            another size than its boxes are for, a bad box.
    """
    pictures = listed_pictures(root)
    if task == "single":
        _refuse_several_labels(pictures)
    classes = _classes(root, pictures)
    if task == "single" and len(classes) < 2:
        raise InputError(f"{root}: one class, {classes[0]!r}; the single-label track needs two")
    parts = _parts(root, pictures, params, own, seed)
    _refuse_unlearnt(classes, parts["train"], pictures)
    boxes = boxes_of_pictures(root, pictures, classes, own.pixels)
    number = {name: label for label, name in enumerate(classes)}
    make = partial(_records, root, params.short_side, classes)
    splits = {
        name: Split(make, [_entry(picture, boxes.get(picture.path), number) for picture in part])
        for name, part in parts.items()
    }
    name = f"own pictures ({len(classes)} classes, {len(pictures)} images)"
    return Dataset(name, task, classes, splits, params.short_side)


def _refuse_several_labels(pictures: list[Picture]) -> None:
    for picture in pictures:
        if len(picture.labels) != 1:
            raise InputError(
                f"{picture.source}: {len(picture.labels)} labels; the single-label track takes "
                "pictures of one label: correct the line, or use data.multi=folder"
            )


def _classes(root: Path, pictures: list[Picture]) -> tuple[str, ...]:
    """The names of the classes, which classes.txt may fix."""
    first = {label: picture for picture in reversed(pictures) for label in picture.labels}
    if not first:
        raise InputError(f"{root / LABELS}: no picture has a label; add labels")
    path = root / CLASSES
    if not path.exists():
        return tuple(sorted(first))
    listed = read_lines(path, "the names of the classes, one on each line")
    for label, picture in first.items():
        if label not in listed:
            raise InputError(
                f"{picture.source}: unknown label {label!r}; {path} has {', '.join(listed)}: "
                "correct the label or add it there"
            )
    for name, count in Counter(listed).items():
        if count > 1 or name not in first:
            fault = f"is listed {count} times" if count > 1 else "has no picture"
            raise InputError(f"{path}: class {name!r} {fault}; add pictures or remove the line")
    return tuple(listed)


def _parts(
    root: Path, pictures: list[Picture], params: DataParams, own: FolderParams, seed: int
) -> dict[str, list[Picture]]:
    """The pictures of each split."""
    fixed = pictures[0].split is not None
    if fixed:
        parts = {name: [each for each in pictures if each.split == name] for name in SPLITS}
    else:
        _refuse_single_pictures(pictures)
        parts = {"val": []} | _dealt(pictures, "test", own.test_fraction, seed)
    if not parts["val"]:
        parts |= _dealt(parts["train"], "val", params.val_fraction, seed)
    for name, part in parts.items():
        if not part and (name != "val" or params.val_fraction):
            remedy = "add pictures"
            if name == "val":
                remedy += ", or set data.val_fraction=0 and evaluate.threshold_from=test"
            raise InputError(f"{root}: no picture is left for {name}; {remedy}")
    return {name: parts[name] for name in SPLITS}


def _dealt(
    pictures: list[Picture], name: str, fraction: float, seed: int
) -> dict[str, list[Picture]]:
    """Two parts: one called `name`, and train."""
    chosen = deal({each.path: each.labels for each in pictures}, fraction, seed)
    return {
        "train": [each for each in pictures if each.path not in chosen],
        name: [each for each in pictures if each.path in chosen],
    }


def _refuse_single_pictures(pictures: list[Picture]) -> None:
    counts = Counter(label for picture in pictures for label in picture.labels)
    for picture in pictures:
        for label in picture.labels:
            if counts[label] == 1:
                raise InputError(
                    f"{picture.source}: the only picture of class {label!r}, which needs one in "
                    "train and one in test; add pictures, correct the label or leave it out"
                )


def _refuse_unlearnt(
    classes: tuple[str, ...], train: list[Picture], pictures: list[Picture]
) -> None:
    """Refuse a class without a training picture."""
    learnt = {label for picture in train for label in picture.labels}
    for name in classes:
        if name not in learnt:
            picture = next(each for each in pictures if name in each.labels)
            raise InputError(
                f"{picture.source}: label {name!r} has no training picture; add some, or give a "
                "split in which it has one"
            )


def _entry(picture: Picture, boxes: Annotated | None, number: dict[str, int]) -> _Entry:
    return _Entry(
        picture=picture,
        labels=tuple(sorted(number[label] for label in picture.labels)),
        boxes=boxes,
        box_labels=tuple(number[name] for name in boxes.classes) if boxes else (),
    )


def _records(
    root: Path, short_side: int, classes: tuple[str, ...], entries: Sequence[_Entry]
) -> Iterator[Record]:
    """Yield the records of `entries`."""
    for entry in entries:
        path, boxes = root / entry.picture.path, entry.boxes
        image, width, height = _loaded(path, short_side, entry.picture.source)
        if boxes:
            photograph.check_size(path, (width, height), (boxes.width, boxes.height))
        corners = np.array(boxes.boxes_xyxy if boxes else [], dtype=np.float32).reshape(-1, 4)
        record = Record(
            id=entry.picture.path,
            image=image,
            width=width,
            height=height,
            labels=entry.labels,
            boxes_xyxy=clip_rounding(corners, width, height),
            box_labels=np.array(entry.box_labels, dtype=np.int64),
            difficult=np.zeros(len(corners), dtype=bool),
        )
        validate(record, classes, f"boxes of {path}")
        yield record


def _loaded(path: Path, short_side: int, source: str) -> tuple[bytes, int, int]:
    """The picture upright, as prediction sees it; errors tell the line that lists it."""
    try:
        found = photograph.upright(read_bytes(path, "a listed image"), str(path), short_side)
        return found.image, found.width, found.height
    except InputError as error:
        listed = "" if source == str(path) else f"{source}: "
        raise type(error)(f"{listed}{error}, or take the picture out") from None
