"""The results of a study: a line for each row and figure."""

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

import pandas as pd

from studies.pooling import Pooled
from studies.study import Row, Study

HOW_TO_READ = (
    "Percent, means over the seeds; behind ± the standard deviation over them. Below: the "
    "difference to the row named, in percentage points, with its 95 % interval over seeds and "
    "images (studies/pooling.py); bold where it does not hold 0. ↑ ↓: what is better."
)


def table(study: Study, pooled: Mapping[str, Pooled], images: Mapping[str, int]) -> pd.DataFrame:
    """Return a line for each row and figure that it has."""
    return pd.DataFrame(
        line for row in study.all_rows for line in _lines(study, row, pooled, images[row.row])
    )


def _lines(
    study: Study, row: Row, pooled: Mapping[str, Pooled], images: int
) -> Iterator[dict[str, Any]]:
    own = pooled[row.row]
    low, high = own.interval()
    twin = pooled[row.twin] if row.twin else None
    less, more = own.interval(twin) if twin else (low * float("nan"),) * 2
    means = own.measured.mean(axis=0)
    differences = means - twin.measured.mean(axis=0) if twin else less
    deviations = own.measured.std(axis=0, ddof=1) if len(study.seeds) > 1 else less * float("nan")
    for place, figure in enumerate(study.figures):
        if not isnan(means[place]):
            yield {
                "row": row.row,
                "figure": figure.name,
                "mean": means[place],
                "deviation": deviations[place],
                "low": low[place],
                "high": high[place],
                "twin": row.twin,
                "difference": differences[place],
                "difference_low": less[place],
                "difference_high": more[place],
                "by_seed": " ".join(f"{value:.1f}" for value in own.measured[:, place]),
                "seeds": " ".join(map(str, study.seeds)),
                "n": images,
                "judged_on": study.judged_on,
                "data": study.data,
            }


def markdown(study: Study, results: pd.DataFrame) -> str:
    """Return the page of a study."""
    figures = [figure for figure in study.figures if figure.name in set(results["figure"])]
    head = ["", *(f"{f.name} {'↑' if f.higher else '↓'}" for f in figures)]
    lines = [head, ["---"] * len(head)]
    cells = {(line["row"], line["figure"]): line for line in results.to_dict("records")}
    for row in study.all_rows:
        own = [cells.get((row.row, figure.name)) for figure in figures]
        lines.append([row.row, *(_mean(cell) for cell in own)])
        if row.twin:
            lines.append([f"− {row.twin}", *(_difference(cell) for cell in own)])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    seeds, n = ", ".join(map(str, study.seeds)), sorted(set(results["n"]))
    images = f"{', '.join(map(str, n))} {study.judged_on} images"
    return f"# {study.title}\n\n{study.data}; {images}; seeds {seeds}.\n\n{HOW_TO_READ}\n\n{body}\n"


def _mean(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    spread = "" if isnan(cell["deviation"]) else f" ± {cell['deviation']:.1f}"
    return f"{cell['mean']:.1f}{spread}"


def _difference(cell: Mapping[str, Any] | None) -> str:
    if cell is None or isnan(cell["difference"]):
        return ""
    low, high = cell["difference_low"], cell["difference_high"]
    text = f"{cell['difference']:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")
    return f"**{text}**" if low > 0 or high < 0 else text
