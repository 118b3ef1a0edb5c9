"""Every score that has a value for each class, as one CSV file."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.files import atomic_path
from pipeline.reporting.tables import Scores

COLUMNS = ("model", "data set", "score", "class", "value", "low", "high")


def write_per_class(scores: Scores, path: Path) -> None:
    """Write a line for each model, score and class: percent, with its 95 % interval."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for model, own in scores.items():
            for score, name, found in _classes(own):
                figures = (round(found[key], 2) for key in ("value", "low", "high"))
                writer.writerow((model, own["dataset"], score, name, *figures))


def _classes(block: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (score, class, estimate) from every `per_class...` block below."""
    for key, value in block.items():
        if not isinstance(value, dict):
            continue
        if "per_class" in key:
            score = ".".join(
                part for part in (path, key.replace("per_class", "").strip("_")) if part
            )
            for name, estimate in value.items():
                yield score, name, estimate
        else:
            yield from _classes(value, f"{path}.{key}".strip("."))
