"""Points and boxes on test pictures (SPN Fig. 7 and 8, SPG Fig. 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.evaluation.localization.boxes import iou_xyxy
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.metrics.pointing import is_hit
from pipeline.evaluation.protocol.answer import Answer
from pipeline.packed.proposals import Proposals
from pipeline.packed.record import Record
from pipeline.params import EvaluateParams
from pipeline.reporting.examples import Panels
from pipeline.reporting.figures import Panel, Point, draw_examples
from pipeline.reporting.illustrations.choosing import RULE
from pipeline.reporting.illustrations.listing import (
    BOXES,
    NO_BOXES,
    OWN_SCALE,
    Illustration,
    absent,
)

Networks = Mapping[str, Mapping[str, Prediction]]
"""Predictions of the pictures shown, by their ids, by the name of the network."""

Records = Mapping[int, Record]
"""The picture that is shown for each class."""


def pointing(
    path: Path,
    records: Records,
    networks: Networks,
    classes: Sequence[str],
    panels: Panels,
    params: EvaluateParams,
) -> Illustration:
    """Draw the point of maximum response of each network on hard pictures (SPN Fig. 7)."""
    title = "SPN Fig. 7: pointing at small objects among others"
    if not records:
        return absent(title, "No test picture shows a small object beside one of another class.")
    rows = {"image": [panels.panel(record, label=label) for label, record in records.items()]}
    for name, predictions in networks.items():
        rows[f"{name} response"] = [
            _pointed(record, label, predictions[record.id], panels, params)
            for label, record in records.items()
        ]
    draw_examples(path, [classes[label] for label in records], rows)
    return Illustration(
        path,
        title,
        "Test pictures with the response map of each network and the point of its maximum.",
        "The first test picture of each class that covers less than a quarter of it and is not "
        "alone (the difficult subset of SPN Table 2). Circle: the point hits a box within "
        f"{params.pointing_tolerance:g} px; cross: it misses. {OWN_SCALE} Blue: true boxes.",
    )


def _pointed(
    record: Record, label: int, prediction: Prediction, panels: Panels, params: EvaluateParams
) -> Panel:
    point = Answer(prediction, record, panels.align_corners).point(label)
    panel = panels.panel(record, prediction.map_of(label), label=label)
    hit = is_hit(point, panel.true_xyxy, params.pointing_tolerance, params.pointing_rule)
    return replace(panel, points=(Point(*point, hit),), note="hit" if hit else "miss")


def boxes(
    path: Path,
    records: Records,
    networks: Networks,
    detectors: Mapping[str, Mapping[str, Proposals]],
    classes: Sequence[str],
    panels: Panels,
) -> Illustration:
    """Draw the mean-threshold box of each network, and what detectors say (SPN Fig. 8).

    Args:
        detectors: the one box of each class, by the ids of the pictures, by their names.
    """
    title = "SPN Fig. 8: bounding boxes"
    if not records:
        return absent(title, NO_BOXES)
    rows = {"image": [panels.panel(record, label=label) for label, record in records.items()]}
    for name, found in detectors.items():
        rows[name] = [
            judged(panels.panel(record, None, found[record.id].boxes_xyxy[label][None], label))
            for label, record in records.items()
        ]
    for name, predictions in networks.items():
        rows[f"{name} response"] = [
            judged(panels.mean_box(record, predictions[record.id].map_of(label), label))
            for label, record in records.items()
        ]
    draw_examples(path, [classes[label] for label in records], rows)
    return Illustration(
        path,
        title,
        f"Test pictures with true boxes and those of {', '.join([*detectors, *networks])}.",
        f"{RULE} The box of a network surrounds what is above the "
        f"mean of its response map (SPN Sec. 4.3). Below: IoU with the best true box. {OWN_SCALE} "
        f"{BOXES}",
    )


def attention(
    path: Path,
    records: Records,
    networks: Mapping[str, tuple[Mapping[str, Prediction], float | None]],
    classes: Sequence[str],
    panels: Panels,
) -> Illustration:
    """Draw the attention map of each network and its box (SPG Fig. 3).

    Args:
        networks: predictions and the threshold that was chosen for them, 0..1; None: there were no
            boxes to choose it by, and no box is drawn.
    """
    rows = {"image": [panels.panel(record) for record in records.values()]}
    for name, (predictions, threshold) in networks.items():
        rows[f"{name} attention"] = [
            judged(panels.component_box(record, predictions[record.id].map_of(label), threshold))
            for label, record in records.items()
        ]
    draw_examples(path, [classes[label] for label in records], rows)
    return Illustration(
        path,
        "SPG Fig. 3: attention maps and boxes",
        f"Test pictures with the attention map and the box of each of {', '.join(networks)}.",
        f"{RULE} A box surrounds the largest part of the map above "
        "the threshold that was chosen for the network (SPG Sec. 4.1). Below: IoU with the best "
        f"true box. {OWN_SCALE} {BOXES}",
    )


def judged(panel: Panel) -> Panel:
    """Return the panel with the IoU of its predicted box below, where there are boxes."""
    ious = iou_xyxy(panel.predicted_xyxy, panel.true_xyxy)
    return replace(panel, note=f"IoU {100 * ious.max():.0f} %") if ious.size else panel
