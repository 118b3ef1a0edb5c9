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
from pipeline.methods.registry import models
from pipeline.packed.record import SPLITS, Dataset, Record, Split
from pipeline.reporting.catalogue import TABLES
from pipeline.reporting.metrics_json import HEADLINES
from pipeline.reporting.readme import END, START
from stages.paths import (
    LISTING,
    REPORTS,
    history_file,
    predictions_file,
    scores_file,
    split_folder,
)
from stages.tabulate import tabulate
from tests.reporting.conftest import invented_differences

REPOSITORY = Path(__file__).parents[2]
SCORES = json.loads((REPOSITORY / "tests/reporting/scores.json").read_text())
IDS = ("a", "b", "c")
PER_CLASS = "tables/per-class.csv"
SALIENCY = {"saliency_multi": "mwp_multi", "saliency_single": "mwp_single"}


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
def data(tmp_path, monkeypatch, params):
    """What `evaluate` and the stages before it leave, for three grey pictures."""
    monkeypatch.chdir(tmp_path)
    for track in ("multi", "single"):
        dataset = Dataset(
            track,
            track,
            ("bird", "fish"),
            {name: Split(partial(map, record), IDS) for name in SPLITS},
        )
        pack(dataset, split_folder(track, "test").parent, origin="", workers=1)
    put(LISTING, "[]")
    for name, model in SALIENCY.items():
        put(scores_file(name), json.dumps({model: SCORES[model]}))
    compared = {"differences": invented_differences(SCORES), "ranking": {}, "sources": {}}
    put(scores_file("compare"), json.dumps(compared))
    for model in models(params):
        write_model(model.name)


def write_model(name):
    put(scores_file(name), json.dumps(SCORES[name]))
    put(history_file(name), "epoch,loss\n1,0.7\n2,0.5\n")
    write_predictions(predictions_file(name), (prediction(each, name) for each in IDS))


def with_lists(params, **lists):
    return params.model_copy(update=lists)


def reports():
    return {str(p.relative_to(REPORTS)): p.read_bytes() for p in REPORTS.rglob("*") if p.is_file()}


def test_reports_are_complete_and_byte_identical_twice(params):
    tabulate(params)
    first = reports()
    tabulate(params)
    assert reports() == first
    tables = {f"tables/{table.id}.{end}" for table in TABLES for end in ("csv", "md")}
    figures = {f"figures/{name}.webp" for name in ("multi", "single")}
    others = {"metrics.json", "index.html", PER_CLASS, "tables/twins.csv", "tables/twins.md"}
    assert set(first) == others | tables | figures


def test_methods_that_are_listed_stand_in_the_tables(params):
    write_model("has")
    tabulate(with_lists(params, methods=["has"]))
    pointing = (REPORTS / "tables/spn-2.md").read_text()
    assert "| MWP | " in pointing.split("## Published")[0]
    assert "| Grad | " not in pointing.split("## Published")[0]
    assert "| HaS | " in (REPORTS / "tables/spg-4.md").read_text()
    assert "has_table4_gt_known_error" in json.loads((REPORTS / "metrics.json").read_text())


def test_what_a_method_left_is_ignored_once_it_is_off_the_list(params):
    tabulate(params)
    before = reports()
    write_model("has")
    put(scores_file("acol"), "damaged")
    tabulate(params)
    assert reports() == before


def test_a_track_without_saliency_methods_needs_no_scores_of_them(params):
    scores_file("saliency_single").unlink()
    tracks = params.saliency.model_copy(update={"tracks": ["multi"]})
    tabulate(with_lists(params, saliency=tracks))
    assert "| MWP | " not in (REPORTS / "tables/spg-4.md").read_text().split("## Published")[0]


def test_other_rankings_come_from_the_comparison(params):
    ranking = {"spg+resnet50": SCORES["spg+resnet50"]}
    compared = {"differences": invented_differences(SCORES), "ranking": ranking}
    put(scores_file("compare"), json.dumps(compared))
    tabulate(params)
    assert "| SPG, ranked by ResNet-50 | " in (REPORTS / "tables/spg-3.md").read_text()


def test_boxes_from_other_maps_come_from_the_comparison(params):
    names = ("spg:b2", "spg:attention+b", "spg_plain:attention+gaussian")
    sources = {name: SCORES[name] for name in names}
    differences = invented_differences(SCORES) | invented_differences(SCORES, names)
    compared = {"differences": differences, "ranking": {}, "sources": sources}
    put(scores_file("compare"), json.dumps(compared))
    tabulate(params)
    for table in ("spg-1", "spg-2", "spg-4", "twins"):
        assert "| SPG, boxes from B2 " in (REPORTS / f"tables/{table}.md").read_text()


def test_metrics_are_flat_headlines(params):
    tabulate(params)
    metrics = json.loads((REPORTS / "metrics.json").read_text())
    assert set(metrics) == set(HEADLINES)
    assert all(isinstance(value, float) for value in metrics.values())


def test_the_results_go_into_the_readme(params):
    put(Path("README.md"), f"{START}\n{END}\n")
    tabulate(params)
    row = "| SPG 4 | GT-known error ↓ | SPG-plain 42.3 | SPG 37.9 |"
    assert row in Path("README.md").read_text()


def test_the_values_of_each_class_have_a_file_of_their_own(params):
    tabulate(params)
    lines = (REPORTS / PER_CLASS).read_text().splitlines()
    assert lines[0] == "model,data set,score,class,value,low,high"
    assert "spn_multi,cutouts_multi,cor_loc,bird,39.1,36.6,41.1" in lines


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        (scores_file("spg"), "evaluate"),
        (scores_file("compare"), "evaluate"),
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
