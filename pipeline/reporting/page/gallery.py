"""Galleries: test pictures drawn at random, each with the maps, boxes and verdicts of methods."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.evaluation.localization.boxes import component_boxes, iou_xyxy, mean_threshold_box
from pipeline.evaluation.localization.maps import Map, normalise, to_levels
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.metrics.box_localization import MIN_IOU, is_located
from pipeline.evaluation.metrics.pointing import is_hit
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.multi_label import boxes_of
from pipeline.evaluation.protocol.sources import Source, attention
from pipeline.packed.record import Boxes, Record
from pipeline.packed.store import PackedSplit
from pipeline.params import EvaluateParams, Params, SpgParams
from pipeline.reporting.examples import predictions_of
from pipeline.reporting.page import encoding

PER_CLASS, MOST = 4, 40
RULE = (
    f"For each class {PER_CLASS} test pictures that show it were drawn at random (parameter "
    "`seed`); no result played a part, so hits and misses stand here as often as chance had it. "
    f"Of more than {MOST // PER_CLASS} classes those at even distances in the data set's order are "
    "shown."
)
_POINTING = (
    "A hit: the pixel of maximum response (the circle) lies on an object of the class, or within "
    "{tolerance:g} px of its box (SPN Table 2). The box holds all pixels above the "
    "mean response (SPN Sec. 4.3); its IoU stands beside the verdict."
)
_KNOWN_CLASS = (
    "A hit: the predicted box has an IoU of at least {iou} with a true box, the class being "
    "known (SPG Table 4). The box surrounds the largest part of the map above a threshold, which "
    "was chosen on the split `{split}`."
)
INPUT, RESPONSE, PROPOSAL = "input", "response", "proposal"
LAYERS = {
    INPUT: "Input",
    PROPOSAL: "Proposal",
    RESPONSE: "Response",
    "attention": "Attention",
    "mask-a": "Mask A",
    "b2": "B2",
    "b1": "B1",
    "c": "C",
    "source": "Map of the box",
}
"""What can be shown of a picture: key -> name, in the order in which it is offered."""


class Rectangle(NamedTuple):
    """A box in pixels of the original picture."""

    x: float
    y: float
    width: float
    height: float


class Picture(NamedTuple):
    """A data URI, and the size of the original picture, which boxes refer to."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class View:
    """What a method makes of a picture.

    Attributes:
        layers: key of `LAYERS` -> data URI of the map.
        main: the layer that box and point come from.
        point: the pixel (x, y) of the maximum, where that is judged.
        hit: whether it is right; None: the picture has no box of the class to judge it by.
        iou: of the box with the best true box; None as `hit`.
    """

    layers: Mapping[str, str]
    main: str
    box: Rectangle | None
    point: tuple[int, int] | None
    hit: bool | None
    iou: float | None

    @property
    def choices(self) -> dict[str, str]:
        """What can be shown: key -> name."""
        return {key: name for key, name in LAYERS.items() if key == INPUT or key in self.layers}


Look = Callable[[Answer, int], View]
"""An answer and the class that is asked for -> what the method makes of the picture."""


class Method(NamedTuple):
    """A method of a gallery; `twin` is the label of the one that it is compared with."""

    label: str
    twin: str | None
    predictions: Iterable[Prediction]
    view: Look


@dataclass(frozen=True)
class Item:
    """A picture, by its number in the gallery, and a class of it; `views` by method's label."""

    picture: int
    class_name: str
    boxes: tuple[Rectangle, ...]
    views: Mapping[str, View]

    def outcomes(self, method: Method) -> list[str]:
        """Return what filters find the view of a method by: hit or miss, gain or loss."""
        hit = self.views[method.label].hit
        if hit is None:
            return []
        found = ["hit" if hit else "miss"]
        other = self.views[method.twin].hit if method.twin else hit
        return found if other == hit else [*found, "gain" if hit else "loss"]


@dataclass(frozen=True)
class Gallery:
    """Items that share methods and what counts as a hit.

    `shown` is the label of the method that is seen first.
    """

    id: str
    title: str
    criterion: str
    methods: tuple[Method, ...]
    shown: str
    pictures: tuple[Picture, ...]
    items: tuple[Item, ...]

    @property
    def classes(self) -> list[str]:
        """The names of the classes that are shown."""
        return list(dict.fromkeys(item.class_name for item in self.items))

    @property
    def judged(self) -> bool:
        """Whether any picture has boxes to judge a method by."""
        return any(view.hit is not None for item in self.items for view in item.views.values())

    @property
    def layers(self) -> dict[str, str]:
        """The layers that any of the methods has, as `LAYERS`."""
        views = (view for item in self.items for view in item.views.values())
        present = {INPUT}.union(*(view.layers for view in views))
        return {key: name for key, name in LAYERS.items() if key in present}


def gallery(
    id: str,
    title: str,
    criterion: str,
    split: PackedSplit,
    methods: Sequence[Method],
    shown: str,
    params: Params,
) -> Gallery:
    """Return the gallery of a test split; pictures are chosen by `RULE`.

    Raises:
        InputError: a picture has no prediction, or a map that is not finite.
    """
    drawn = [(split[index], label) for index, label in draw(split, params.seed)]
    records = {record.id: record for record, _ in drawn}
    found = {m.label: predictions_of(records.values(), m.predictions) for m in methods}

    def item(record: Record, label: int) -> Item:
        answers = {
            name: Answer(own[record.id], record, params.input.align_corners)
            for name, own in found.items()
        }
        return Item(
            picture=list(records).index(record.id),
            class_name=split.classes[label],
            boxes=tuple(map(_rectangle, boxes_of(record, label))),
            views={m.label: m.view(answers[m.label], label) for m in methods},
        )

    pictures = tuple(
        Picture(encoding.picture(record), record.width, record.height)
        for record in records.values()
    )
    items = tuple(item(*each) for each in drawn)
    return Gallery(id, title, criterion, tuple(methods), shown, pictures, items)


def pointing_criterion(params: EvaluateParams) -> str:
    """Return what `pointing_view` counts as a hit, in words."""
    return _POINTING.format(tolerance=params.pointing_tolerance)


def box_criterion(params: EvaluateParams) -> str:
    """Return what the other views count as a hit, in words."""
    return _KNOWN_CLASS.format(iou=MIN_IOU, split=params.threshold_from)


def draw(split: PackedSplit, seed: int) -> list[tuple[int, int]]:
    """Return index and class of the items, by class, chosen by `RULE`."""
    holders: dict[int, list[int]] = {}
    for index, row in enumerate(split.columns("labels")):
        for label in row["labels"]:
            holders.setdefault(label, []).append(index)
    every, most = sorted(holders), MOST // PER_CLASS
    shown = [every[len(every) * i // most] for i in range(most)] if len(every) > most else every
    return [
        (int(index), label)
        for label in shown
        for index in sorted(
            np.random.default_rng([seed, label]).permutation(holders[label])[:PER_CLASS]
        )
    ]


def pointing_view(answer: Answer, label: int, params: Params) -> View:
    """Return response and proposal map, the point of the maximum and the mean-threshold box.

    The point is judged, as in SPN Table 2; the box is that of SPN Sec. 4.3.
    """
    response, true = answer.response(label), boxes_of(answer.record, label)
    evaluate, point = params.evaluate, answer.point(label)
    hit = is_hit(point, true, evaluate.pointing_tolerance, evaluate.pointing_rule)
    layers = _proposal(answer) | {RESPONSE: encoding.heat(response)}
    return _view(layers, RESPONSE, mean_threshold_box(response), true, hit, point)


def box_view(answer: Answer, _: int, threshold: float | None) -> View:
    """Return response and proposal map, and the box of the largest part above a threshold.

    The box is judged with the class known, as in SPG Table 4. Without a threshold, for want of
    boxes to choose it by, there is none.
    """
    layers = _proposal(answer) | {RESPONSE: encoding.heat(attention(answer))}
    return _box_view(answer, layers, RESPONSE, attention, threshold)


def guided_view(answer: Answer, _: int, threshold: float | None, params: SpgParams) -> View:
    """Return the same of SPG, with its masks: the attention's seeds, and the maps of branches."""
    values = attention(answer)
    layers = {"attention": encoding.heat(values), "mask-a": encoding.mask(_seeds(values, params))}
    for name in ("b2", "b1", "c"):
        if name in answer.prediction.guidance:
            own = answer.at_image_size(answer.prediction.guidance[name])
            layers[name] = encoding.probabilities(own)
    return _box_view(answer, layers, "attention", attention, threshold)


def source_view(answer: Answer, _: int, threshold: float, source: Source) -> View:
    """Return the map of another source, and its box."""
    layers = {"source": encoding.heat(source(answer))}
    return _box_view(answer, layers, "source", source, threshold)


def _box_view(
    answer: Answer,
    layers: Mapping[str, str],
    main: str,
    source: Source,
    threshold: float | None,
) -> View:
    true = answer.record.boxes_xyxy
    if threshold is None:
        return _view(layers, main, None, true, None)
    box = component_boxes(to_levels(source(answer)))[round(threshold * 255)]
    return _view(layers, main, box, true, is_located(box, true))


def _view(
    layers: Mapping[str, str],
    main: str,
    box: Boxes | None,
    true: Boxes,
    hit: bool | None,
    point: tuple[int, int] | None = None,
) -> View:
    ordered = {key: layers[key] for key in LAYERS if key in layers}
    judged = box is not None and len(true) > 0
    iou = float(iou_xyxy(box[None], true).max()) if box is not None and judged else None
    shown = None if box is None else _rectangle(box)
    return View(ordered, main, shown, point, hit if judged else None, iou)


def _proposal(answer: Answer) -> dict[str, str]:
    values = answer.prediction.proposal_map
    return {} if values is None else {PROPOSAL: encoding.heat(answer.at_image_size(values))}


def _seeds(attention_map: Map, params: SpgParams) -> np.ndarray:
    """The seeds of SPG Eq. (1), without the rescue of pictures that have none."""
    values = normalise(attention_map)
    seeds = np.full(values.shape, encoding.IGNORED, np.uint8)
    seeds[values > params.delta_h] = encoding.FOREGROUND
    seeds[values < params.delta_l] = encoding.BACKGROUND
    return seeds


def _rectangle(box_xyxy: Boxes) -> Rectangle:
    x0, y0, x1, y1 = (float(value) for value in box_xyxy)
    return Rectangle(x0, y0, x1 - x0, y1 - y0)
