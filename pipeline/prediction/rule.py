"""How a box comes from a response map, as evaluation makes it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import LEVELS, mean_threshold_box
from pipeline.evaluation.localization.maps import Map, to_levels
from pipeline.models.folder import Description
from pipeline.packed.record import Boxes

MEAN = "the mean of each map"
"""Where the threshold comes from when nothing has chosen one."""


@dataclass(frozen=True)
class BoxRule:
    """Which pixels of a map its box surrounds.

    Attributes:
        threshold: share of the map's range, 0..1: the box is that of the largest part from there on
            (SPG Sec. 4.1); None: that of all pixels above the map's mean (SPN Sec. 4.3).
        origin: where the threshold comes from, in words.
    """

    threshold: float | None = None
    origin: str = MEAN

    def box(self, response: Map) -> Boxes:
        """Return the box (4,) of a response map (H, W), in its pixels."""
        if self.threshold is None:
            return mean_threshold_box(response)
        return component_box(to_levels(response), round(self.threshold * (LEVELS - 1)))

    def __str__(self) -> str:
        if self.threshold is None:
            return f"all pixels above {self.origin}"
        return f"the largest part from {self.threshold:.3g} of the map's range on ({self.origin})"


def component_box(levels: NDArray[np.uint8], level: int) -> Boxes:
    """Return row `level` of `component_boxes` (4,), for a (H, W) map.

    Of one level alone: of 256 they take seconds for a photograph of 12 megapixels, this takes a
    twentieth.
    """
    foreground = (levels >= min(level, levels.max())).astype(np.uint8)
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # the background
    largest = np.isin(parts, np.flatnonzero(areas == areas.max()))
    part = parts.flat[int(largest.argmax())]  # of equally large ones that of the first pixel
    left, top, width, height, _ = statistics[part]
    return np.array([left, top, left + width, top + height], dtype=np.float32)


def rule_of(folder: Path, model: Description, threshold: float | None) -> BoxRule:
    """Return the rule for a model's boxes.

    A threshold that is given goes before all. Otherwise it is the one by which evaluation judges
    the model: on the single-label track the one that stage evaluate chose, if its scores lie beside
    the models (data/scores/<model>.json for data/models/<model>), else the mean of each map.

    Raises:
        InputError: the threshold is out of range, or the scores are damaged or of another model.
    """
    if threshold is not None:
        if not 0 <= threshold <= 1:
            raise InputError(f"threshold {threshold}: it is a share of a map's range, from 0 to 1")
        return BoxRule(threshold, "as given")
    scores = folder.absolute().parents[1] / "scores" / f"{model.model}.json"
    if model.track == "multi" or folder.absolute().name != model.model or not scores.exists():
        return BoxRule()
    return BoxRule(_chosen(scores, model), f"chosen by evaluation, {scores.name} in data/scores")


def _chosen(path: Path, model: Description) -> float:
    """Return the threshold that evaluation chose for `model`."""
    remedy = f"run `dvc repro` to evaluate {model.model} again, or give --threshold"
    try:
        scores: Any = json.loads(path.read_bytes())
        found = [scores[key] for key in ("model", "seed", "dataset", "classes", "threshold")]
        threshold = float(found.pop())
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); {remedy}") from None
    if found != [model.model, model.seed, model.data_set, list(model.classes)]:
        raise InputError(f"{path}: the scores of another training; {remedy}")
    return threshold
