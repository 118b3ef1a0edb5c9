"""What maps are judged by: a packed split, or a file of boxes without pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.datasets.box_list import Annotated
from pipeline.datasets.coco_boxes import boxes_in
from pipeline.errors import InputError
from pipeline.packed.record import Record, Task
from pipeline.packed.store import PackedSplit

NO_CLASS = "object"
"""The class of boxes that have none."""


@dataclass(frozen=True)
class Truth:
    """Images and their objects.

    Attributes:
        name: for messages and the table.
        task: `single` if each image has exactly one class.
        records: can be iterated over more than once; each has a label or a box.
        unjudged: names of further images, which have no boxes: they may have maps.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    records: Iterable[Record]
    unjudged: frozenset[str] = frozenset()


def read_truth(path: Path, convention: str) -> Truth:
    """Return the images of a packed split (a folder), or of boxes: COCO (.json), else a CSV list.

    Args:
        convention: how a CSV list counts pixels, one of `box_list.PIXELS`.

    Raises:
        InputError: the path is missing, no such folder or file, or has no box.
    """
    if path.is_dir():
        split = PackedSplit(path)
        return Truth(f"{split.name} ({split.split})", split.task, split.classes, split)
    images = boxes_in(path, convention)
    boxed = {name: own for name, own in images.items() if own.boxes_xyxy}
    if not boxed:
        raise InputError(f"{path}: no image has a box; annotate some")
    classes = tuple(sorted({name or NO_CLASS for own in boxed.values() for name in own.classes}))
    number = {name: label for label, name in enumerate(classes)}
    records = [_record(name, own, number) for name, own in boxed.items()]
    task: Task = "single" if all(len(record.labels) == 1 for record in records) else "multi"
    return Truth(path.name, task, classes, records, frozenset(images.keys() - boxed.keys()))


def _record(name: str, own: Annotated, number: dict[str, int]) -> Record:
    labels = [number[each or NO_CLASS] for each in own.classes]
    return Record(
        id=name,
        image=b"",
        width=own.width,
        height=own.height,
        labels=tuple(sorted(set(labels))),
        boxes_xyxy=np.array(own.boxes_xyxy, dtype=np.float32),
        box_labels=np.array(labels, dtype=np.int64),
        difficult=np.zeros(len(labels), dtype=bool),
    )
