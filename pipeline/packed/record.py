"""What every data set is turned into: records, in three splits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Task = Literal["multi", "single"]
Boxes = NDArray[np.float32]
"""Half-open [x0, y0, x1, y1) in pixels from 0."""
SPLITS = ("train", "val", "test")
IGNORED = 255
"""Pixels of a mask that count neither as object nor as background."""
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Record:
    """One picture and what is known about it.

    Attributes:
        id: unique within the data set.
        image: encoded JPEG or PNG; may be smaller than width x height.
        width, height: size of the original picture, px; boxes and mask refer to it.
        labels: image-level classes, ascending and unique, without classes that are present only
            as `difficult` objects.
        boxes_xyxy: (n, 4) float32, half-open [x0, y0, x1, y1) in original pixels from 0.
        box_labels: (n,) int64, indices of classes.
        difficult: (n,) bool.
        truncated: (n,) bool, whether the object goes on outside its box; None if unknown.
        mask: PNG, uint8 (height, width): 0 background, IGNORED, else an object; None if unknown.
    """

    id: str
    image: bytes
    width: int
    height: int
    labels: tuple[int, ...]
    boxes_xyxy: np.ndarray
    box_labels: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray | None = None
    mask: bytes | None = None


@dataclass(frozen=True)
class Split:
    """The records of a split, which can be made part by part and in any process.

    Attributes:
        make: yields the records of some of the keys, in their order, one at a time.
        keys: what each record is made from, picklable.
    """

    make: Callable[[Sequence[Any]], Iterator[Record]]
    keys: Sequence[Any]

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Record]:
        return self.make(self.keys)


@dataclass(frozen=True)
class Dataset:
    """A named collection of records.

    Attributes:
        name: shown in tables; a benchmark's name only if the pictures are that benchmark's.
        task: `multi` for several labels per picture, `single` for exactly one.
        classes: names, in the order of the labels.
        splits: one for each of `SPLITS`.
        short_side: photographs are stored with at most this short side, px; None: as they are.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    short_side: int | None = None


def validate(
    record: Record, classes: tuple[str, ...], source: str, file_adds: tuple[int, int] = (0, 0)
) -> None:
    """Check the objects of `record`.

    Args:
        source: the annotation file, for the message.
        file_adds: what the file's (xmin, ymin) and (xmax, ymax) exceed ours by, so that the
            message shows the values that the file has: (1, 0) in VOC, (0, -1) in ILSVRC.

    Raises:
        InputError: a box that is inverted, empty, outside the picture or no box of numbers, or a
            label that is no index of `classes`; objects are counted from 1.
    """
    shift = np.repeat(np.array(file_adds, dtype=np.float32), 2)
    shown = np.asarray(record.boxes_xyxy, dtype=np.float32) + shift
    for number, (box, values) in enumerate(zip(record.boxes_xyxy, shown, strict=True), start=1):
        fault = _box_fault(box, values, record.width, record.height)
        if fault:
            raise InputError(f"{source}: object {number} has {fault}; correct the annotation")
    for label in (*record.labels, *record.box_labels.tolist()):
        if not 0 <= label < len(classes):
            raise InputError(f"{source}: label {label} is none of the {len(classes)} classes")


def _box_fault(box: np.ndarray, values: np.ndarray, width: int, height: int) -> str | None:
    """What is wrong with `box`, in words and with the file's own `values`; None if nothing is."""
    named = dict(zip(_EDGES, (f"{value:g}" for value in values), strict=True))
    for axis, (low, high) in enumerate((("xmin", "xmax"), ("ymin", "ymax"))):
        if box[axis] >= box[axis + 2]:
            sign = ">" if values[axis] > values[axis + 2] else "="
            return f"{low} {named[low]} {sign} {high} {named[high]}"
    for edge, inside in zip(_EDGES, _inside(box, width, height), strict=True):
        if not inside:
            return f"{edge} {named[edge]} outside the {width} x {height} picture"
    return None


def _inside(box: np.ndarray, width: int, height: int) -> tuple[bool, bool, bool, bool]:
    """For each edge of a proper box whether it lies within the picture."""
    return box[0] >= 0, box[1] >= 0, box[2] <= width, box[3] <= height
