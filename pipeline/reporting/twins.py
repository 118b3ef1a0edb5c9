"""The papers' ideas against their twins: the same network without the idea."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.files import atomic_path
from pipeline.reporting.catalogue import TWINS
from pipeline.reporting.metrics_json import key_of
from pipeline.reporting.tables import Grid, Scores, finite, markdown_grid, score

HOW_TO_READ = (
    "Percent, and percentage points of difference; the arrow says what is better. In brackets: the "
    "95 % interval of the difference over images (paired bootstrap: the same images are drawn for "
    "both). Where it holds 0 the images do not tell the two apart. It holds no spread of trainings."
)


@dataclass(frozen=True)
class Comparison:
    """A figure that a model and its twin are compared by, and where their scores have it."""

    figure: str
    model: str
    key: str
    n: str = "test"


COMPARISONS = (
    Comparison("Pointing, all ↑", "spn_multi", "pointing.all", "pointing_all"),
    Comparison("Pointing, difficult ↑", "spn_multi", "pointing.difficult", "pointing_difficult"),
    Comparison("Pointing with prediction, mAP ↑", "spn_multi", "pointing_with_prediction_map"),
    Comparison("CorLoc ↑", "spn_multi", "cor_loc.mean", "trainval"),
    Comparison("Classification mAP ↑", "spn_multi", "classification_map"),
    Comparison("Box error, mean threshold ↓", "spn_single", "mean_box_error"),
    Comparison("GT-known error ↓", "spn_single", "gt_known_error"),
    Comparison("GT-known error ↓", "spg", "gt_known_error"),
    Comparison("Top-1 localization error ↓", "spg", "top1_localization_error"),
    Comparison("Top-1 classification error ↓", "spg", "top1_classification_error"),
)
COLUMNS = ("figure", "model", "twin", "dataset", "network", "seed", "n", "value", "low", "high")


@dataclass(frozen=True)
class Difference:
    """Model - twin in percentage points, with its 95 % interval over images."""

    compared: Comparison
    method: float
    twin: float
    value: float
    low: float
    high: float
    n: int
    dataset: str
    network: str
    seed: int


def compare_twins(scores: Scores, differences: Scores) -> tuple[Difference, ...]:
    """Return the differences of `COMPARISONS`, from scores files and data/scores/twins.json.

    Raises:
        InputError: a score or a difference is missing or not a finite number.
    """
    return tuple(_difference(each, scores, differences) for each in COMPARISONS)


def _difference(compared: Comparison, scores: Scores, differences: Scores) -> Difference:
    model, key = compared.model, compared.key
    method, twin = (finite(score(scores, m, key), m, key)[0] for m in (model, TWINS[model]))
    value, low, high = finite(score(differences, model, key), model, key)
    return Difference(
        compared,
        method,
        twin,
        value,
        low,
        high,
        n=score(scores, model, f"n.{compared.n}"),
        dataset=score(scores, model, "dataset"),
        network=score(scores, model, "backbone"),
        seed=score(scores, model, "seed"),
    )


def twins_grid(found: Sequence[Difference]) -> Grid:
    """Lay out a line for each difference."""
    head = ("figure", "twin", "method", "difference", "n", "seed", "data set")
    return Grid(head, tuple(tuple(_line(each)) for each in found))


def _line(found: Difference) -> Iterator[str]:
    model = found.compared.model
    yield found.compared.figure
    for name, value in ((TWINS[model], found.twin), (model, found.method)):
        yield f"{_shown_as(name)} {value:.1f}"
    yield f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}]".replace("-", "−")
    yield from (str(found.n), str(found.seed), found.dataset)


def _shown_as(model: str) -> str:
    """A model's name without its track: "spn_multi" is SPN."""
    return "SPG-plain" if model == "spg_plain" else model.partition("_")[0].upper()


def write_twins(found: Sequence[Difference], folder: Path) -> None:
    """Write `twins.md` and `twins.csv` into `folder`."""
    text = f"# The papers' ideas against their twins\n\n{HOW_TO_READ}\n\n"
    with atomic_path(folder / "twins.md") as temporary:
        temporary.write_text(f"{text}{markdown_grid(twins_grid(found))}\n", encoding="utf-8")
    path = folder / "twins.csv"
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in found:
            figure, model = each.compared.figure[:-2], each.compared.model
            origin = (each.dataset, each.network, each.seed, each.n)
            writer.writerow((figure, model, TWINS[model], *origin, each.value, each.low, each.high))


def twins_metrics(found: Sequence[Difference]) -> dict[str, Any]:
    """Return `differences.<dataset>.<network>.<model>.<figure>` -> {value, low, high}."""
    nested: dict[str, Any] = {}
    for each in found:
        level = nested
        path = ("differences", each.dataset, each.network, each.compared.model)
        for key in map(key_of, path):
            level = level.setdefault(key, {})
        leaf = {"value": each.value, "low": each.low, "high": each.high}
        level[key_of(each.compared.figure)] = leaf
    return nested
