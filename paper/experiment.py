"""One run of a table: its values, its command, and what it makes of params.yaml."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from paper.settings import FILE, FURTHER, Run, Settings, Value, listing, problems
from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.params import Params


@dataclass(frozen=True)
class Experiment:
    """A run of a table with all its values.

    Attributes:
        table, variant: their names, e.g. "spn-2" and "vgg16".
        values: dotted key of params.yaml -> (value, source).
        rows, further: see `Run`.
    """

    table: str
    variant: str
    models: tuple[str, ...]
    values: Mapping[str, tuple[Value, str]]
    rows: Mapping[str, str]
    further: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The experiment's name in DVC."""
        return f"{self.table}-{self.variant}"

    def command(self) -> list[str]:
        """Return the words of the one command that runs it.

        It sets every value of the setting, so that it does the same whatever params.yaml holds.
        """
        changes = (f"{key}={written(value)}" for key, (value, _) in self.values.items())
        flagged = [word for change in changes for word in ("-S", change)]
        targets = [target(name) for name in (*self.models, *self.further)]
        return ["dvc", "exp", "run", "--name", self.name, *flagged, *targets]

    def applied(self, params: Params) -> Params:
        """Return `params` with this experiment's values.

        Raises:
            InputError: a key that params.yaml does not have, or a value that it does not take.
        """
        content = params.model_dump()
        for key, (value, _) in self.values.items():
            *sections, last = key.split(".")
            block = _section(content, sections)
            if last not in block or isinstance(block[last], dict):
                raise InputError(f"{FILE.name}: {self.name}: params.yaml has no key {key}")
            block[last] = value
        try:
            return Params.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{FILE.name}: {self.name}: {problems(error)}") from None


def target(model: str) -> str:
    """Return the stage that evaluates `model`: "evaluate_spn@multi" of "spn_multi"."""
    return FURTHER.get(model) or registry.MODELS[model].stage("evaluate")


def experiments(settings: Settings, table: str) -> tuple[Experiment, ...]:
    """Return the experiments of `table`, in order; InputError lists the tables that there are."""
    if table not in settings.tables:
        asked = f"TABLE={table} is none of these" if table else "name a TABLE, one of these"
        raise InputError(f"{asked}:\n{listing(settings)}")
    return tuple(
        Experiment(
            table,
            variant,
            tuple(run.models),
            _values(settings, run) | switched(run.further),
            run.rows,
            tuple(run.further),
        )
        for variant, run in settings.tables[table].runs.items()
    )


def chosen(settings: Settings, table: str, variants: list[str]) -> tuple[Experiment, ...]:
    """Return the experiments of `table` named `variants`, or all; InputError lists the names."""
    every = experiments(settings, table)
    names = [experiment.variant for experiment in every]
    for variant in variants:
        if variant not in names:
            raise InputError(f"VARIANT={variant} is none of {table}'s: {', '.join(names)}")
    return tuple(e for e in every if not variants or e.variant in variants)


def differences(before: Params, after: Params) -> Iterator[tuple[str, Value, Value]]:
    """Yield (dotted key, value before, value after) of every parameter that differs."""
    changed = dict(_leaves(after.model_dump()))
    for key, value in _leaves(before.model_dump()):
        if changed[key] != value:
            yield key, value, changed[key]


def _values(settings: Settings, run: Run) -> dict[str, tuple[Value, str]]:
    """Each key of a run's blocks and own values, with its value and source."""
    groups = [group for block in run.blocks for group in settings.blocks[block]]
    return {
        key: (value, group.source)
        for group in [*groups, *run.values]
        for key, value in group.values.items()
    }


def switched(names: Iterable[str]) -> dict[str, tuple[Value, str]]:
    """Return the lists of params.yaml that hold those methods that are among `names`, no others."""
    wanted, source = set(names), "the methods of the table, and no others"
    lists: dict[str, list[str]] = {
        "methods": registry.listed("methods"),
        "proposals": registry.listed("proposals"),
    }
    found = {key: [name for name in known if name in wanted] for key, known in lists.items()}
    found["saliency.tracks"] = [t for t in ("multi", "single") if f"saliency_{t}" in wanted]
    return {key: (value, source) for key, value in found.items()}


def _leaves(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _section(content: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """The block at `path`; an empty one where there is none."""
    block: Any = content
    for name in path:
        block = block.get(name) if isinstance(block, dict) else None
    return block if isinstance(block, dict) else {}


def written(value: Value) -> str:
    """Return `value` as DVC reads it on its command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace(" ", "")
