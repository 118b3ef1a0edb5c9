"""A few test pictures with the maps and boxes of the networks that are compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import component_boxes, mean_threshold_box
from pipeline.evaluation.localization.maps import resize_map, to_levels
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.packed.record import Record
from pipeline.reporting.figures import Panel

COUNT = 6
RULE = (
    f"The {COUNT} pictures stand at even distances in the test split; no result decided. "
    "Of several classes present, the first in the data set's order is shown."
)
# Branches of SPG in the order of SPG Fig. 4; C is absent in the ablation without it.
_BRANCHES = ("b2", "b1", "c")
_NO_BOXES = np.zeros((0, 4), dtype=np.float32)

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Gallery:
    """A grid of panels: a title for each column, and one panel per column for each row's label."""

    columns: tuple[str, ...]
    rows: dict[str, list[Panel]]


def choose(records: Sequence[Record]) -> list[Record]:
    """Return at most `COUNT` records at even distances, each the next one that has a label."""
    chosen: dict[str, Record] = {}
    for start in (len(records) * i // COUNT for i in range(COUNT)):
        rest = (records[i] for i in range(start, len(records)))
        record = next((record for record in rest if record.labels), None)
        if record:
            chosen[record.id] = record
    return list(chosen.values())


def multi_gallery(
    records: Sequence[Record],
    classes: Sequence[str],
    cam: Iterable[Prediction],
    spn: Iterable[Prediction],
) -> Gallery:
    """Return picture, CAM's response map, SPN's proposal map M and response map of each record.

    Predicted boxes are the mean-threshold boxes of SPN Sec. 4.3.

    Raises:
        InputError: a record has no test prediction.
    """
    cams, spns = _predictions_of(records, cam), _predictions_of(records, spn)
    rows = [
        [
            _panel(record),
            _mean_panel(record, cams[record.id].map_of(record.labels[0])),
            _panel(record, spns[record.id].proposal_map),
            _mean_panel(record, spns[record.id].map_of(record.labels[0])),
        ]
        for record in records
    ]
    columns = ("image", "CAM response", "SPN proposal map M", "SPN response")
    return Gallery(columns, _labelled(records, classes, rows))


def single_gallery(
    records: Sequence[Record],
    classes: Sequence[str],
    plain: tuple[Iterable[Prediction], float],
    spg: tuple[Iterable[Prediction], float],
) -> Gallery:
    """Return picture, both attention maps and SPG's branches of each record, after SPG Fig. 4.

    `plain` and `spg` are predictions and the threshold chosen for them, 0..1 of the normalised
    map. Predicted boxes surround the largest component above it (SPG Sec. 4.1).

    Raises:
        InputError: a record has no test prediction.
    """
    plains, spgs = _predictions_of(records, plain[0]), _predictions_of(records, spg[0])
    present = {name for prediction in spgs.values() for name in prediction.guidance}
    branches = [name for name in _BRANCHES if name in present]
    rows = [
        [
            _panel(record),
            _component_panel(record, plains[record.id].map_of(record.labels[0]), plain[1]),
            _component_panel(record, spgs[record.id].map_of(record.labels[0]), spg[1]),
            *(_panel(record, spgs[record.id].guidance[name]) for name in branches),
        ]
        for record in records
    ]
    columns = ("image", "SPG-plain attention", "SPG attention", *map(str.upper, branches))
    return Gallery(columns, _labelled(records, classes, rows))


def _labelled(
    records: Sequence[Record], classes: Sequence[str], rows: Sequence[list[Panel]]
) -> dict[str, list[Panel]]:
    """Name rows by number and class; the number keeps equal classes apart."""
    names = (f"{i}: {classes[record.labels[0]]}" for i, record in enumerate(records, start=1))
    return dict(zip(names, rows, strict=True))


def _mean_panel(record: Record, response: Map) -> Panel:
    box = mean_threshold_box(resize_map(response, record.height, record.width))
    return _panel(record, response, box[None])


def _component_panel(record: Record, attention: Map, threshold: float) -> Panel:
    levels = to_levels(resize_map(attention, record.height, record.width))
    return _panel(record, attention, component_boxes(levels)[round(threshold * 255)][None])


def _panel(
    record: Record, heat: Map | None = None, predicted_xyxy: NDArray[np.float32] = _NO_BOXES
) -> Panel:
    """The record with a (h, w) map over it and the boxes of its first label."""
    image = np.asarray(Image.open(BytesIO(record.image)).convert("RGB"))
    height, width = image.shape[:2]
    return Panel(
        image=image,
        size=(record.width, record.height),
        heat=None if heat is None else resize_map(heat, height, width),
        true_xyxy=record.boxes_xyxy[record.box_labels == record.labels[0]],
        predicted_xyxy=predicted_xyxy,
    )


def _predictions_of(
    records: Iterable[Record], predictions: Iterable[Prediction]
) -> Mapping[str, Prediction]:
    """The test predictions by the id of the records, all of which must be there."""
    wanted = {record.id for record in records}
    found = {p.id: p for p in predictions if p.split == "test" and p.id in wanted}
    if missing := wanted - found.keys():
        raise InputError(
            f"predictions: no test picture {min(missing)}; run `dvc repro -f --glob 'evaluate*'`"
        )
    return found
