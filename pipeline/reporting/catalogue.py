"""The ten tables: which score fills which cell, how to read them, what is not run and why.

They stand in `spn.yaml` and `spg.yaml`, a file for each paper. A row of a table is a line there:
the `row`'s name, the `model` whose scores fill it, one of the table's sets of `columns` (the first
unless it is named), and the `paper`'s name of that row where it is another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import InputError
from pipeline.params import Section

ANY_OTHER = "*"
"""As a row's `model`: every method that has no row of its own in the table."""

INTERVAL = (
    "In brackets: the 95 % interval over images (bootstrap); it holds no spread of trainings."
)
SWITCHES = {
    "methods": "off by default, `dvc exp run -S 'methods=[{model}]'`",
    "proposals": "off by default, `dvc exp run -S 'proposals=[{model}]'`",
    "saliency": "add it to `saliency.methods` of its track, and that to `saliency.tracks`",
    "ranking": "`dvc exp run -S 'ranking.classifiers=[...]'` with ImageNet weights of it",
}
"""Parameter that lists what is run -> how to have a row that it leaves out."""


@dataclass(frozen=True)
class Measured:
    """Where one score goes: `key` of the scores of `model` fills `row` and `column`.

    `key` and `n` are dotted paths; `n` counts the images (for pointing: image and class pairs).
    A `key` that leads to several estimates fills one column for each, named "{entry}". `model` may
    be a pattern ("spg+*"), or `ANY_OTHER`. In names "{network}" stands for the backbone in the
    paper's words, "{ranker}" for what follows the "+" of the model, "{label}" for the method,
    or for what the scores name themselves.
    `paper` is the paper's row where it is named differently, `paper_network` the network whose
    column it is compared with, whatever the backbone. `optional` scores may be absent; those that
    need `boxes` may be where images have none. `switch` tells how to have the model when it was not
    run.
    """

    model: str
    key: str
    row: str
    column: str
    n: str
    paper: str | None
    paper_network: str | None
    optional: bool
    boxes: bool
    switch: str


@dataclass(frozen=True)
class Table:
    """One table of a paper.

    `networks` and `rankers` map the names of backbones and classifiers to those in the paper.
    `published_on` names the paper's data and network in words. `not_run` gives the reason for
    rows that need one; `default_reason` goes for the others. `thresholded` tables state the
    thresholds that their boxes rest on.
    """

    id: str
    title: str
    how_to_read: str
    published_on: str
    networks: Mapping[str, str]
    rankers: Mapping[str, str]
    measured: tuple[Measured, ...]
    default_reason: str
    not_run: Mapping[str, str]
    notes: tuple[str, ...]
    thresholded: bool

    def matches(self, line: Measured, model: str, labels: Mapping[str, str]) -> bool:
        """Tell whether `model` fills `line`; `labels` has the methods that `ANY_OTHER` means."""
        if line.model == ANY_OTHER:
            others = (other for other in self.measured if other.model != ANY_OTHER)
            return model in labels and not any(fnmatchcase(model, o.model) for o in others)
        return fnmatchcase(model, line.model)

    def names(self, backbone: str, model: str, label: str = "") -> dict[str, str]:
        """Return what stands for the placeholders in the names of rows and columns."""
        ranker = model.partition("+")[2]
        return {
            "network": self.networks.get(backbone, backbone),
            "ranker": self.rankers.get(ranker, ranker),
            "label": label,
        }

    def rows_in_paper(self, line: Measured, model: str, label: str = "") -> frozenset[str]:
        """Return the paper's rows, one for each network, of a `model` of `line`."""
        row = line.paper or line.row
        return frozenset(row.format(**self.names(b, model, label)) for b in self.networks)

    def lines_of(self, row: str) -> list[Measured]:
        """Return the lines that a model of the paper's `row` would fill."""
        return [line for line in self.measured if row in self._rows_in_paper_of_any(line)]

    def _rows_in_paper_of_any(self, line: Measured) -> frozenset[str]:
        models = (line.model.replace("*", ranker) for ranker in ("", *self.rankers))
        return frozenset().union(*(self.rows_in_paper(line, model) for model in models))


class _Column(Section):
    """A column: its name, the score that fills it and what counts that score's images.

    `boxes`: the score needs annotated boxes.
    """

    column: str
    key: str
    n: str = "test"
    optional: bool = False
    boxes: bool = True


class _Row(Section):
    """A row, as `Measured`; `part` is what it takes of a score that has several."""

    row: str
    model: str
    columns: str | None = None
    part: str | None = None
    paper: str | None = None
    paper_network: str | None = None
    listed: Literal["methods", "proposals", "saliency", "ranking"] | None = None

    def measured(self, columns: Iterable[_Column]) -> Iterable[Measured]:
        """Return a line for each column."""
        switch = SWITCHES[self.listed] if self.listed else "not on this data set"
        return (
            Measured(
                model=self.model,
                key=f"{column.key}.{self.part}" if self.part else column.key,
                row=self.row,
                column=column.column,
                n=column.n,
                paper=self.paper,
                paper_network=self.paper_network,
                optional=column.optional or self.model == ANY_OTHER,
                boxes=column.boxes,
                switch=switch.format(model=self.model),
            )
            for column in columns
        )


class _Table(Section):
    """A table, as `Table`; `columns` are named sets of columns."""

    title: str
    how_to_read: str
    published_on: str
    columns: Annotated[dict[str, list[_Column]], Field(min_length=1)]
    rows: list[_Row]
    default_reason: str = "another system, not rebuilt"
    not_run: dict[str, str] = {}
    notes: list[str] = []
    thresholded: bool = False

    @model_validator(mode="after")
    def _rows_have_columns(self) -> Self:
        for row in self.rows:
            if row.columns not in (None, *self.columns):
                known = ", ".join(self.columns)
                raise ValueError(f"row {row.row!r}: columns {row.columns!r} are none of {known}")
        return self

    def table(self, name: str, paper: "_Paper") -> Table:
        """Return the table, named `name`, of its paper."""
        first = next(iter(self.columns))
        return Table(
            id=name,
            title=self.title,
            how_to_read=f"{self.how_to_read} {INTERVAL}",
            published_on=self.published_on,
            networks=paper.networks,
            rankers=paper.rankers,
            measured=tuple(
                line
                for row in self.rows
                for line in row.measured(self.columns[row.columns or first])
            ),
            default_reason=self.default_reason,
            not_run=self.not_run,
            notes=tuple(self.notes),
            thresholded=self.thresholded,
        )


class _Paper(Section):
    """The tables of a paper by their names ("spn-1")."""

    networks: dict[str, str]
    rankers: dict[str, str] = {}
    tables: dict[str, _Table]


def parse(text: str, name: str) -> tuple[Table, ...]:
    """Return the tables that the YAML `text` of the file `name` holds.

    Raises:
        InputError: no YAML, an unknown or missing key, or a value of the wrong type; names each.
    """
    try:
        paper = _Paper.model_validate(YAML(typ="safe", pure=True).load(text))
        return tuple(table.table(key, paper) for key, table in paper.tables.items())
    except YAMLError as error:
        raise InputError(f"{name}: not valid YAML: {error}") from None
    except ValidationError as error:
        problems = (
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        )
        raise InputError(f"{name}: {'; '.join(problems)}") from None


def _read(name: str) -> tuple[Table, ...]:
    text = files("pipeline.reporting").joinpath(name).read_text(encoding="utf-8")
    return parse(text, name)


TABLES = (*_read("spn.yaml"), *_read("spg.yaml"))
