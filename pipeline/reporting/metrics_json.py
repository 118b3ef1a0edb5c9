"""`reports/metrics.json`: every measured figure in one nested dict, as DVC compares them."""

import re
from collections.abc import Iterable
from typing import Any

from pipeline.reporting.tables import Cell, FilledTable


def metrics(filled_tables: Iterable[FilledTable]) -> dict[str, Any]:
    """Return `<paper>.<table>.<dataset>.<network>.<method>.<metric>` -> {value, low, high, ...}.

    Percent; `low` and `high` are the 95 % interval over images. `paper` stands where the paper has
    that row and column, `delta` only on the paper's data set: DVC drops nulls and lists, so there
    are none.

    Raises:
        ValueError: two cells would share one key.
    """
    nested: dict[str, Any] = {}
    for filled in filled_tables:
        for cell in filled.measured:
            *path, last = _path(cell)
            level = nested
            for key in path:
                level = level.setdefault(key, {})
            if last in level:
                raise ValueError(f"two cells for {'.'.join([*path, last])}")
            level[last] = _leaf(cell)
    return nested


def key_of(name: str) -> str:
    """Return a name as a short snake_case key: "SPG*" -> spg_star, "CUB (10 classes)" -> cub."""
    plain = re.sub(r"\([^)]*\)", "", name).replace("*", " star").lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _path(cell: Cell) -> list[str]:
    paper, number = cell.table.split("-")
    names = [cell.dataset, cell.network, cell.row, cell.metric]
    return [paper, f"table{number}", *(key_of(name) for name in names)]


def _leaf(cell: Cell) -> dict[str, float]:
    leaf = {name: getattr(cell, name) for name in ("value", "low", "high", "paper", "delta")}
    return {key: value for key, value in leaf.items() if value is not None}
