"""`make complete`, from invented scores."""

import json
from pathlib import Path

import pytest

from paper.complete import EXPERIMENTS, write
from paper.experiment import target
from paper.report import FOLDER, record_file
from paper.settings import FURTHER
from pipeline.files import write_json
from pipeline.methods.registry import listed, models
from pipeline.params import Params
from pipeline.reporting.catalogue import TABLES
from tests.conftest import REPOSITORY

SCORES = json.loads((REPOSITORY / "tests/reporting/scores.json").read_text())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def keep_invented(params: Params) -> None:
    for experiment in EXPERIMENTS:
        scores = SCORES if experiment.variant == "all" else {"spg": SCORES["spg"]}
        record = {"command": experiment.command(), "params": params.model_dump(), "scores": scores}
        write_json(record_file(experiment), record)


def test_the_first_run_switches_every_method_on(params: Params) -> None:
    applied = EXPERIMENTS[0].applied(params)
    assert applied.methods == listed("methods")
    assert applied.proposals == listed("proposals")
    assert applied.ranking.classifiers


def test_every_scores_file_is_made_by_a_stage(params: Params) -> None:
    command = EXPERIMENTS[0].command()
    assert {target(name) for name in (*(model.name for model in models(params)), *FURTHER)} <= set(
        command
    )


def test_each_ablation_changes_one_value_of_spg_alone(params: Params) -> None:
    for experiment in EXPERIMENTS[1:]:
        before, after = params.model_dump(), experiment.applied(params).model_dump()
        changed = [key for key in before["spg"] if before["spg"][key] != after["spg"][key]]
        assert [f"spg.{key}" for key in changed] == list(experiment.values)
        assert {key for key in before if before[key] != after[key]} == {"spg"}


def test_every_line_of_the_catalogue_is_measured(params: Params) -> None:
    keep_invented(params)
    write()
    for table in TABLES:
        measured, published = (FOLDER / f"complete/{table.id}.md").read_text().split("## Published")
        rows = {line.row for line in table.measured if "{" not in line.row}
        assert [row for row in rows if f"| {row} |" not in measured] == []
        assert "not run yet" not in published


def test_ablations_stand_in_rows_of_their_own(params: Params) -> None:
    keep_invented(params)
    write()
    measured = (FOLDER / "complete/spg-4.md").read_text().split("## Published")[0]
    assert measured.count("| SPG |") == 1
    for experiment in EXPERIMENTS[1:]:
        assert measured.count(f"| {experiment.rows['SPG']} |") == 1


def test_other_tables_do_not_speak_of_the_ablations(params: Params) -> None:
    keep_invented(params)
    write()
    for table in TABLES:
        assert ("no-cascade" in (FOLDER / f"complete/{table.id}.md").read_text()) == (
            table.id == "spg-4"
        )


def test_before_any_run_there_are_the_papers_figures_alone() -> None:
    write()
    assert "Nothing was measured" in (FOLDER / "complete/spn-2.md").read_text()
