"""What a study is: rows of settings, compared over seeds. A YAML file in this folder is one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from paper.settings import problems
from pipeline.errors import InputError
from pipeline.methods.registry import MODELS
from pipeline.params import Section

Settings = Mapping[str, Any]
"""Dotted key of params.yaml -> value."""


class Row(Section):
    """A model under its settings.

    Attributes:
        row: its name.
        model: as in data/models.
        source: of its boxes, one of `pipeline.evaluation.protocol.sources`; none: its own maps.
        twin: the row that it is compared with.
    """

    row: str
    model: str
    settings: dict[str, Any] = {}
    source: str | None = None
    twin: str | None = None

    @model_validator(mode="after")
    def _model_is_known(self) -> Self:
        if self.model not in MODELS:
            raise ValueError(f"model {self.model} is none of {', '.join(MODELS)}")
        return self


class FigureColumn(Section):
    """A figure: `key` is its dotted path among scores; `higher` tells which side is better."""

    name: str
    key: str
    higher: bool


class Sweep(Section):
    """A number of params.yaml, and the values of it that all rows are run at."""

    key: str
    values: Annotated[list[float], Field(min_length=2)]

    def name(self, row: str, value: float) -> str:
        """Return the name of a row at a value: "SPN, 0.5"."""
        return f"{row}, {value:g}"


class Study(Section):
    """Rows and figures of a study.

    Attributes:
        rows: with a sweep, what is run at each of its values.
        data: what the images are, in the words that figures are reported with.
        settings: of all rows; each row's own come on top.
        judged_on: the split whose images figures are of. "val": for what is chosen by them.
        epochs: rows whose history is kept, by the columns that are.
    """

    title: str
    data: str
    judged_on: Literal["val", "test"]
    seeds: Annotated[list[int], Field(min_length=1)]
    settings: dict[str, Any]
    rows: Annotated[list[Row], Field(min_length=1)]
    figures: Annotated[list[FigureColumn], Field(min_length=1)]
    epochs: dict[str, list[str]] = {}
    sweep: Sweep | None = None

    @property
    def all_rows(self) -> list[Row]:
        """The rows, with a sweep at each of its values."""
        sweep = self.sweep
        if sweep is None:
            return self.rows
        return [
            row.model_copy(
                update={
                    "row": sweep.name(row.row, value),
                    "settings": row.settings | {sweep.key: value},
                    "twin": row.twin and sweep.name(row.twin, value),
                }
            )
            for value in sweep.values
            for row in self.rows
        ]

    @model_validator(mode="after")
    def _names_are_rows(self) -> Self:
        names = [row.row for row in self.all_rows]
        for name in [*(row.twin for row in self.all_rows if row.twin), *self.epochs]:
            if name not in names:
                raise ValueError(f"{name!r} is none of the rows {', '.join(names)}")
        if len(set(names)) < len(names):
            raise ValueError(f"two rows have one name: {', '.join(names)}")
        return self

    def experiments(self) -> dict[str, tuple[Settings, list[Row]]]:
        """Return the rows that one training run serves, by its settings, and these."""
        found: dict[str, tuple[Settings, list[Row]]] = {}
        for row in self.all_rows:
            settings = self.settings | row.settings
            found.setdefault(repr(sorted(settings.items())), (settings, []))[1].append(row)
        return found


def read_study(path: Path) -> Study:
    """Read a study; InputError names the file and what is wrong in it."""
    if not path.is_file():
        known = ", ".join(sorted(str(each) for each in Path("studies").glob("*.yaml")))
        raise InputError(f"{path}: no such study; there are {known}")
    try:
        return Study.model_validate(YAML(typ="safe").load(path))
    except YAMLError as error:
        raise InputError(f"{path}: no YAML ({error})") from None
    except ValidationError as error:
        raise InputError(f"{path}: {problems(error)}") from None
