"""The convention of boxes of an independent evaluator, clovaai/wsolevaluation (Choe et al.).

It compares boxes in maps of 224 x 224 px: fractions of the true ones are cut off, found ones end at
pixel 223 at most, and 1 is added to the sides of both when the IoU is taken, as if their ends were
their last pixels. That is the IoU of half-open boxes whose ends lie 1 px farther.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.packed.record import Record

SIDE = 224


@dataclass(frozen=True)
class Squared:
    """The same pairs with images of 224 x 224 px and true boxes in that convention; no masks."""

    pairs: Pairs

    def __iter__(self) -> Iterator[tuple[Prediction, Record]]:
        for prediction, record in self.pairs:
            yield prediction, squared(record)


def squared(record: Record) -> Record:
    """Return a record whose image is 224 x 224 px, with half-open boxes that give that IoU."""
    sides = np.array([record.width, record.height] * 2, dtype=np.float64)
    # The authors' lists end at the last pixel of the image at most.
    last = np.minimum(record.boxes_xyxy.astype(np.float64), sides - 1)
    boxes = lengthened(np.trunc(last * SIDE / sides))
    return replace(record, width=SIDE, height=SIDE, boxes_xyxy=boxes.astype(np.float32), mask=None)


def found_edges(boxes_xyxy: NDArray[Any]) -> NDArray[Any]:
    """Return boxes (..., 4) of components of a 224 x 224 map in that convention."""
    return lengthened(np.minimum(boxes_xyxy, SIDE - 1))


def lengthened(boxes_xyxy: NDArray[Any]) -> NDArray[Any]:
    """Return boxes (..., 4) with ends 1 px farther."""
    return boxes_xyxy + np.array([0, 0, 1, 1], dtype=boxes_xyxy.dtype)
