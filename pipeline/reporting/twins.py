"""The papers' ideas against their twins: the same network without the idea."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import atomic_path
from pipeline.methods.registry import MODELS
from pipeline.reporting.tables import (
    Grid,
    Scores,
    absence,
    counted,
    find,
    finite,
    markdown_grid,
    score,
)

HOW_TO_READ = (
    "Percent, and percentage points of difference; the arrow says what is better. In brackets: the "
    "95 % interval of the difference over images (paired bootstrap: the same images are drawn for "
    "both). Where it holds 0 the images do not tell the two apart. It holds no spread of trainings."
)


@dataclass(frozen=True)
class Figure:
    """A figure that a model and its twin are compared by.

    `table` is the papers' table that has it; `key` and `n` are where scores have the figure, and
    the number of images (or pairs) behind it. `boxes`: it needs annotated boxes.
    """

    name: str
    table: str
    key: str
    n: str = "test"
    boxes: bool = True


_POINTING = Figure("Pointing, all ↑", "SPN 2", "pointing.all", "pointing_all")
_DIFFICULT = Figure("Pointing, difficult ↑", "SPN 2", "pointing.difficult", "pointing_difficult")
_PREDICTION = Figure("Pointing with prediction, mAP ↑", "SPN 3", "pointing_with_prediction_map")
_COR_LOC = Figure("CorLoc ↑", "SPN 4", "cor_loc.mean", "trainval")
_CLASSIFICATION = Figure("Classification mAP ↑", "SPN 6", "classification_map", boxes=False)
_MEAN_BOX = Figure("Box error, mean threshold ↓", "SPN 5", "mean_box_error")
_KNOWN_CLASS = Figure("GT-known error ↓", "SPG 4", "gt_known_error")
_TOP_1 = Figure("Top-1 localization error ↓", "SPG 1", "top1_localization_error")
_TOP_1_CLASS = Figure(
    "Top-1 classification error ↓", "SPG 3", "top1_classification_error", boxes=False
)

PAPERS = {
    "spn_multi": (_POINTING, _DIFFICULT, _PREDICTION, _COR_LOC, _CLASSIFICATION),
    "spn_single": (_MEAN_BOX, _KNOWN_CLASS),
    "spg": (_KNOWN_CLASS, _TOP_1, _TOP_1_CLASS),
}
"""What the papers' own models are compared by; of the others `FURTHER` that they have."""

FURTHER = (*PAPERS["spn_multi"], *PAPERS["spg"])
COLUMNS = ("figure", "model", "twin", "dataset", "network", "seed", "n", "value", "low", "high")


@dataclass(frozen=True)
class Difference:
    """Model - twin in percentage points, with its 95 % interval over images.

    Where there is nothing to judge by, all numbers but `n` are None and `absent` says what is
    missing.
    """

    figure: Figure
    model: str
    label: str
    method: float | None
    twin: float | None
    value: float | None
    low: float | None
    high: float | None
    n: int
    dataset: str
    network: str
    seed: int
    absent: str | None = None


def compare_twins(scores: Scores, differences: Scores) -> tuple[Difference, ...]:
    """Return the differences of the papers' models, then those of the others in `differences`.

    Raises:
        InputError: a score or a difference is missing or not a finite number.
    """
    others = {
        model: tuple(each for each in FURTHER if find(differences, model, each.key) is not None)
        for model in differences
        if model not in PAPERS
    }
    return tuple(
        _difference(each, model, scores, differences)
        for model, figures in (PAPERS | others).items()
        for each in figures
    )


def _difference(figure: Figure, model: str, scores: Scores, differences: Scores) -> Difference:
    key = figure.key
    method = twin = value = low = high = None
    absent = absence(scores, model, key, figure.n, figure.boxes)
    if not absent:
        method, twin = (finite(score(scores, m, key), m, key)[0] for m in (model, twin_of(model)))
        value, low, high = finite(score(differences, model, key), model, key)
    return Difference(
        figure,
        model,
        find(scores, model, "label") or MODELS[model].entry.label,
        method,
        twin,
        value,
        low,
        high,
        n=counted(scores, model, figure.n, figure.boxes),
        dataset=score(scores, model, "dataset"),
        network=score(scores, model, "backbone"),
        seed=score(scores, model, "seed"),
        absent=absent,
    )


def twin_of(model: str) -> str:
    """Return the name of the twin of a model that has one; of "spg:b2", a source, it is SPG's."""
    own, _, source = model.partition(":")
    twin = MODELS[own].twin or (own if source else None)
    if twin is None:
        raise ValueError(f"{model} has no twin")
    return twin


def twins_grid(found: Sequence[Difference]) -> Grid:
    """Lay out a line for each difference."""
    head = ("figure", "twin", "method", "difference", "n", "seed", "data set")
    return Grid(head, tuple(tuple(_line(each)) for each in found))


def _line(found: Difference) -> Iterator[str]:
    yield found.figure.name
    twin = MODELS[twin_of(found.model)].entry.label
    if found.value is None:
        yield from (twin, found.label, found.absent or "")
    else:
        yield f"{twin} {found.twin:.1f}"
        yield f"{found.label} {found.method:.1f}"
        yield f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}]".replace("-", "−")
    yield from (str(found.n), str(found.seed), found.dataset)


def write_twins(found: Sequence[Difference], folder: Path) -> None:
    """Write `twins.md` and `twins.csv` into `folder`."""
    text = f"# The papers' ideas against their twins\n\n{HOW_TO_READ}\n\n"
    with atomic_path(folder / "twins.md") as temporary:
        temporary.write_text(f"{text}{markdown_grid(twins_grid(found))}\n", encoding="utf-8")
    path = folder / "twins.csv"
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_csv_line(each) for each in found)


def _csv_line(found: Difference) -> tuple[object, ...]:
    names = (found.figure.name[:-2], found.model, twin_of(found.model))
    origin = (found.dataset, found.network, found.seed, found.n)
    return (*names, *origin, found.value, found.low, found.high)
