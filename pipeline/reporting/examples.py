"""A few test pictures with the maps and boxes of the networks that are compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import component_boxes, mean_threshold_box
from pipeline.evaluation.localization.maps import resize_map, to_levels
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.sources import Source
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
    align_corners: bool = False,
) -> Gallery:
    """Return picture, CAM's response map, SPN's proposal map M and response map of each record.

    Predicted boxes are the mean-threshold boxes of SPN Sec. 4.3; maps are resized as
    `input.align_corners` says.

    Raises:
        InputError: a record has no test prediction.
    """
    cams, spns = predictions_of(records, cam), predictions_of(records, spn)
    panels = Panels(align_corners)
    rows = [
        [
            panels.panel(record),
            panels.mean_box(record, cams[record.id].map_of(record.labels[0])),
            panels.panel(record, spns[record.id].proposal_map),
            panels.mean_box(record, spns[record.id].map_of(record.labels[0])),
        ]
        for record in records
    ]
    columns = ("image", "CAM response", "SPN proposal map M", "SPN response")
    return Gallery(columns, _labelled(records, classes, rows))


def single_gallery(
    records: Sequence[Record],
    classes: Sequence[str],
    plain: tuple[Iterable[Prediction], float | None],
    spg: tuple[Iterable[Prediction], float | None],
    recommended: tuple[Source, float] | None = None,
    align_corners: bool = False,
) -> Gallery:
    """Return picture, both attention maps and SPG's branches of each record, after SPG Fig. 4.

    `plain` and `spg` are predictions and the threshold chosen for them, 0..1 of the normalised
    map; without one, for want of boxes to choose it by, no box is predicted. `recommended` is the
    source of SPG's recommended boxes, where that is not the attention, and its threshold. Predicted
    boxes surround the largest component above it (SPG Sec. 4.1); maps are resized as
    `input.align_corners` says.

    Raises:
        InputError: a record has no test prediction.
    """
    plains, spgs = predictions_of(records, plain[0]), predictions_of(records, spg[0])
    present = {name for prediction in spgs.values() for name in prediction.guidance}
    branches = [name for name in _BRANCHES if name in present]
    panels = Panels(align_corners)
    chosen = [recommended] if recommended else []
    rows = [
        [
            panels.panel(record),
            panels.component_box(record, plains[record.id].map_of(record.labels[0]), plain[1]),
            panels.component_box(record, spgs[record.id].map_of(record.labels[0]), spg[1]),
            *(panels.panel(record, spgs[record.id].guidance[name]) for name in branches),
            *(
                panels.component_box(
                    record, source(Answer(spgs[record.id], record, align_corners)), threshold
                )
                for source, threshold in chosen
            ),
        ]
        for record in records
    ]
    last = ["SPG recommended"] if recommended else []
    columns = ("image", "SPG-plain attention", "SPG attention", *map(str.upper, branches), *last)
    return Gallery(columns, _labelled(records, classes, rows))


def _labelled(
    records: Sequence[Record], classes: Sequence[str], rows: Sequence[list[Panel]]
) -> dict[str, list[Panel]]:
    """Name rows by number and class; the number keeps equal classes apart."""
    names = (f"{i}: {classes[record.labels[0]]}" for i, record in enumerate(records, start=1))
    return dict(zip(names, rows, strict=True))


class Panels:
    """Panels of records, their maps resized as `input.align_corners` says."""

    def __init__(self, align_corners: bool) -> None:
        self.align_corners = align_corners
        self._resize = partial(resize_map, align_corners=align_corners)

    def mean_box(self, record: Record, response: Map, label: int | None = None) -> Panel:
        """The record with the response map of a label and its mean-threshold box."""
        box = mean_threshold_box(self._resize(response, record.height, record.width))
        return self.panel(record, response, box[None], label)

    def component_box(self, record: Record, attention: Map, threshold: float | None) -> Panel:
        """The record with its attention map and the box of the largest part above a threshold."""
        if threshold is None:
            return self.panel(record, attention)
        levels = to_levels(self._resize(attention, record.height, record.width))
        return self.panel(record, attention, component_boxes(levels)[round(threshold * 255)][None])

    def panel(
        self,
        record: Record,
        heat: Map | None = None,
        predicted_xyxy: NDArray[np.float32] = _NO_BOXES,
        label: int | None = None,
    ) -> Panel:
        """The record with a (h, w) map over it and the boxes of a label, by default its first."""
        shown = record.labels[0] if label is None else label
        image = np.asarray(Image.open(BytesIO(record.image)).convert("RGB"))
        height, width = image.shape[:2]
        return Panel(
            image=image,
            size=(record.width, record.height),
            heat=None if heat is None else self._resize(heat, height, width),
            true_xyxy=record.boxes_xyxy[record.box_labels == shown],
            predicted_xyxy=predicted_xyxy,
        )


def predictions_of(
    records: Iterable[Record], predictions: Iterable[Prediction]
) -> Mapping[str, Prediction]:
    """Return the test predictions by the id of the records, all of which must be there."""
    wanted = {record.id for record in records}
    found = {p.id: p for p in predictions if p.split == "test" and p.id in wanted}
    if missing := wanted - found.keys():
        raise InputError(
            f"predictions: no test picture {min(missing)}; run `dvc repro -f --glob 'evaluate*'`"
        )
    return found
