"""The settings of `settings.yaml`: what each table of the papers is run with."""

from functools import cache
from pathlib import Path

from pydantic import ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.params import Section
from pipeline.reporting.catalogue import TABLES

FILE = Path(__file__).with_name("settings.yaml")

FURTHER = {
    **{
        name: registry.MODELS[name].stage("evaluate")
        for name in (*registry.listed("methods"), *registry.listed("proposals"))
    },
    "saliency_multi": "evaluate_saliency@multi",
    "saliency_single": "evaluate_saliency@single",
    "compare": "compare",
}
"""Scores files that a run can have besides those of its models, and the stage that writes each."""

Value = bool | int | float | str | list[int] | list[float] | list[str]


class Sourced(Section):
    """Values of dotted keys of params.yaml, and where they are from."""

    source: str
    values: dict[str, Value]


class DataSet(Section):
    """Images that a data set trains on and is tested on, and its classes."""

    train: int
    test: int
    classes: int


class Run(Section):
    """One experiment: the models that it trains and evaluates, and with what.

    Attributes:
        blocks: names of shared values; the later block wins, then the run's own `values`.
        further: names of other scores files that are wanted; their methods are switched on.
        rows: row of the catalogue -> the row that it is here; for ablations.
    """

    blocks: list[str]
    models: list[str]
    further: list[str] = []
    values: list[Sourced] = []
    rows: dict[str, str] = {}


class TableSetting(Section):
    """The runs that fill a table; `notes` tell what the papers leave open or we do differently."""

    notes: list[str]
    runs: dict[str, Run]


class Settings(Section):
    """The whole of settings.yaml."""

    data_sets: dict[str, DataSet]
    blocks: dict[str, list[Sourced]]
    tables: dict[str, TableSetting]

    @model_validator(mode="after")
    def _blocks_exist(self) -> "Settings":
        for table, setting in self.tables.items():
            for variant, run in setting.runs.items():
                for block in run.blocks:
                    if block not in self.blocks:
                        raise ValueError(f"{table}-{variant}: there is no block {block}")
                for name in run.further:
                    if name not in FURTHER:
                        raise ValueError(f"{table}-{variant}: there are no scores {name}")
        return self


@cache
def load() -> Settings:
    """Return the content of settings.yaml; errors as `parse`."""
    return parse(FILE.read_text(encoding="utf-8"))


def parse(text: str) -> Settings:
    """Return the settings that `text` holds.

    Raises:
        InputError: no YAML, or unknown or missing keys or values of the wrong type; names each.
    """
    try:
        return Settings.model_validate(YAML(typ="safe", pure=True).load(text))
    except YAMLError as error:
        raise InputError(f"{FILE.name}: not valid YAML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{FILE.name}: {problems(error)}") from None


def listing(settings: Settings) -> str:
    """Return a line for each table: its name, title and variants."""
    titles = {table.id: table.title for table in TABLES}
    return "\n".join(
        f"  TABLE={name}  {titles[name]} (VARIANT: {', '.join(setting.runs)})"
        for name, setting in settings.tables.items()
    )


def problems(error: ValidationError) -> str:
    """Return all that is wrong, each with its key, on one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors()
    )
