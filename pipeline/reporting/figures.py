"""Pictures of the report: example maps, as files of stable bytes; and loss curves read."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.files import atomic_path

_DPI = 100
# Photographs look the same, and thin dashed lines stay clean
_FORMATS: dict[str, dict[str, Any]] = {
    ".webp": {"quality": 85, "method": 6},
    ".jpg": {"quality": 75, "subsampling": 0, "optimize": True},
    ".png": {"optimize": True},
}
_SIDE = 1.6  # of a panel, inches
_TRUE, _PREDICTED = ("#00e5ff", "-"), ("#ffd400", "--")  # colour and line of a box


class Point(NamedTuple):
    """A pixel (x, y) of the original picture, and whether it hits what it was to point at."""

    x: float
    y: float
    hit: bool


@dataclass(frozen=True)
class Panel:
    """One picture with an optional map over it.

    Attributes:
        image: (h, w, 3) uint8; drawn over the whole panel, whatever its size.
        size: (width, height) of the original picture, px; boxes refer to it.
        heat: (H, W) map over the whole picture, any range, or None for the picture alone.
        true_xyxy, predicted_xyxy: (n, 4) boxes, drawn solid blue and dashed yellow.
        points: drawn as circles, those that miss as crosses.
        note: a few words below.
        scale: values of the map that are drawn darkest and brightest; None: its own extremes.
    """

    image: NDArray[np.uint8]
    size: tuple[int, int]
    heat: NDArray[np.float32] | None
    true_xyxy: NDArray[np.float32]
    predicted_xyxy: NDArray[np.float32]
    points: tuple[Point, ...] = ()
    note: str = ""
    scale: tuple[float, float] | None = None


def draw_examples(path: Path, columns: Sequence[str], rows: Mapping[str, Sequence[Panel]]) -> Path:
    """Draw a grid of panels to `path` and return it.

    `columns` are the titles on top; `rows` maps the label on the left to one panel per column.
    """
    notes = sum(any(panel.note for panel in panels) for panels in rows.values())
    width, height = _SIDE * len(columns) + 0.25, _SIDE * len(rows) + 0.3 + 0.2 * notes
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for axes_row, (label, panels) in zip(grid, rows.items(), strict=True):
        axes_row[0].set_ylabel(fill(label.replace("_", " "), width=20), fontsize=8)
        for axes, panel in zip(axes_row, panels, strict=True):
            _draw_panel(axes, panel)
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(fill(title, width=20), fontsize=9)
    return save(figure, path)


def read_history(path: Path, figure: str = "loss") -> tuple[list[float], list[float]]:
    """Return the epochs and a figure of a training history, a CSV with such columns.

    Without such a column there are none.

    Raises:
        InputError: the file is missing.
    """
    try:
        lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run `dvc repro` (a train stage writes it)") from None
    known = [line for line in lines if figure in line]
    return [float(line["epoch"]) for line in known], [float(line[figure]) for line in known]


def _draw_panel(axes: Axes, panel: Panel) -> None:
    width, height = panel.size
    extent = (0.0, float(width), float(height), 0.0)
    axes.imshow(panel.image, extent=extent, aspect="auto")
    if panel.heat is not None:
        low, high = panel.scale or (None, None)
        axes.imshow(
            panel.heat, "inferno", aspect="auto", alpha=0.6, vmin=low, vmax=high, extent=extent
        )
    _draw_boxes(axes, panel.true_xyxy, *_TRUE)
    _draw_boxes(axes, panel.predicted_xyxy, *_PREDICTED)
    for point in panel.points:
        _draw_point(axes, point)
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    axes.set_xlabel(panel.note, fontsize=8, labelpad=2)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_boxes(axes: Axes, boxes_xyxy: NDArray[np.float32], colour: str, line: str) -> None:
    for x0, y0, x1, y1 in boxes_xyxy:
        axes.add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, lw=1.6, ec=colour, ls=line)
        )


def _draw_point(axes: Axes, point: Point) -> None:
    """A white mark with a dark edge, which no map hides."""
    mark = "o" if point.hit else "X"
    centre = point.x + 0.5, point.y + 0.5
    axes.plot(*centre, mark, ms=8, mfc="white", mec="black", mew=1.2, clip_on=False)


def save(figure: Figure, path: Path) -> Path:
    """Write `path`, a .webp, .jpg or .png, and return it."""
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_figure(
            temporary, format=path.suffix[1:], dpi=_DPI, pil_kwargs=_FORMATS[path.suffix]
        )
    return path
