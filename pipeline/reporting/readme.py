"""The results in README.md: a short table between two markers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.evaluation.protocol.sources import RECOMMENDED
from pipeline.files import atomic_path
from pipeline.reporting.tables import Grid, markdown_grid
from pipeline.reporting.twins import PAPERS, Difference, twins_grid

START, END = "<!-- results -->", "<!-- /results -->"


def write_results(path: Path, found: Sequence[Difference]) -> None:
    """Put the differences of the papers' models between the markers of the Markdown file `path`.

    A file without both markers stays as it is, and none is made.
    """
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        return
    with atomic_path(path) as temporary:
        temporary.write_text(f"{before}{start}\n{results(found)}\n{end}{after}", encoding="utf-8")


def results(found: Sequence[Difference]) -> str:
    """Return the block as Markdown: what was measured, and a line for each difference.

    Of SPG's boxes from other maps those of `spg.localize_from` are there.
    """
    own = [each for each in found if each.model in (*PAPERS, RECOMMENDED)]
    grid = twins_grid(own)
    table = Grid(
        ("table", *grid.head[:4]),
        tuple((each.figure.table, *row[:4]) for each, row in zip(own, grid.rows, strict=True)),
    )
    return f"{_origin(own)}\n\n{markdown_grid(table)}"


def _origin(found: Sequence[Difference]) -> str:
    data = _listed(each.dataset for each in found)
    networks = _listed(each.network for each in found)
    seeds = _listed(str(each.seed) for each in found)
    return f"Data: {data}. Network: {networks}. Seed: {seeds}. Percent."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
