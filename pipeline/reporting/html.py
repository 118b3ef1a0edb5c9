"""The report as one page: no network, no scripts, pictures inside, so that it can be mailed."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from pipeline.files import atomic_path
from pipeline.reporting.tables import (
    NOTHING_MEASURED,
    FilledTable,
    Grid,
    heading,
    measured_grid,
    published_grid,
)
from pipeline.reporting.twins import HOW_TO_READ, Difference, twins_grid

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 2px solid #1f5fa8; }
h3 { margin: 2rem 0 .3rem; }
nav a { margin-right: 1rem; white-space: nowrap; }
a { color: #1f5fa8; } code { font-size: .9em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .87rem; }
th, td { padding: .22rem .55rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #d5d9de; }
thead th { background: #eef2f6; } th[scope=row], .words { text-align: left; }
thead th { white-space: normal; vertical-align: bottom; }
@media (max-width: 40rem) { th[scope=row] { white-space: normal; min-width: 6rem; } }
table.published { color: #505050; }
caption { text-align: left; font-weight: 600; padding: .2rem 0; }
figure { margin: 1.2rem 0; } figure img { max-width: 100%; min-width: 40rem; height: auto; }
figcaption, .note { color: #444; font-size: .9rem; }
@media print { body { max-width: none; font-size: 10pt; } nav { display: none; }
  .scroll { overflow: visible; } figure img { min-width: 0; }
  table { font-size: 6.5pt; } th, td { padding: .1rem .2rem; white-space: normal; }
  tr, figure, section .scroll { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""
_INTRODUCTION = (
    "Soft Proposal Networks (SPN, ICCV 2017) and Self-produced Guidance (SPG, ECCV 2018) learn "
    "where objects are from image labels alone. Both were trained and measured by this pipeline, "
    "each beside a twin: the same network without the paper's idea, with the same first weights, "
    "schedule and budget."
)
_READING = (
    "All figures are percent. SPN is compared with CAM (the network with global average pooling), "
    "SPG with SPG-plain (the network without guidance); the difference to the twin is what the "
    "paper's idea gives here.",
    "Measured rows name n, the number of images (for pointing: of image and class pairs) behind a "
    "figure, the seed, the data set and the network. Published rows are the paper's own, in grey.",
    "Square brackets hold the 95 % interval: the images were drawn anew, with replacement, a "
    "thousand times (parameter `evaluate.resamples`); thresholds stayed as chosen. Two methods are "
    "measured on the same images, so that their difference is surer than two intervals suggest: "
    "the table above has intervals of differences.",
    "A figure in round brackets is the difference to the paper. It stands only where the data set "
    "is the paper's: figures on different data are not comparable.",
)
_LIMITS = (
    "One seed, one run. The intervals tell what other images of the same kind might have given; "
    "another seed of the training moves figures by some points more (benchmarks/RESULTS.md).",
    "On other data, or with another network, than the paper's, the tables show how the methods "
    "compare here, not that the paper's figures are reproduced. The `cutouts` scenes are composed "
    "of photographs; they are easier than a benchmark, and far fewer.",
    "Published rows without a measured one above them are quoted and were not checked here.",
    "Thresholds of boxes were chosen on the split that the parameter "
    "`evaluate.threshold_from` names; `test` is the papers' own, optimistic, protocol.",
)


@dataclass(frozen=True)
class Picture:
    """A WebP file with the words that go with it."""

    path: Path
    title: str
    alt: str
    caption: str


def write_page(
    path: Path,
    filled_tables: Sequence[FilledTable],
    twins: Sequence[Difference],
    pictures: Sequence[Picture],
    params: Mapping[str, Any],
) -> None:
    """Write the report to `path`; `params` is the (nested) content of params.yaml."""
    with atomic_path(path) as temporary:
        temporary.write_text(page(filled_tables, twins, pictures, params), encoding="utf-8")


def page(
    filled_tables: Sequence[FilledTable],
    twins: Sequence[Difference],
    pictures: Sequence[Picture],
    params: Mapping[str, Any],
) -> str:
    """Return the report as HTML; the same input gives the same text."""
    title = "Weakly supervised object localization: SPN and SPG"
    sections = {
        "At a glance": _twins(twins),
        "How to read": _list(_READING),
        "Pictures": "\n".join(_picture(picture) for picture in pictures),
        "Tables": "\n".join(_section(filled) for filled in filled_tables),
        "Limits": _list(_LIMITS),
        "Parameters": _table(_parameters(params), "Content of params.yaml"),
    }
    links = " ".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in sections)
    body = "\n".join(
        f'<h2 id="{_anchor(name)}">{name}</h2>\n{content}' for name, content in sections.items()
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<p>{_INTRODUCTION}</p>\n<nav>{links}</nav>\n<main>\n{body}\n</main>\n"
        f"</body>\n</html>\n"
    )


def _twins(found: Sequence[Difference]) -> str:
    """The main figures of method and twin, and how to read their difference."""
    table = _table(twins_grid(found), "The papers' ideas against their twins")
    return f"<p>{_text(HOW_TO_READ)}</p>\n{table}"


def _section(filled: FilledTable) -> str:
    """One table of a paper: how to read it, measured block, published block, notes."""
    measured = f"<p>{NOTHING_MEASURED}</p>"
    if filled.measured:
        measured = f"{_table(measured_grid(filled), 'Measured')}\n<p>{_text(filled.protocol)}</p>"
    published = f"Published: {filled.table.published_on}"
    notes = "\n".join(f'<p class="note">{_text(note)}</p>' for note in filled.table.notes)
    return (
        f'<section id="{filled.table.id}">\n<h3>{_text(heading(filled.table))}</h3>\n'
        f"<p>{_text(filled.table.how_to_read)}</p>\n{measured}\n"
        f"{_table(published_grid(filled), published, 'published')}\n{notes}\n</section>"
    )


def _table(grid: Grid, caption: str, kind: str = "measured") -> str:
    """A grid as an HTML table that scrolls sideways on a narrow screen."""
    kinds = [_kind(row[i] for row in grid.rows) for i in range(len(grid.head))]
    head = "".join(
        f'<th scope="col"{kind}>{_text(name)}</th>'
        for name, kind in zip(grid.head, kinds, strict=True)
    )
    rows = "\n".join(_row(row, kinds) for row in grid.rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">\n'
        f'<table class="{kind}">\n<caption>{_text(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _row(row: Sequence[str], kinds: Sequence[str]) -> str:
    cells = (f"<td{kind}>{_text(text)}</td>" for text, kind in zip(row[1:], kinds[1:], strict=True))
    return f'<tr><th scope="row">{_text(row[0])}</th>{"".join(cells)}</tr>'


def _kind(column: Iterable[str]) -> str:
    """The class attribute of a column: words stand to the left, figures to the right."""
    words = any(re.match(r"[^\W\d]", text) for text in column)
    return ' class="words"' if words else ""


def _picture(picture: Picture) -> str:
    encoded = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    return (
        f'<figure>\n<h3>{_text(picture.title)}</h3>\n<div class="scroll">'
        f'<img src="data:image/webp;base64,{encoded}" alt="{escape(picture.alt)}"></div>\n'
        f"<figcaption>{_text(picture.caption)}</figcaption>\n</figure>"
    )


def _parameters(params: Mapping[str, Any], prefix: str = "") -> Grid:
    """Nested parameters as dotted keys."""
    rows: list[tuple[str, ...]] = []
    for key, value in params.items():
        if isinstance(value, Mapping):
            rows += _parameters(value, f"{prefix}{key}.").rows
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return Grid(("parameter", "value"), tuple(rows))


def _list(items: Iterable[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{_text(item)}</li>" for item in items) + "\n</ul>"


def _text(text: str) -> str:
    """Escaped text in which `code` is marked as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
