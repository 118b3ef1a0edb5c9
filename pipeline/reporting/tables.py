"""The ten tables filled with measured and published figures, written as CSV and Markdown."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.files import atomic_path
from pipeline.reporting.catalogue import PAPER_NETWORKS, TABLES, Measured, Table
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
NOTHING_MEASURED = "Nothing was measured on this table's data set in this run."
Scores = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cell:
    """One measured figure: percent `value` over `n` images (or pairs).

    `paper` is the paper's figure at the same row and column, `delta` is value - paper and exists
    only on the paper's data set. `metric` is the column without the network's name.
    """

    table: str
    row: str
    column: str
    metric: str
    dataset: str
    network: str
    seed: int
    n: int
    value: float
    paper: float | None
    delta: float | None


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


def read_scores(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Return the content of the scores file of each model.

    Raises:
        InputError: a file is missing or no JSON; the message names the stage to run.
    """
    return {model: _read_json(path) for model, path in files.items()}


def fill(scores: Scores) -> tuple[FilledTable, ...]:
    """Return the ten tables with the cells that `scores` (model -> scores file) fill.

    Raises:
        InputError: a score that a table needs is missing or not a finite number.
    """
    return tuple(fill_table(table, scores) for table in TABLES)


def fill_table(table: Table, scores: Scores) -> FilledTable:
    """Return `table` with the cells that the models in `scores` fill; errors as `fill`."""
    return FilledTable(
        table,
        tuple(
            cell
            for wanted in table.measured
            if wanted.model in scores
            for cell in _cells(table, wanted, scores)
        ),
        of_table(table.id),
        _protocol(table, scores),
    )


def measured_grid(filled: FilledTable) -> Grid:
    """Lay out the measured cells: a line for each method and data set, a column for each metric.

    On the paper's data set a figure carries its difference to the paper in brackets.
    """
    metrics = tuple(dict.fromkeys(cell.metric for cell in filled.measured))
    lines: dict[tuple[str, str, str, str], dict[str, Cell]] = {}
    for cell in filled.measured:
        line = (cell.row, str(cell.seed), cell.dataset, cell.network)
        lines.setdefault(line, {})[cell.metric] = cell
    return Grid(
        ("method", *metrics, "n", "seed", "data set", "network"),
        tuple(
            (row, *(_shown(cells.get(name)) for name in metrics), _counts(cells.values()), *origin)
            for (row, *origin), cells in lines.items()
        ),
    )


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
        parts += [_markdown_grid(measured_grid(filled)), filled.protocol]
    else:
        parts.append(NOTHING_MEASURED)
    parts += [f"## Published: {table.published_on}", _markdown_grid(published_grid(filled))]
    parts.append("\n".join(f"- {note}" for note in table.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def score(scores: Scores, model: str, key: str) -> Any:
    """Follow the dotted `key` in the scores file of `model`; InputError when it is not there."""
    found: Any = scores[model]
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            raise InputError(
                f"scores of {model}: no `{key}`; run `dvc repro -f --glob 'evaluate*'`, or choose "
                "data that has images for it"
            )
        found = found[part]
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


def _cells(table: Table, wanted: Measured, scores: Scores) -> list[Cell]:
    """The cells that one line of the catalogue fills; none where the table is for other data."""
    if not table.accepts(score(scores, wanted.model, "dataset")):
        return []
    found = score(scores, wanted.model, wanted.key)
    entries = found if isinstance(found, dict) else {"": found}
    return [_cell(table, wanted, scores, entry, value) for entry, value in entries.items()]


def _cell(table: Table, wanted: Measured, scores: Scores, entry: str, value: object) -> Cell:
    model = wanted.model
    dataset, backbone = score(scores, model, "dataset"), score(scores, model, "backbone")
    value = _finite(value, model, f"{wanted.key}.{entry}" if entry else wanted.key)
    names = {"network": PAPER_NETWORKS.get(backbone, backbone), "entry": entry}
    row, column = wanted.paper or (wanted.row, wanted.column)
    paper = counterpart(of_table(table.id), row, column.format(**names), dataset)
    same_data = paper is not None and paper.dataset == dataset
    return Cell(
        table=table.id,
        row=wanted.row,
        column=wanted.column.format(**names),
        metric=wanted.column.format(network="", entry=entry).strip(),
        dataset=dataset,
        network=backbone,
        seed=score(scores, model, "seed"),
        n=score(scores, model, f"n.{wanted.n}"),
        value=value,
        paper=paper.value if paper else None,
        delta=round(value - paper.value, 2) if paper and same_data else None,
    )


def _protocol(table: Table, scores: Scores) -> str:
    """The thresholds of the measured boxes, and the split that chose them."""
    models = [model for model in table.thresholds_of if model in scores]
    if not models:
        return ""
    chosen = (
        f"{model} {score(scores, model, 'threshold'):.2f} "
        f"(chosen on {score(scores, model, 'threshold_from')})"
        for model in models
    )
    return f"Box thresholds, as a share of the map's range: {', '.join(chosen)}."


def _finite(value: object, model: str, key: str) -> float:
    """`value` to two decimals: with fewer than 10,000 images more would say nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(
            f"scores of {model}: `{key}` is {value!r}, not a finite number; "
            "run `dvc repro -f --glob 'evaluate*'`"
        )
    return round(float(value), 2)


def _counts(cells: Iterable[Cell]) -> str:
    return " / ".join(dict.fromkeys(str(cell.n) for cell in cells))


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if cell.delta is None:
        return f"{cell.value:.1f}"
    return f"{cell.value:.1f} ({cell.delta:+.1f})".replace("-", "−")


def _status(filled: FilledTable, row: str) -> str:
    """Why a published row is not run, or where its measured counterpart stands."""
    table = filled.table
    if row in table.not_run:
        return f"not run yet: {table.not_run[row]}"
    if row not in {(wanted.paper or (wanted.row,))[0] for wanted in table.measured}:
        return f"not run yet: {table.default_reason}"
    if not filled.measured:
        return "not run yet on this data set"
    papers = {figure.dataset for figure in filled.published}
    same_data = any(cell.dataset in papers for cell in filled.measured)
    return "measured above" if same_data else "measured above, on other data"


def _markdown_grid(grid: Grid) -> str:
    lines = [grid.head, ("---",) * len(grid.head), *grid.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _write_csv(filled: FilledTable, path: Path) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_measured_line(cell) for cell in filled.measured)
        writer.writerows(_published_line(figure) for figure in filled.published)


def _measured_line(cell: Cell) -> dict[str, object]:
    """`low` and `high` stay empty: an interval needs several seeds, and a run has one."""
    return {
        "table": cell.table,
        "row": cell.row,
        "column": cell.column,
        "dataset": cell.dataset,
        "value": cell.value,
        "n": cell.n,
        "published": cell.paper,
        "delta": cell.delta,
        "source": "measured",
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
