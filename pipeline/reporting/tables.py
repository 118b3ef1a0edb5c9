"""The ten tables filled with measured and published figures, written as CSV and Markdown."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.errors import InputError
from pipeline.files import atomic_path
from pipeline.reporting.catalogue import TABLES, Measured, Table
from pipeline.reporting.published import Published, counterpart, of_table

COLUMNS = (
    "table",
    "row",
    "column",
    "dataset",
    "value",
    "low",
    "high",
    "n",
    "published",
    "delta",
    "source",
)
NO_BOXES, NO_IMAGES = "no boxes", "no such images"
"""What stands where a value would, if the images had annotated boxes to judge it by, or if there
were images of the kind that the figure is about, as those with another class for `difficult`."""
NOTHING_MEASURED = "Nothing was measured on this table's data set in this run."
DIFFERENCES, RANKING, SOURCES = "differences", "ranking", "sources"  # what stage compare writes
Scores = Mapping[str, Mapping[str, Any]]
Labels = Mapping[str, str]
NO_LABELS: Labels = MappingProxyType({})


@dataclass(frozen=True)
class Cell:
    """One measured figure: percent `value` over `n` images (or pairs), its 95 % interval.

    Where there is nothing to judge it by, all three are None and `absent` says what is missing.

    `paper` is the paper's figure at the same row and column, `delta` is value - paper and exists
    only on the paper's data set. `beside` has the paper's rows of this method, on any network.
    `metric` is the column without the network's name; `key` is where the scores of `model` have it.
    """

    table: str
    model: str
    key: str
    row: str
    column: str
    metric: str
    dataset: str
    network: str
    seed: int
    n: int
    value: float | None
    low: float | None
    high: float | None
    paper: float | None
    delta: float | None
    beside: frozenset[str]
    absent: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table of text: one head and rows of the same length; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class FilledTable:
    """A table of the catalogue with its measured cells and the paper's figures.

    `protocol` tells the thresholds that the measured boxes rest on, if they do.
    """

    table: Table
    measured: tuple[Cell, ...]
    published: tuple[Published, ...]
    protocol: str


def read_scores(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return model -> scores of scores files: of one model, of several, or of stage compare.

    Of the last the rankings and sources count as models ("spg+resnet50", "spg:b2").

    Raises:
        InputError: a file is missing or no JSON; the message names the stage to run.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in files:
        content = _read_json(path)
        if "model" in content:
            found[content["model"]] = content
        elif DIFFERENCES in content:
            found |= content.get(RANKING, {}) | content.get(SOURCES, {})
        else:
            found |= content
    return found


def read_differences(path: Path) -> dict[str, dict[str, Any]]:
    """Return model -> differences to its twin, from the scores file of stage compare.

    Raises:
        InputError: the file is missing, no JSON, or has none.
    """
    content = _read_json(path)
    if DIFFERENCES not in content:
        raise InputError(f"{path}: no `{DIFFERENCES}`; run `dvc repro -f compare`")
    found: dict[str, dict[str, Any]] = content[DIFFERENCES]
    return found


def fill(scores: Scores, labels: Labels = NO_LABELS) -> tuple[FilledTable, ...]:
    """Return the ten tables with the cells that `scores` (model -> scores file) fill.

    `labels` names further methods, which stand in every table that they have a score for.

    Raises:
        InputError: a score that a table needs is missing or not a finite number.
    """
    return tuple(fill_table(table, scores, labels) for table in TABLES)


def fill_table(table: Table, scores: Scores, labels: Labels = NO_LABELS) -> FilledTable:
    """Return `table` with the cells that the models in `scores` fill; else as `fill`."""
    measured = tuple(
        cell
        for wanted in table.measured
        for model in scores
        if table.matches(wanted, model, labels)
        for cell in _cells(table, wanted, model, scores, labels)
    )
    return FilledTable(table, measured, of_table(table.id), _protocol(table, scores, labels))


def measured_grid(filled: FilledTable) -> Grid:
    """Lay out the measured cells: a line for each method and data set, a column for each metric.

    A figure carries its 95 % interval in square brackets and, on the paper's data set, its
    difference to the paper in round ones.
    """
    metrics, lines = measured_lines(filled)
    return Grid(
        ("method", *metrics, "n", "seed", "data set", "network"),
        tuple(
            (row, *(_shown(cells.get(name)) for name in metrics), _counts(cells.values()), *origin)
            for (row, *origin), cells in lines.items()
        ),
    )


def measured_lines(
    filled: FilledTable,
) -> tuple[tuple[str, ...], dict[tuple[str, str, str, str], dict[str, Cell]]]:
    """Return the metrics, and the cells by metric of each (row, seed, data set, network)."""
    metrics = tuple(dict.fromkeys(cell.metric for cell in filled.measured))
    lines: dict[tuple[str, str, str, str], dict[str, Cell]] = {}
    for cell in filled.measured:
        line = (cell.row, str(cell.seed), cell.dataset, cell.network)
        lines.setdefault(line, {})[cell.metric] = cell
    return metrics, lines


def published_grid(filled: FilledTable) -> Grid:
    """Lay out the paper's figures as printed, with a last column telling what runs here."""
    several = len({figure.dataset for figure in filled.published}) > 1
    lines: dict[str, dict[str, str]] = {}
    for figure in filled.published:
        column = f"{figure.dataset} {figure.column}" if several else figure.column
        lines.setdefault(figure.row, {})[column] = figure.printed
    columns = tuple(dict.fromkeys(name for line in lines.values() for name in line))
    return Grid(
        ("published", *columns, "run here?"),
        tuple(
            (row, *(line.get(name, "–") for name in columns), _status(filled, row))
            for row, line in lines.items()
        ),
    )


def write_tables(filled_tables: Sequence[FilledTable], folder: Path) -> None:
    """Write `<id>.csv` (long form, `COLUMNS`) and `<id>.md` of every table into `folder`."""
    for filled in filled_tables:
        _write_csv(filled, folder / f"{filled.table.id}.csv")
        with atomic_path(folder / f"{filled.table.id}.md") as temporary:
            temporary.write_text(markdown(filled), encoding="utf-8")


def heading(table: Table) -> str:
    """Return the table's name as the papers count it: "SPN Table 2: ..."."""
    paper, number = table.id.split("-")
    return f"{paper.upper()} Table {number}: {table.title}"


def markdown(filled: FilledTable) -> str:
    """Return the table as Markdown: measured block, published block, notes."""
    table = filled.table
    parts = [f"# {heading(table)}", f"How to read: {table.how_to_read}", "## Measured"]
    if filled.measured:
        parts += [markdown_grid(measured_grid(filled)), filled.protocol]
    else:
        parts.append(NOTHING_MEASURED)
    parts += [f"## Published: {table.published_on}", markdown_grid(published_grid(filled))]
    parts.append("\n".join(f"- {note}" for note in table.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def score(scores: Scores, model: str, key: str) -> Any:
    """Follow the dotted `key` in the scores file of `model`; InputError when it is not there."""
    found = find(scores, model, key)
    if found is None:
        raise InputError(
            f"scores of {model}: no `{key}`; run `dvc repro -f --glob 'evaluate*'`, or choose "
            "data that has images for it"
        )
    return found


def find(scores: Scores, model: str, key: str) -> Any:
    """Follow the dotted `key` in the scores file of `model`; None when it is not there."""
    found: Any = scores[model]
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found


def absence(scores: Scores, model: str, key: str, n: str, boxes: bool) -> str | None:
    """Return what is missing where the score `key` cannot be had; None if it is there, or must be.

    Args:
        n: the name of what counts the score's images.
        boxes: the score needs annotated boxes.
    """
    if find(scores, model, key) is not None:
        return None
    counts = scores[model].get("n", {})
    if boxes and any(name.endswith("_boxed") for name in counts):
        return NO_BOXES
    return NO_IMAGES if counts.get(n) == 0 else None


def counted(scores: Scores, model: str, name: str, boxes: bool) -> int:
    """Return the number of images, or pairs, called `name`.

    Of those with boxes, if a figure that needs `boxes` rests on them and not all images have.
    """
    boxed = find(scores, model, f"n.{name}_boxed") if boxes else None
    found: int = score(scores, model, f"n.{name}") if boxed is None else boxed
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run `dvc repro --glob 'evaluate*'` first") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: not valid JSON ({error}); run `dvc repro -f --glob 'evaluate*'`"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: no JSON object; run `dvc repro -f --glob 'evaluate*'`")
    return content


def _cells(
    table: Table, wanted: Measured, model: str, scores: Scores, labels: Labels
) -> list[Cell]:
    """The cells that one line of the catalogue fills with the scores of `model`."""
    if wanted.optional and find(scores, model, wanted.key) is None:
        return []
    absent = absence(scores, model, wanted.key, wanted.n, wanted.boxes)
    found = None if absent else score(scores, model, wanted.key)
    entries = found if isinstance(found, dict) and "value" not in found else {"": found}
    label = labels.get(model) or find(scores, model, "label") or ""
    names = table.names(score(scores, model, "backbone"), model, label)
    return [
        _cell(table, wanted, model, scores, names | {"entry": entry}, estimate)
        for entry, estimate in entries.items()
    ]


def _cell(
    table: Table,
    wanted: Measured,
    model: str,
    scores: Scores,
    names: Mapping[str, str],
    estimate: object,
) -> Cell:
    dataset, entry = score(scores, model, "dataset"), names["entry"]
    key = f"{wanted.key}.{entry}" if entry else wanted.key
    numbers = (None,) * 3 if estimate is None else finite(estimate, model, key)
    value, low, high = numbers
    row = (wanted.paper or wanted.row).format(**names)
    column = wanted.column.format(**{**names, "network": wanted.paper_network or names["network"]})
    paper = counterpart(of_table(table.id), row, column, dataset)
    same_data = paper is not None and paper.dataset == dataset
    return Cell(
        table=table.id,
        model=model,
        key=key,
        row=wanted.row.format(**names),
        column=wanted.column.format(**names),
        metric=wanted.column.format(**{**names, "network": ""}).strip(),
        dataset=dataset,
        network=score(scores, model, "backbone"),
        seed=score(scores, model, "seed"),
        n=counted(scores, model, wanted.n, wanted.boxes),
        value=value,
        low=low,
        high=high,
        paper=paper.value if paper else None,
        delta=round(value - paper.value, 2) if paper and same_data and value is not None else None,
        beside=table.rows_in_paper(wanted, model, names["label"]),
        absent=absence(scores, model, wanted.key, wanted.n, wanted.boxes),
    )


def _protocol(table: Table, scores: Scores, labels: Labels) -> str:
    """The thresholds of the measured boxes, and the split that chose them."""
    if not table.thresholded:
        return ""
    chosen = (
        f"{model} {own['threshold']:.2f} (chosen on {own['threshold_from']})"
        for model, own in scores.items()
        if "threshold" in own and any(table.matches(m, model, labels) for m in table.measured)
    )
    listed = ", ".join(chosen)
    return listed and f"Box thresholds, as a share of the map's range: {listed}."


def finite(estimate: object, model: str, key: str) -> tuple[float, float, float]:
    """Value, low and high to two decimals: with under 10,000 images more would say nothing."""
    found: dict[str, Any] = estimate if isinstance(estimate, dict) else {}
    numbers = [found.get(name) for name in ("value", "low", "high")]
    finite = [
        round(float(number), 2)
        for number in numbers
        if isinstance(number, int | float) and not isinstance(number, bool) and isfinite(number)
    ]
    if len(finite) < len(numbers):
        raise InputError(
            f"scores of {model}: `{key}` is {estimate!r}, not a finite value with low and high; "
            "run `dvc repro -f --glob 'evaluate*'`"
        )
    value, low, high = finite
    return value, low, high


def _counts(cells: Iterable[Cell]) -> str:
    return " / ".join(dict.fromkeys(str(cell.n) for cell in cells))


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if cell.value is None:
        return cell.absent or ""
    delta = "" if cell.delta is None else f" ({cell.delta:+.1f})".replace("-", "−")
    return f"{cell.value:.1f}{delta} [{cell.low:.1f}, {cell.high:.1f}]"


def _status(filled: FilledTable, row: str) -> str:
    """Why a published row is not run, or where its measured counterpart stands."""
    table = filled.table
    if row in table.not_run:
        return f"published only: {table.not_run[row]}"
    cells = [cell for cell in filled.measured if row in cell.beside]
    if not cells:
        lines = table.lines_of(row)
        if not lines:
            return f"published only: {table.default_reason}"
        return f"not run here: {lines[0].switch}"
    if cells[0].absent and all(cell.absent for cell in cells):
        return cells[0].absent
    name = "" if cells[0].row == row else f" as {cells[0].row}"
    papers = {figure.dataset for figure in filled.published}
    same_data = any(cell.dataset in papers for cell in cells)
    return f"measured above{name}" if same_data else f"measured above{name}, on other data"


def markdown_grid(grid: Grid) -> str:
    lines = [grid.head, ("---",) * len(grid.head), *grid.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _write_csv(filled: FilledTable, path: Path) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_measured_line(cell) for cell in filled.measured)
        writer.writerows(_published_line(figure) for figure in filled.published)


def _measured_line(cell: Cell) -> dict[str, object]:
    return {
        "table": cell.table,
        "row": cell.row,
        "column": cell.column,
        "dataset": cell.dataset,
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "n": cell.n,
        "published": cell.paper,
        "delta": cell.delta,
        "source": cell.absent or "measured",
    }


def _published_line(figure: Published) -> dict[str, object]:
    return {
        "table": figure.table,
        "row": figure.row,
        "column": figure.column,
        "dataset": figure.dataset,
        "value": figure.printed,
        "source": "published",
    }
