"""A tiny data set: grey pictures with coloured boxes, where the colour is the class."""

from collections.abc import Iterable, Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from pipeline.packed.record import Record, Task

COLOURS = ("red", "lime", "blue")


def coloured_box(number: int, task: Task) -> Record:
    """A 48 x 40 picture with a box of class `number` modulo 3, in its colour, and its annotation.

    On the multi-label track the odd ones have a box of the next class beside it, which is
    `difficult` in every other one of them.
    """
    label, other = number % 3, (number + 1) % 3
    boxes, labels = [[4 + number % 5, 6, 22, 30]], [label]
    if task == "multi" and number % 2:
        boxes, labels = [*boxes, [30, 18, 46, 38]], [label, other]
    difficult = [False, number % 4 == 1][: len(boxes)]
    picture = Image.new("RGB", (48, 40), "gray")
    for (x0, y0, x1, y1), c in zip(boxes, labels, strict=True):
        ImageDraw.Draw(picture).rectangle([x0, y0, x1 - 1, y1 - 1], fill=COLOURS[c])
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    known = {c for c, hard in zip(labels, difficult, strict=True) if not hard}
    return Record(
        id=f"{number:03}",
        image=buffer.getvalue(),
        width=48,
        height=40,
        labels=tuple(sorted(known)),
        boxes_xyxy=np.array(boxes, np.float32),
        box_labels=np.array(labels, np.int64),
        difficult=np.array(difficult, bool),
    )


def coloured_boxes(task: Task, numbers: Iterable[int]) -> Iterator[Record]:
    """The pictures of these numbers."""
    return (coloured_box(number, task) for number in numbers)
