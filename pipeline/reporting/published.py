"""The figures printed in the two papers, one line each in `published.csv`.

SPN Tables 1-6 and SPG Tables 1-4; the ablations in the text of SPG Sec. 4.3 stand in `spg-4`,
whose metric they share. Values that a paper leaves out ("-") have no line.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """One figure of a paper.

    `value` is in percent (in ms for "time (ms)"); `printed` is the paper's own spelling of it.
    """

    table: str
    row: str
    column: str
    dataset: str
    value: float
    printed: str


@cache
def published() -> tuple[Published, ...]:
    """Return every published figure, in the order of the papers."""
    text = files("pipeline.reporting").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        Published(
            line["table"],
            line["row"],
            line["column"],
            line["dataset"],
            float(line["value"]),
            line["value"],
        )
        for line in csv.DictReader(text.splitlines())
    )


def of_table(table: str) -> tuple[Published, ...]:
    """Return the figures of one table (`spn-1` ... `spg-4`), in the order of the paper."""
    return tuple(figure for figure in published() if figure.table == table)


def counterpart(
    figures: Iterable[Published], row: str, column: str, dataset: str
) -> Published | None:
    """Return the figure at `row` and `column`: on `dataset` if printed, else the first printed.

    None when the paper has no figure at that row and column.
    """
    same = [figure for figure in figures if (figure.row, figure.column) == (row, column)]
    return next((figure for figure in same if figure.dataset == dataset), same[0] if same else None)
