"""The figures of a folder of maps, by the functions that judge the pipeline's own networks."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.difficult import difficult_subset
from pipeline.evaluation.protocol.estimates import Figures, Judged, measure, merged
from pipeline.evaluation.protocol.multi_label import Pointing, boxes_of_maps, cor_loc_figures
from pipeline.evaluation.protocol.object_energy import ObjectEnergy
from pipeline.evaluation.protocol.single_label import single_label_figures
from pipeline.params import Params
from pipeline.scoring.map_folder import MapFolder
from pipeline.scoring.wsolevaluation import Squared, found_edges

Convention = Literal["half-open", "wsolevaluation"]


class Row(NamedTuple):
    """A figure of the table, percent with its 95 % interval, over n images or pairs."""

    figure: str
    value: float
    low: float
    high: float
    n: int


NAMES = {
    "pointing.all": ("Pointing, all ↑", "pointing_all"),
    "pointing.difficult": ("Pointing, difficult ↑", "pointing_difficult"),
    "center_pointing.all": ("control: image centre, pointing, all ↑", "pointing_all"),
    "cor_loc.mean": ("CorLoc ↑", "cor_loc"),
    "max_box_acc": ("MaxBoxAcc ↑", "test"),
    "max_box_acc_v2": ("MaxBoxAccV2 ↑", "test"),
    "max_box_acc_30": ("MaxBoxAccV2 at IoU 0.3 ↑", "test"),
    "max_box_acc_70": ("MaxBoxAccV2 at IoU 0.7 ↑", "test"),
    "gt_known_error": ("GT-known error ↓", "test"),
    "mean_box_error": ("Box error, mean threshold ↓", "test"),
    "px_ap": ("PxAP ↑", "masks"),
    "mask_iou": ("Mask IoU ↑", "masks"),
    "object_energy.model": ("Object Energy ↑", "energy"),
    "object_energy.gaussian_20": ("control: centred Gaussian of 0.20, Object Energy ↑", "energy"),
    "object_energy.uniform": ("control: uniform map, Object Energy ↑", "energy"),
}
"""Key of a score -> its name in the table, and what counts its images."""


def scores_of_maps(
    maps: MapFolder, tuning: MapFolder | None, convention: Convention, params: Params
) -> Figures:
    """Return all figures of `maps`, with intervals; those that the data cannot tell are left out.

    Pointing and CorLoc for all data, Object Energy for maps that can have one, and boxes by
    threshold, with PxAP where there are masks, for data of one class an image.

    Args:
        tuning: maps of other images, which choose thresholds; None: the judged ones choose.
        convention: how the boxes of thresholds are compared with true ones.

    Raises:
        InputError: there is nothing to judge by; maps are of images that `difficult_from` lacks.
    """
    parts = [_points(maps, params), _mean_boxes(maps, params)]
    if maps.truth.task == "single":
        parts += _threshold_boxes(maps, tuning, convention, params)
    return merged(parts, params)


def rows(scores: Figures) -> Iterator[Row]:
    """Yield the figures that `scores` has, in the order of the table."""
    for key, (name, n) in NAMES.items():
        found = _at(scores, key)
        if found is not None:
            boxed = scores["n"].get(f"{n}_boxed", scores["n"][n])
            yield Row(name, found["value"], found["low"], found["high"], boxed)


def _points(maps: MapFolder, params: Params) -> Judged:
    """Pointing, its control, and Object Energy."""
    classes = maps.truth.classes
    difficult = difficult_subset(params.evaluate.difficult_list, classes)
    pointing = Pointing("pointing", Answer.point, difficult, classes, params.evaluate)
    centre = Pointing("center_pointing", Answer.centre, difficult, classes, params.evaluate)
    measures = (pointing, centre, ObjectEnergy(params.seed))
    figures, images = measure(maps, measures, params.input)
    boxed = sum(len(record.boxes_xyxy) > 0 for record in maps.truth.records)
    return Judged(figures, images, {"n": pointing.counts() | {"energy": boxed}})


def _mean_boxes(maps: MapFolder, params: Params) -> Judged:
    """CorLoc."""
    located = boxes_of_maps(maps, params.input)
    found = cor_loc_figures(located, ("cor_loc",), maps.truth.classes)
    counts = found.fixed["n"]
    return found._replace(
        fixed={"n": {"cor_loc": counts.get("trainval_boxed", counts["trainval"])}}
    )


def _threshold_boxes(
    maps: MapFolder, tuning: MapFolder | None, convention: Convention, params: Params
) -> Iterator[Judged]:
    """GT-known error, MaxBoxAcc of both versions, and figures of masks; no class is ranked.

    A later part stands for the same figures of an earlier one.
    """
    classes = maps.truth.classes
    masks = sum(record.mask is not None for record in maps.truth.records)
    if convention == "half-open" or masks:
        chosen = maps if tuning is None else tuning
        found = single_label_figures(maps, chosen, classes, params.input)
        yield found._replace(fixed=found.fixed | {"n": found.fixed["n"] | {"masks": masks}})
    if convention == "wsolevaluation":
        own = Squared(maps)
        other = own if tuning is None else Squared(tuning)
        yield single_label_figures(own, other, classes, params.input, found_edges)


def _at(scores: Figures, key: str) -> Any:
    """Follow a dotted key; None where it leads nowhere."""
    found: Any = scores
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
