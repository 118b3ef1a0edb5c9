"""The figure of a study: a panel for each figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.reporting.figures import save
from studies.study import Study, Sweep

_COLOURS = ("#1f5fa8", "#c2570c", "#4d7c0f", "#7e22ce", "#475569")
_DASHES, _MARKS = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))), "osD^v"
_COLUMNS = 3


def draw(path: Path, study: Study, results: pd.DataFrame) -> Path:
    """Draw the results to the WebP `path` and return it.

    A panel for each figure that tells rows apart, with a dot for each row: the mean over the seeds
    and its 95 % interval over seeds and images. With a sweep each row is a line over its values.
    """
    spread = results.groupby("figure")["mean"].agg(lambda means: means.max() - means.min())
    told = [each for each in study.figures if spread.get(each.name, 0) > 0]
    rows = [row.row for row in study.rows]
    lines = -(-len(told) // _COLUMNS)
    height = 3.6 if study.sweep else 0.7 + 0.22 * len(rows)
    figure = Figure(figsize=(3.4 * _COLUMNS, height * lines), layout="constrained")
    panels = figure.subplots(lines, _COLUMNS, squeeze=False, sharey=not study.sweep)
    for axes in panels.flat[len(told) :]:
        axes.set_axis_off()
    for axes, each in zip(panels.flat, told, strict=False):
        axes.set_title(f"{each.name} {'↑' if each.higher else '↓'}", fontsize=8)
        own = results[results["figure"] == each.name]
        if study.sweep:
            _lines(axes, own, rows, study.sweep)
        else:
            _dots(axes, own, rows)
    return save(figure, path)


def _dots(axes: Axes, own: pd.DataFrame, rows: Sequence[str]) -> None:
    for line in own.to_dict("records"):
        place = rows.index(line["row"])
        colour = _COLOURS[place % len(_COLOURS)]
        axes.plot([line["low"], line["high"]], [place, place], color=colour, lw=1.5)
        axes.plot(line["mean"], place, "o", color=colour, ms=5)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(labelsize=7)
    axes.grid(axis="x", alpha=0.3)


def _lines(axes: Axes, own: pd.DataFrame, rows: Sequence[str], sweep: Sweep) -> None:
    """A line for each row that has the figure, a little beside the others, told apart in grey."""
    found = own.set_index("row")
    names = {row: [sweep.name(row, value) for value in sweep.values] for row in rows}
    shown = [row for row, own in names.items() if set(own) <= set(found.index)]
    step = 0.01 * (max(sweep.values) - min(sweep.values))
    for place, row in enumerate(shown):
        line = found.loc[names[row]]
        x = [value + step * (place - (len(shown) - 1) / 2) for value in sweep.values]
        reach = [line["mean"] - line["low"], line["high"] - line["mean"]]
        kind = place % len(_COLOURS)
        look: dict[str, Any] = {
            "color": _COLOURS[kind],
            "ls": _DASHES[kind],
            "marker": _MARKS[kind],
        }
        axes.errorbar(x, line["mean"], reach, label=row, ms=5, lw=1.5, capsize=2, **look)
    axes.set_xticks(sweep.values)
    axes.set_xlabel(sweep.key, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
