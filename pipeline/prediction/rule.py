"""How a box comes from a map, and which map that is, as evaluation makes it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import LEVELS, mean_threshold_box
from pipeline.evaluation.localization.maps import Map, to_levels
from pipeline.evaluation.protocol.sources import ATTENTION, DEFAULT, GUIDED, RECOMMENDED
from pipeline.models.folder import Description
from pipeline.packed.record import Boxes
from pipeline.params import SpgParams

MEAN = "the mean of each map"
"""Where the threshold comes from when nothing has chosen one."""

UNCHOSEN = {DEFAULT: 0.5}
"""Thresholds by map where nothing has chosen one; for the other maps the mean decides.

The best of eight shares of the range of attention + guidance on 100 photographs of animals of
VOC2012, SPG trained on 300 others: 59 % of them have a box with IoU >= 0.5, and 45 % at the mean.
The 59 % are of the pictures that chose it; of 200 others, SPG trained on another 300, 53 % have it.
"""


@dataclass(frozen=True)
class BoxRule:
    """Which map a box is taken from, and which of its pixels the box surrounds.

    Attributes:
        threshold: share of the map's range, 0..1: the box is that of the largest part from there on
            (SPG Sec. 4.1); None: that of all pixels above the map's mean (SPN Sec. 4.3).
        origin: where the threshold comes from, in words.
        source: the map: the class's own (ATTENTION), or for SPG as `spg.localize_from` names it.
    """

    threshold: float | None = None
    origin: str = MEAN
    source: str = ATTENTION

    def box(self, response: Map) -> Boxes:
        """Return the box (4,) of such a map (H, W), in its pixels."""
        if self.threshold is None:
            return mean_threshold_box(response)
        return component_box(to_levels(response), round(self.threshold * (LEVELS - 1)))

    def __str__(self) -> str:
        of = "" if self.source == ATTENTION else f"in {self.source}, "
        if self.threshold is None:
            return f"{of}all pixels above {self.origin}"
        share = f"{self.threshold:.3g} of the map's range"
        return f"{of}the largest part from {share} on ({self.origin})"


def component_box(levels: NDArray[np.uint8], level: int) -> Boxes:
    """Return row `level` of `component_boxes` (4,), for a (H, W) map.

    Of one level alone, in one reading of the pixels; all 256 take seconds for a photograph of 12
    megapixels.
    """
    return _largest_part(levels, min(level, levels.max())).astype(np.float32)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _largest_part(levels: NDArray[np.uint8], level: int) -> NDArray[np.int32]:
    """Return the box (4,) of the largest 8-connected part of {levels >= level}.

    Runs of such pixels are joined with those of the row above that they touch. The first run of a
    part stands for all of it, and so the first of equally large parts is found.
    """
    height, width = levels.shape
    most = height * ((width + 1) // 2)
    runs, boxes = np.empty((most, 2), np.int32), np.empty((most, 4), np.int32)
    root, size = np.empty(most, np.int32), np.empty(most, np.int32)
    count = above = 0
    for y in range(height):
        row, first, x = levels[y], count, 0
        while x < width:
            if row[x] < level:
                x += 1
                continue
            left = x
            while x < width and row[x] >= level:
                x += 1
            runs[count, 0], runs[count, 1] = left, x
            boxes[count, 0], boxes[count, 1] = left, y
            boxes[count, 2], boxes[count, 3] = x, y + 1
            root[count], size[count] = count, x - left
            while above < first and runs[above, 1] < left:
                above += 1
            other = above
            while other < first and runs[other, 0] <= x:
                _join(root, size, boxes, other, count)
                other += 1
            count += 1
        above = first
    # The number of pixels of a part stands at its first run alone.
    return boxes[np.argmax(size[:count])]


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _join(
    root: NDArray[np.int32],
    size: NDArray[np.int32],
    boxes: NDArray[np.int32],
    one: int,
    other: int,
) -> None:
    """Let the parts of two runs be one."""
    while root[one] != one:
        one = root[one]
    while root[other] != other:
        root[other] = root[root[other]]
        other = root[other]
    if one == other:
        return
    kept, gone = min(one, other), max(one, other)
    root[gone] = kept
    size[kept] += size[gone]
    size[gone] = 0
    for axis in range(2):
        boxes[kept, axis] = min(boxes[kept, axis], boxes[gone, axis])
        boxes[kept, axis + 2] = max(boxes[kept, axis + 2], boxes[gone, axis + 2])


def rule_of(
    folder: Path, model: Description, threshold: float | None, source: str | None
) -> BoxRule:
    """Return the rule for a model's boxes.

    What is given goes before all. Otherwise map and threshold are those by which evaluation judges
    the model, if its scores lie beside the models (data/scores for data/models/<model>): of SPG
    those in compare.json of the map that `spg.localize_from` named, or of the map that is given; on
    the single-label track the threshold in <model>.json. Without such scores, or with those of
    another data set or seed, SPG's map is DEFAULT; and without a threshold, as when there were no
    boxes to choose it by, that of UNCHOSEN or the mean of each map decides.

    Raises:
        InputError: the threshold is out of range, the model has no such map, or the scores are
            damaged.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"threshold {threshold}: it is a share of a map's range, from 0 to 1")
    if source is not None and source not in (known := _sources(model)):
        raise InputError(
            f"boxes from {source!r}: {model.model} has boxes from {', '.join(known)} alone"
        )
    scores = _Scores(folder.absolute(), model)
    chosen = source or scores.source()
    return BoxRule(threshold, "as given", chosen) if threshold is not None else scores.rule(chosen)


def unchosen(source: str, reason: str = "") -> BoxRule:
    """Return the rule for boxes from a map where nothing has chosen a threshold."""
    threshold = UNCHOSEN.get(source)
    origin = MEAN if threshold is None else "nothing has chosen another"
    return BoxRule(threshold, origin + reason, source)


def _sources(model: Description) -> tuple[str, ...]:
    """Return the names of the maps that a model's boxes may come from."""
    if model.model != GUIDED:
        return (ATTENTION,)
    names: tuple[str, ...] = get_args(SpgParams.model_fields["localize_from"].annotation)
    return tuple(name for name in names if name != "c" or model.parameters["spg"]["with_c"])


class _Scores:
    """What evaluation has chosen for the model in `folder`, as far as it has been evaluated."""

    def __init__(self, folder: Path, model: Description) -> None:
        self._folder, self._model = folder.parents[1] / "scores", model
        self._known = folder.name == model.model

    def source(self) -> str:
        """Return the map that `spg.localize_from` named; ATTENTION for all models but SPG."""
        if self._model.model != GUIDED:
            return ATTENTION
        path = self._folder / "compare.json"
        with self._undamaged(path):
            found = {name: own for name, own in self._of_maps(path).items() if self._is_own(own)}
            if not found:
                return DEFAULT
            return str(found[RECOMMENDED]["source"]) if RECOMMENDED in found else ATTENTION

    def rule(self, source: str) -> BoxRule:
        """Return the rule for boxes from a map."""
        if self._model.track == "multi":
            return BoxRule()
        if source == ATTENTION:
            path = self._folder / f"{self._model.model}.json"
            scores = self._read(path)
        else:
            path = self._folder / "compare.json"
            scores = self._of_maps(path).get(f"{GUIDED}:{source}", {})
        if "threshold" not in scores:  # not evaluated, or no boxes to choose it by
            return unchosen(source)
        if not self._is_own(scores):
            return unchosen(source, f"; {path.name} is of another training")
        with self._undamaged(path):
            threshold = float(scores["threshold"])
        return BoxRule(threshold, f"chosen by evaluation, {path.name} in data/scores", source)

    def _of_maps(self, path: Path) -> dict[str, Any]:
        """Return the scores of boxes from other maps, by <model>:<map>."""
        content = self._read(path)
        with self._undamaged(path):
            return dict(content["sources"]) if content else {}

    def _read(self, path: Path) -> dict[str, Any]:
        """Return what a file of scores holds, nothing if there is none for this folder."""
        if not (self._known and path.exists()):
            return {}
        with self._undamaged(path):
            return dict(json.loads(path.read_bytes()))

    def _is_own(self, scores: Mapping[str, Any]) -> bool:
        """Tell whether scores are of this training: of its data set and seed."""
        model = self._model
        own = {"seed": model.seed, "dataset": model.data_set, "classes": list(model.classes)}
        return all(scores.get(key) == value for key, value in own.items())

    @property
    def _remedy(self) -> str:
        given = "--threshold" + " and --boxes-from" * (self._model.model == GUIDED)
        return f"run `dvc repro` to evaluate {self._model.model} again, or give {given}"

    @contextmanager
    def _undamaged(self, path: Path) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            told = f"damaged ({type(error).__name__}: {error})"
            raise InputError(f"{path}: {told}; {self._remedy}") from None
