"""The energy map of proposal boxes, and its Object Energy (SPN Sec. 4.1, Table 1)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import box_array
from pipeline.evaluation.metrics.object_energy import object_energy
from pipeline.packed.proposals import Proposals
from pipeline.packed.record import Record

_AGAIN = "run `dvc repro -f --glob 'evaluate_*'`"


def energy_map(
    boxes_xyxy: ArrayLike, scores: ArrayLike, height: int, width: int
) -> NDArray[np.float64]:
    """Return the sum of the scores of the boxes that cover each pixel, (height, width).

    A box covers the pixels whose centre lies in it; what is outside the image is cut off. Where no
    box covers a pixel with a score above 0 the map is 1 everywhere: nothing is said of where
    objects are. It takes O(n + height * width): each box leaves its score at its four corners, and
    running sums along both axes spread it.

    Args:
        boxes_xyxy: (n, 4), half-open [x0, y0, x1, y1) in pixels; a box without area covers nothing.
        scores: (n,), at least 0.

    Raises:
        InputError: other shapes, values that are not finite, negative scores, a side below 1 px.
    """
    boxes, score = box_array(boxes_xyxy), np.asarray(scores, dtype=np.float64)
    _check(boxes, score, height, width)
    x0, y0, x1, y1 = np.ceil(boxes - 0.5).clip(0, [width, height] * 2).astype(np.int64).T
    covering = (x0 < x1) & (y0 < y1) & (score > 0)
    if not covering.any():
        return np.ones((height, width))
    corners = np.zeros((height + 1, width + 1))
    for y, x, sign in ((y0, x0, 1), (y0, x1, -1), (y1, x0, -1), (y1, x1, 1)):
        np.add.at(corners, (y[covering], x[covering]), sign * score[covering])
    energy: NDArray[np.float64] = corners.cumsum(axis=0).cumsum(axis=1)[:height, :width]
    return energy.clip(min=0)  # rounding can leave -1e-16 where no box is


def object_energies(
    proposals: Sequence[Proposals], records: Sequence[Record]
) -> NDArray[np.float64]:
    """Return the Object Energy of each image, percent, (n,); NaN where it has no objects.

    Args:
        proposals: those of each record, in the order of the records.

    Raises:
        InputError: the proposals are of other images, or as `energy_map`.
    """
    if len(proposals) != len(records):
        raise InputError(f"proposals of {len(proposals)} images for {len(records)}; {_AGAIN}")
    return np.array([_energy(*pair) for pair in zip(proposals, records, strict=True)], np.float64)


def _energy(proposals: Proposals, record: Record) -> float:
    if proposals.id != record.id:
        raise InputError(f"proposals of image {proposals.id} for image {record.id}; {_AGAIN}")
    if not len(record.boxes_xyxy):
        return float("nan")
    size = record.height, record.width
    return object_energy(
        energy_map(proposals.boxes_xyxy, proposals.scores, *size), record.boxes_xyxy
    )


def _check(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], height: int, width: int
) -> None:
    if height < 1 or width < 1:
        raise InputError(f"energy map of {height} x {width} px: sides are at least 1 px")
    if scores.shape != (len(boxes),):
        raise InputError(f"scores of shape {scores.shape}: one for each of {len(boxes)} boxes")
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise InputError("proposals hold values that are not finite")
    if (scores < 0).any():
        raise InputError(f"proposals hold the score {scores.min()}: scores must not be negative")
