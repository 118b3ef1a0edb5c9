import json
import subprocess
import sys
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.packing import pack
from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction, write_predictions
from pipeline.packed.record import Dataset, Record, Split
from pipeline.reporting.catalogue import FURTHER, MODELS, TABLES
from stages.paths import REPORTS, history_file, predictions_file, scores_file, split_folder
from stages.tabulate import tabulate
from tests.reporting.conftest import invented_differences

REPOSITORY = Path(__file__).parents[2]
SCORES = json.loads((REPOSITORY / "tests/reporting/scores.json").read_text())
IDS = ("a", "b", "c")
PER_CLASS = "tables/per-class.csv"
FURTHER_SCORES = {"has": SCORES["has"], "saliency_multi": {"mwp_multi": SCORES["mwp_multi"]}}


def record(name):
    buffer = BytesIO()
    Image.new("RGB", (32, 32), "gray").save(buffer, "PNG")
    box, label = np.array([[4, 4, 20, 20]], np.float32), np.array([0])
    return Record(name, buffer.getvalue(), 32, 32, (0,), box, label, np.array([False]))


def prediction(name, model):
    maps = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
    return Prediction(
        id=name,
        split="test",
        scores=np.zeros(2, np.float32),
        map_classes=np.array([0, 1]),
        maps=maps,
        proposal_map=maps[0] / maps[0].sum() if model == "spn_multi" else None,
        guidance={branch: maps[0] for branch in ("b1", "b2", "c")} if model == "spg" else {},
    )


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """What `evaluate` and the stages before it leave, for three grey pictures."""
    monkeypatch.chdir(tmp_path)
    for track in ("multi", "single"):
        dataset = Dataset(
            track, track, ("bird", "fish"), {"test": Split(partial(map, record), IDS)}
        )
        pack(dataset, split_folder(track, "test").parent, origin="", workers=1)
    for name in FURTHER:
        put(scores_file(name), json.dumps(FURTHER_SCORES.get(name, {})))
    put(scores_file("twins"), json.dumps(invented_differences(SCORES)))
    for model in MODELS:
        put(scores_file(model), json.dumps(SCORES[model]))
        put(history_file(model), "epoch,loss\n1,0.7\n2,0.5\n")
        write_predictions(predictions_file(model), (prediction(name, model) for name in IDS))


def reports():
    return {str(p.relative_to(REPORTS)): p.read_bytes() for p in REPORTS.rglob("*") if p.is_file()}


def test_reports_are_complete_and_byte_identical_twice(params):
    tabulate(params)
    first = reports()
    tabulate(params)
    assert reports() == first
    tables = {f"tables/{table.id}.{end}" for table in TABLES for end in ("csv", "md")}
    figures = {f"figures/{name}.png" for name in ("multi", "single", "history")}
    others = {"metrics.json", "index.html", PER_CLASS, "tables/twins.csv", "tables/twins.md"}
    assert set(first) == others | tables | figures


def test_methods_that_are_switched_on_stand_in_the_tables(params):
    tabulate(params)
    pointing = (REPORTS / "tables/spn-2.md").read_text()
    assert "| MWP | " in pointing.split("## Published")[0]
    assert "| Grad | " not in pointing.split("## Published")[0]
    assert "| HaS | " in (REPORTS / "tables/spg-4.md").read_text()


def test_the_values_of_each_class_have_a_file_of_their_own(params):
    tabulate(params)
    lines = (REPORTS / PER_CLASS).read_text().splitlines()
    assert lines[0] == "model,data set,score,class,value,low,high"
    assert "spn_multi,cutouts_multi,cor_loc,bird,39.1,36.6,41.1" in lines


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        (scores_file("spg"), "evaluate"),
        (scores_file("twins"), "evaluate"),
        (predictions_file("spn_multi"), "evaluate"),
        (split_folder("single", "test") / "index.json", "preprocess"),
        (history_file("cam_multi"), "train"),
    ],
)
def test_a_missing_input_names_itself_and_the_stage_and_leaves_no_table(params, missing, stage):
    missing.unlink()
    with pytest.raises(InputError, match=f"{missing.name}: not found.*{stage}"):
        tabulate(params)
    assert not {name for name in reports() if not name.startswith("figures/")}


def test_torch_is_not_needed():
    code = "import sys, stages.tabulate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
