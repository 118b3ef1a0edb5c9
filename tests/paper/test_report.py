"""The table that the runs of a setting make, from invented scores."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from paper.experiment import Experiment, experiments
from paper.report import combined, keep, record_file, write
from paper.settings import load as load_settings
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.params import Params
from pipeline.reporting.catalogue import TABLES
from tests.conftest import REPOSITORY

FOUND = load_settings()
SCORES = json.loads((REPOSITORY / "tests/reporting/scores.json").read_text())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measured(experiment: Experiment, params: Params, dataset: str, **changed: Any) -> None:
    """Keep a run with the invented scores on a data set, on the run's network."""
    network = experiment.values["backbone.name"][0]
    for name in (*experiment.models, *experiment.further):
        own = {"dataset": dataset, "backbone": network}
        content = SCORES[name] | own | changed if name in SCORES else {}
        write_json(Path("data/scores") / f"{name}.json", content)
    keep(experiment, experiment.applied(params))


def named(every: tuple[Experiment, ...], variant: str) -> Experiment:
    return next(e for e in every if e.variant == variant)


def table_of(every: tuple[Experiment, ...]) -> Any:
    table = next(table for table in TABLES if table.id == every[0].table)
    return combined(table, every, [])


def cells(every: tuple[Experiment, ...]) -> dict[tuple[str, str], Any]:
    return {(cell.row, cell.column): cell for cell in table_of(every).measured}


def test_each_network_stands_beside_its_column_of_the_paper(params: Params) -> None:
    every = experiments(FOUND, "spn-2")
    for experiment in every:
        measured(experiment, params, "VOC2007")
    found = cells(every)
    assert found["SPN", "CNN-S all"].delta == pytest.approx(75.5 - 81.8)
    assert found["SPN", "GoogLeNet difficult"].paper == 79.1
    assert found["Center", "VGG16 all"].delta == pytest.approx(38.6 - 69.5)


def test_two_data_sets_give_two_lines(params: Params) -> None:
    every = experiments(FOUND, "spn-3")
    for experiment, dataset in zip(every, ("VOC2012", "COCO2014"), strict=True):
        measured(experiment, params, dataset)
    text = write(every, ["A deviation."])
    spn = [line for line in text.splitlines() if line.startswith("| SPN |")]
    assert ["VOC2012" in line for line in spn] == [True, False, False]
    assert ["COCO2014" in line for line in spn] == [False, True, False]
    assert "- A deviation." in text


def test_an_ablation_stands_in_its_own_row_beside_the_papers(params: Params) -> None:
    every = experiments(FOUND, "spg-4")
    measured(named(every, "full"), params, "ILSVRC")
    error = {"value": 40.0, "low": 38.0, "high": 42.0}
    measured(named(every, "no-cascade"), params, "ILSVRC", gt_known_error=error)
    found = cells(every)
    row = "SPG, both B from the attention seeds (Sec. 4.3)"
    assert found[row, "GT-known error"].delta == pytest.approx(40.0 - 35.58)
    assert found["SPG", "GT-known error"].value != 40.0
    text = write(every, [])
    lines = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
    assert lines[-1].endswith("| measured above |")
    assert "| SPG without C (Sec. 4.3) | 36.06 | published only" in text


def test_the_thresholds_of_each_run_are_told(params: Params) -> None:
    every = experiments(FOUND, "spg-4")
    measured(named(every, "no-c"), params, "ILSVRC")
    protocol = table_of(every).protocol
    assert protocol.startswith("no-c: ") and "spg_plain" not in protocol


def test_a_table_names_the_runs_that_it_stands_on_and_those_missing(params: Params) -> None:
    every = experiments(FOUND, "spn-2")
    measured(every[1], params, "VOC2007")
    text = write(every, [])
    assert "- Run vgg16: `dvc exp run --name spn-2-vgg16 -S " in text
    assert "- Run googlenet: no figures yet." in text
    assert Path("reports/paper/spn-2.md").read_text() == text
    lines = list(csv.DictReader(Path("reports/paper/spn-2.csv").read_text().splitlines()))
    assert {"measured", "published"} == {line["source"] for line in lines}


def test_a_table_without_any_run_shows_the_papers_figures(params: Params) -> None:
    text = write(experiments(FOUND, "spg-2"), [])
    assert "Nothing was measured" in text and "53.36" in text


def test_a_record_holds_command_parameters_and_scores(params: Params) -> None:
    (experiment,) = experiments(FOUND, "spn-1")
    measured(experiment, params, "VOC2007")
    record = json.loads(record_file(experiment).read_text())
    assert record["command"] == experiment.command()
    assert record["params"]["backbone"]["name"] == "vgg16"
    assert record["scores"]["spn_multi"]["dataset"] == "VOC2007"


def test_a_run_without_scores_is_not_kept(params: Params) -> None:
    (experiment,) = experiments(FOUND, "spn-1")
    with pytest.raises(InputError, match=r"spn_multi\.json: not found"):
        keep(experiment, params)
    assert not record_file(experiment).exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"scores": {}}'])
def test_a_damaged_record_is_named(content: str) -> None:
    every = experiments(FOUND, "spn-1")
    record_file(every[0]).parent.mkdir(parents=True)
    record_file(every[0]).write_text(content)
    with pytest.raises(InputError, match=r"vgg16\.json: not a record of a run .*delete it"):
        write(every, [])
