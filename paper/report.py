"""What the runs of a table have measured: kept run by run, and the table made of it."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from paper.experiment import Experiment
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.params import Params
from pipeline.reporting.catalogue import TABLES, Table
from pipeline.reporting.published import of_table
from pipeline.reporting.tables import (
    FilledTable,
    fill_table,
    markdown,
    read_scores,
    write_tables,
)
from stages.paths import REPORTS, scores_file

FOLDER = REPORTS / "paper"


def record_file(experiment: Experiment) -> Path:
    """Where the command, parameters and scores of the last complete run are kept."""
    return FOLDER / experiment.table / f"{experiment.variant}.json"


def keep(experiment: Experiment, params: Params) -> None:
    """Write the record of a run that has just ended; InputError when it left no scores."""
    record = {
        "command": experiment.command(),
        "params": params.model_dump(),
        "scores": read_scores(map(scores_file, (*experiment.models, *experiment.further))),
    }
    write_json(record_file(experiment), record)


def write(every: tuple[Experiment, ...], notes: list[str]) -> str:
    """Write `<table>.md` and `<table>.csv` of all kept runs of a table; return the Markdown.

    Args:
        every: all experiments of the table; those that never ended are named as missing.
    """
    table = next(table for table in TABLES if table.id == every[0].table)
    filled = combined(table, every, notes)
    write_tables([filled], FOLDER)
    return markdown(filled)


def combined(table: Table, every: tuple[Experiment, ...], notes: list[str]) -> FilledTable:
    """Return `table` with the cells of each kept run, and a note on each run."""
    records = {e.variant: _record(e) for e in every if record_file(e).exists()}
    labels = registry.labels([*registry.listed("methods"), *registry.listed("proposals")])
    parts = {
        e.variant: fill_table(_own_rows(table, e), records[e.variant]["scores"], labels)
        for e in every
        if e.variant in records
    }
    lines = [line for part in parts.values() for line in part.table.measured]
    rows = {line.row for line in lines}
    return FilledTable(
        table=replace(
            table,
            measured=tuple(dict.fromkeys([*table.measured, *lines])),
            not_run={row: why for row, why in table.not_run.items() if row not in rows},
            notes=(*table.notes, *notes, *(_note(e, records.get(e.variant)) for e in every)),
        ),
        measured=tuple(cell for part in parts.values() for cell in part.measured),
        published=of_table(table.id),
        protocol="\n\n".join(f"{v}: {part.protocol}" for v, part in parts.items() if part.protocol),
    )


def _record(experiment: Experiment) -> dict[str, Any]:
    path = record_file(experiment)
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {key: record[key] for key in ("command", "params", "scores")}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a record of a run ({error}); delete it") from None


def _own_rows(table: Table, experiment: Experiment) -> Table:
    """`table` with its lines under the experiment's row names; an ablation has no others."""
    lines = (
        replace(line, row=experiment.rows.get(line.row, line.row))
        for line in table.measured
        if not experiment.rows or line.row in experiment.rows
    )
    return replace(table, measured=tuple(lines))


def _note(experiment: Experiment, record: dict[str, Any] | None) -> str:
    """How the run's figures came about."""
    if record is None:
        return f"Run {experiment.variant}: no figures yet."
    return f"Run {experiment.variant}: `{shlex.join(record['command'])}`"
