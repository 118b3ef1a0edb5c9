"""The figure of a study: a panel for each figure."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.reporting.figures import save
from studies.study import Study

_COLOURS = ("#1f5fa8", "#c2570c", "#4d7c0f", "#7e22ce", "#475569")
_COLUMNS = 3


def draw(path: Path, study: Study, results: pd.DataFrame) -> Path:
    """Draw the results to the WebP `path` and return it.

    A panel for each figure that tells rows apart, with a dot for each row: the mean over the seeds
    and its 95 % interval over seeds and images.
    """
    spread = results.groupby("figure")["mean"].agg(lambda means: means.max() - means.min())
    told = [each for each in study.figures if spread.get(each.name, 0) > 0]
    rows = [row.row for row in study.rows]
    lines = -(-len(told) // _COLUMNS)
    size = (3.4 * _COLUMNS, (0.7 + 0.22 * len(rows)) * lines)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, _COLUMNS, squeeze=False, sharey=True)
    for axes in panels.flat[len(told) :]:
        axes.set_axis_off()
    for axes, each in zip(panels.flat, told, strict=False):
        axes.set_title(f"{each.name} {'↑' if each.higher else '↓'}", fontsize=8)
        _dots(axes, results[results["figure"] == each.name], rows)
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
