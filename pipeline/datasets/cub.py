"""Photographs in the layout of CUB-200-2011 (Wah et al., Caltech CNS-TR-2011-001)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets import photograph
from pipeline.datasets.clipping import clip_overlapping
from pipeline.datasets.holdout import hold_out
from pipeline.datasets.listing import check_names, pixels, read_lines
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record, Split, validate
from pipeline.params import DataParams

FOLDER = Path("CUB_200_2011")
_OFFICIAL_COUNTS = (5994, 5794)


@dataclass(frozen=True)
class _Entry:
    """One listed image: its path below images/, its class, its official part, its box."""

    path: str
    name: str
    training: bool
    xywh: tuple[float, ...]

    @property
    def id(self) -> str:
        return self.path.rpartition(".")[0]


def read(root: Path, params: DataParams, seed: int) -> Dataset:
    """Describe `root`/CUB_200_2011 as a single-label data set.

    Test is the official test part; val is a seeded share (`params.val_fraction`) of each class of
    the official training part and train the rest. The classes are those with a training image.
    A box is x, y, width, height, with x and y from 0; one that leaves the picture is clipped, as
    the official file has such boxes.

    Raises:
        InputError: here or while records are made: a missing, empty or malformed file, an image
            that is listed twice, leads out of the folder or lacks an entry in one of the files, an
            entry of an unlisted image, no image in the training or the test part, an unreadable
            image, a class without training image, a bad box.
    """
    folder = root / FOLDER
    entries = _entries(folder)
    training = [entry for entry in entries if entry.training]
    test = [entry for entry in entries if not entry.training]
    if not (training and test):
        raise InputError(
            f"{folder / 'train_test_split.txt'}: {len(training)} training and {len(test)} test "
            "images; both parts need one"
        )
    classes = tuple(dict.fromkeys(entry.name for entry in training))
    held_out = _held_out(training, params.val_fraction, seed)
    splits = {
        "train": [entry for entry in training if entry.id not in held_out],
        "val": [entry for entry in training if entry.id in held_out],
        "test": test,
    }
    name = _name(len(training), len(test), len(classes))
    make = partial(_records, folder, params.short_side, classes)
    parts = {key: Split(make, part) for key, part in splits.items()}
    return Dataset(name, "single", classes, parts, params.short_side)


def _name(training: int, test: int, classes: int) -> str:
    """The benchmark's name only for the benchmark's own number of images."""
    if (training, test) == _OFFICIAL_COUNTS:
        return "CUB-200-2011"
    return f"CUB-200-2011 subset ({classes} classes, {training + test} images)"


def _held_out(entries: list[_Entry], fraction: float, seed: int) -> frozenset[str]:
    """The ids held out, the same share of every class."""
    names = {entry.name for entry in entries}
    of_class = ([entry.id for entry in entries if entry.name == name] for name in names)
    return frozenset().union(*(hold_out(ids, fraction, seed) for ids in of_class))


def _entries(folder: Path) -> list[_Entry]:
    """The images of images.txt, joined with what the other files say of them."""
    classes = _Table(folder / "classes.txt")
    labels = _Table(folder / "image_class_labels.txt")
    parts = _Table(folder / "train_test_split.txt")
    boxes = _Table(folder / "bounding_boxes.txt")
    images = _Table(folder / "images.txt")
    check_names((path for _, path in images.items()), folder / "images.txt")
    for table in (labels, parts, boxes):
        table.refuse_others(images)
    return [
        _Entry(
            path=path,
            name=classes[labels[key]],
            training=parts.choice(key, {"0": False, "1": True}),
            xywh=boxes.numbers(key, 4),
        )
        for key, path in images.items()
    ]


class _Table:
    """A file of lines `key value...`; every fault is an InputError naming the file and the key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = {}
        for line in read_lines(path, "lines `key value`, a part of CUB_200_2011"):
            key, _, value = line.partition(" ")
            if key in self._values:
                raise InputError(f"{path}: two lines for {key!r}; remove one")
            self._values[key] = value.strip()

    def refuse_others(self, images: "_Table") -> None:
        """Refuse a line of an image that is not listed."""
        if others := sorted(self._values.keys() - images._values.keys()):
            raise InputError(
                f"{self._path}: image {others[0]!r} is not in {images._path.name}; "
                "add it or remove the line"
            )

    def items(self) -> Iterable[tuple[str, str]]:
        return self._values.items()

    def __getitem__(self, key: str) -> str:
        if key not in self._values:
            raise InputError(f"{self._path}: no line for {key!r}; add it or take the key out")
        return self._values[key]

    def choice(self, key: str, meanings: dict[str, bool]) -> bool:
        """The meaning of the value at `key`."""
        value = self[key]
        if value not in meanings:
            raise InputError(f"{self._path}: {key} has {value!r}; allowed: {', '.join(meanings)}")
        return meanings[value]

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """The `count` numbers at `key`."""
        values = self[key].split()
        try:
            numbers = tuple(pixels(value) for value in values)
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            raise InputError(f"{self._path}: {key} has {self[key]!r}, not {count} numbers")
        return numbers


def _records(
    folder: Path, short_side: int, classes: tuple[str, ...], entries: Sequence[_Entry]
) -> Iterator[Record]:
    """Yield the records of `entries`."""
    for entry in entries:
        source = f"{folder / 'bounding_boxes.txt'}: {entry.path}"
        if entry.name not in classes:
            raise InputError(f"{source}: class {entry.name!r} has no training image")
        label = classes.index(entry.name)
        image, width, height = photograph.load(folder / "images" / entry.path, short_side)
        record = Record(
            id=entry.id,
            image=image,
            width=width,
            height=height,
            labels=(label,),
            boxes_xyxy=clip_overlapping(_box(entry.xywh), width, height),
            box_labels=np.array([label], dtype=np.int64),
            difficult=np.zeros(1, dtype=bool),
        )
        validate(record, classes, source)
        yield record


def _box(xywh: tuple[float, ...]) -> np.ndarray:
    """(1, 4) half-open corners."""
    x, y, w, h = xywh
    return np.array([[x, y, x + w, y + h]], dtype=np.float32)
