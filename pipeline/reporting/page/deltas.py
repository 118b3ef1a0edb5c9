"""Measured figures beside their twins' and the papers': better, worse, or not told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.protocol.sources import RECOMMENDED
from pipeline.methods.registry import MODELS
from pipeline.reporting.tables import Cell, FilledTable, find, measured_lines
from pipeline.reporting.twins import PAPERS, Difference, twin_of

BETTER, WORSE, OPEN = "better", "worse", "open"


@dataclass(frozen=True)
class Delta:
    """A difference in percentage points, its 95 % interval if it has one, and what it says."""

    value: float
    low: float | None
    high: float | None
    verdict: str


@dataclass(frozen=True)
class Entry:
    """A cell of the page; `twin` and `paper` are what it gains over them, where that is known."""

    cell: Cell
    twin: Delta | None
    paper: Delta | None


@dataclass(frozen=True)
class Row:
    """A method; `origin` has what the rows differ by of n, seed, data set and network."""

    name: str
    entries: tuple[Entry | None, ...]
    origin: tuple[str, ...]


@dataclass(frozen=True)
class MeasuredTable:
    """The measured part of a table; `common` is what its rows share, as (name, value)."""

    metrics: tuple[str, ...]
    origin: tuple[str, ...]
    rows: tuple[Row, ...]
    common: tuple[tuple[str, str], ...]


def measured_table(filled: FilledTable, differences: Mapping[str, Any]) -> MeasuredTable:
    """Lay out the measured cells of a table: a row for each method and data set.

    `differences`: model -> gains over its twin, as stage compare writes them.
    """
    metrics, lines = measured_lines(filled)
    origins = [_origin(cells) for cells in lines.values()]
    differing = [name for name in (origins or [{}])[0] if len({o[name] for o in origins}) > 1]
    rows = (
        Row(
            name,
            tuple(_entry(cells.get(metric), differences) for metric in metrics),
            tuple(origin[key] for key in differing),
        )
        for (name, *_), cells, origin in zip(lines, lines.values(), origins, strict=True)
    )
    common = ((k, v) for k, v in (origins or [{}])[0].items() if k not in differing)
    return MeasuredTable(metrics, tuple(differing), tuple(rows), tuple(common))


def _origin(cells: Mapping[str, Cell]) -> dict[str, str]:
    first = next(iter(cells.values()))
    counts = dict.fromkeys(str(cell.n) for cell in cells.values())
    return {
        "n": " / ".join(counts),
        "seed": str(first.seed),
        "data set": first.dataset,
        "network": first.network,
    }


def _entry(cell: Cell | None, differences: Mapping[str, Any]) -> Entry | None:
    if cell is None:
        return None
    gain = find(differences, cell.model, cell.key) if cell.model in differences else None
    twin = None
    if gain and cell.value is not None:
        value, low, high = (float(gain[name]) for name in ("value", "low", "high"))
        twin = Delta(value, low, high, verdict(low, high, lower_is_better(cell.key)))
    return Entry(cell, twin, _to_paper(cell))


def _to_paper(cell: Cell) -> Delta | None:
    """The difference to the paper: told apart where the paper's figure is not in the interval."""
    if cell.delta is None or cell.paper is None or cell.low is None or cell.high is None:
        return None
    ends = cell.low - cell.paper, cell.high - cell.paper
    return Delta(cell.delta, None, None, verdict(*ends, lower_is_better(cell.key)))


def lower_is_better(key: str) -> bool:
    """Tell whether a score is one of the errors."""
    return "error" in key


def verdict(low: float, high: float, lower_is_better: bool) -> str:
    """Return what an interval of a difference says; where it holds 0, nothing."""
    if low <= 0 <= high:
        return OPEN
    return BETTER if (high < 0) == lower_is_better else WORSE


@dataclass(frozen=True)
class Gain:
    """A line of "at a glance".

    Attributes:
        bar: where low, value and high of the gain stand on a common scale from -1 to 1, on which
            better is to the right; None where nothing was judged.
    """

    difference: Difference
    twin: str
    verdict: str
    bar: tuple[float, float, float] | None


def gains(found: Sequence[Difference]) -> tuple[list[Gain], list[Gain]]:
    """Return the gains of the papers' models, SPG's recommended boxes included, and of others."""
    own = [each for each in found if each.model in PAPERS or each.model == RECOMMENDED]
    others = [each for each in found if each not in own]
    return _on_one_scale(own), _on_one_scale(others)


def _on_one_scale(found: Sequence[Difference]) -> list[Gain]:
    ends = [abs(end) for each in found for end in (each.low, each.high) if end is not None]
    scale = max(ends, default=1.0) or 1.0
    return [_gain(each, scale) for each in found]


def _gain(each: Difference, scale: float) -> Gain:
    twin = MODELS[twin_of(each.model)].entry.label
    if each.value is None or each.low is None or each.high is None:
        return Gain(each, twin, OPEN, None)
    lower = lower_is_better(each.figure.key)
    sign = -1.0 if lower else 1.0
    low, value, high = (sign * end / scale for end in (each.low, each.value, each.high))
    return Gain(each, twin, verdict(each.low, each.high, lower), (low, value, high))
