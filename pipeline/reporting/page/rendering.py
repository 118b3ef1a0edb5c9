"""The report as one page: no network, pictures inside, so that it can be mailed."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.files import atomic_path
from pipeline.reporting.illustrations.listing import Illustration
from pipeline.reporting.page.curves import Chart
from pipeline.reporting.page.data_card import DataCard
from pipeline.reporting.page.deltas import gains, measured_table
from pipeline.reporting.page.encoding import figure
from pipeline.reporting.page.gallery import LAYERS, RULE, Gallery
from pipeline.reporting.tables import FilledTable, heading, published_grid
from pipeline.reporting.twins import HOW_TO_READ, Difference

_TEMPLATES = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """All that the page shows.

    Attributes:
        differences: model -> gains over its twin, as stage compare writes them.
        pictures, illustrations: examples, and the papers' figures.
        params: the (nested) content of params.yaml.
        environment: names and values.
    """

    tables: Sequence[FilledTable]
    differences: Mapping[str, Any]
    twins: Sequence[Difference]
    galleries: Sequence[Gallery]
    pictures: Sequence[Illustration]
    illustrations: Sequence[Illustration]
    charts: Sequence[Chart]
    cards: Sequence[DataCard]
    params: Mapping[str, Any]
    environment: Sequence[tuple[str, str]]


def write_page(path: Path, report: Report) -> None:
    """Write the report to `path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """Return the report as HTML; the same input gives the same text."""
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "marked": marked,
        "points": points,
        "signed": signed,
    }
    tables = [
        (filled, heading(filled.table), measured_table(filled, report.differences))
        for filled in report.tables
    ]
    papers, others = gains(report.twins)
    return environment.get_template("page.html.j2").render(
        report=report,
        tables=tables,
        published_grid=published_grid,
        papers=papers,
        others=others,
        how_to_read_twins=HOW_TO_READ,
        rule=RULE,
        layers=LAYERS,
        parameters=dict(parameters(report.params)),
    )


def marked(text: str) -> Markup:
    """Return escaped text in which `code` is marked as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def points(value: float) -> str:
    """Return a figure in percent, or percentage points, to one decimal."""
    return f"{value:.1f}".replace("-", "−")


def signed(value: float) -> str:
    """Return a difference in percentage points, with its sign."""
    return f"{value:+.1f}".replace("-", "−")


def parameters(params: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the sections of params.yaml, each with its values by dotted key."""
    single = [(key, value) for key, value in params.items() if not isinstance(value, Mapping)]
    yield "of the whole run", [(key, _shown(value)) for key, value in single]
    for name, section in params.items():
        if isinstance(section, Mapping) and section:
            yield name, list(_leaves(section, f"{name}."))


def _leaves(section: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "empty" if value == "" else str(value)
