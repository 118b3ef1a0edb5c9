import shutil
import sys
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import studies.__main__ as study
import studies.plots
from pipeline.evaluation.localization.predictions import Prediction, write_predictions
from pipeline.evaluation.protocol.scores import SCORED_SPLITS
from pipeline.methods.registry import MODELS
from pipeline.packed.store import PackedSplit
from stages.paths import history_file, predictions_file, split_folder
from tests.conftest import REPOSITORY

TEXT = """
title: Guidance that knows the boxes
data: coloured boxes
judged_on: test
seeds: [0, 1]
settings: {input.size: 64}
rows:
- {row: SPG-plain, model: spg_plain}
- {row: SPG, model: spg, twin: SPG-plain}
- {row: from C, model: spg, source: c, twin: SPG-plain}
- {row: CAM, model: cam_multi}
- {row: SPN, model: spn_multi, twin: CAM}
figures:
- {name: GT-known error, key: gt_known_error, higher: false}
- {name: "Pointing, all", key: pointing.all, higher: true}
epochs: {SPG: [loss]}
"""


@pytest.fixture
def trained_before(workspace, monkeypatch):
    """`trained` gives the workspace, in which every model but the plain ones knows the boxes."""
    shutil.copy(REPOSITORY / "params.yaml", workspace)
    asked = []

    @contextmanager
    def trained(name, settings, rows, seed):
        for row in rows:
            write_predictions(predictions_file(row.model), predictions(row.model, seed))
            history = history_file(row.model)
            history.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame({"epoch": [1.0, 2.0], "loss": [2.0 + seed, 1.0]}).to_csv(history)
        asked.append((seed, settings))
        yield workspace

    monkeypatch.setattr(study, "trained", trained)
    return asked


def predictions(model, seed):
    """Maps of the boxes, of the opposite for the twins; with seed 1 the first is wrong."""
    track = MODELS[model].track
    for split in SCORED_SPLITS[track]:
        for number, record in enumerate(PackedSplit(split_folder(track, split))):
            known = np.zeros((record.height, record.width), np.float32)
            for x0, y0, x1, y1 in record.boxes_xyxy.astype(int):
                known[y0:y1, x0:x1] = 1
            wrong = (model in ("spg_plain", "cam_multi")) or (seed == 1 and number == 0)
            maps = np.stack([1 - known if wrong else known] * 3)
            scores = np.array([c in record.labels for c in range(3)], np.float32)
            guidance = {"b1": known, "b2": known, "c": known}
            yield Prediction(record.id, split, scores, np.arange(3), maps, guidance=guidance)


def call(monkeypatch, tmp_path, *words):
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    monkeypatch.setattr(sys, "argv", ["studies", str(path), *words])
    monkeypatch.setattr(study, "RESAMPLES", 30)
    study.main()


def test_a_study_leaves_its_table_page_and_figure(trained_before, monkeypatch, tmp_path):
    call(monkeypatch, tmp_path)
    assert [seed for seed, _ in trained_before] == [0, 1]
    table = pd.read_csv("reports/studies/mine.csv").set_index(["row", "figure"])
    error = table.loc[("SPG", "GT-known error")]
    assert error["by_seed"] == "0.0 25.0" and error["mean"] == 12.5
    assert error["difference"] == pytest.approx(12.5 - 100)
    assert error["difference_low"] <= error["difference"] <= error["difference_high"]
    assert table.loc[("from C", "GT-known error"), "mean"] == 0
    assert table.loc[("SPN", "Pointing, all"), "twin"] == "CAM"
    assert ("SPN", "GT-known error") not in table.index
    assert set(table["n"]) == {4} and set(table["data"]) == {"coloured boxes"}
    page = (tmp_path / "reports/studies/mine.md").read_text()
    assert "| SPG | 12.5 ± 17.7 |" in page and "seeds 0, 1" in page
    assert "| − SPG-plain | **−100.0 [−100.0, −100.0]** |" in page
    assert Image.open("reports/studies/mine.webp").width > 300
    epochs = pd.read_csv("reports/studies/mine-epochs.csv")
    assert epochs["loss"].tolist() == [2.5, 1.0]


def test_a_sweep_is_drawn_as_lines_over_its_values(trained_before, monkeypatch, tmp_path):
    drawn = []
    plot = studies.plots._lines
    monkeypatch.setattr(
        studies.plots, "_lines", lambda axes, *given: (plot(axes, *given), drawn.append(axes))
    )
    swept = TEXT.replace("epochs: {SPG: [loss]}", "sweep: {key: seed, values: [0.0, 1.0]}")
    monkeypatch.setattr(sys.modules[__name__], "TEXT", swept)
    call(monkeypatch, tmp_path)
    assert len(trained_before) == 4
    (axes,) = drawn  # All point right within the tolerance: no panel for pointing.
    handles, labels = axes.get_legend_handles_labels()
    assert labels == ["SPG-plain", "SPG", "from C"]
    assert handles[1].lines[0].get_ydata().tolist() == [12.5, 12.5]
    page = (tmp_path / "reports/studies/mine.md").read_text()
    assert "| SPG, 1 | 12.5" in page and "| − SPG-plain, 1 | " in page


def test_on_val_multi_label_figures_are_those_of_the_classes_present(
    trained_before, monkeypatch, tmp_path
):
    more = """- {name: mAP, key: classification_map, higher: true}
- {name: CorLoc, key: cor_loc.mean, higher: true}
- {name: With prediction, key: pointing_with_prediction_map, higher: true}
epochs:"""
    text = TEXT.replace("judged_on: test", "judged_on: val").replace("epochs:", more)
    monkeypatch.setattr(sys.modules[__name__], "TEXT", text)
    call(monkeypatch, tmp_path)
    table = pd.read_csv("reports/studies/mine.csv").set_index(["row", "figure"])
    assert table.loc[("SPN", "mAP"), "mean"] == 100
    assert 0 < table.loc[("SPN", "Pointing, all"), "mean"] <= 100
    assert table.loc[("SPN", "CorLoc"), "mean"] > table.loc[("CAM", "CorLoc"), "mean"]
    assert "With prediction" not in table.index.get_level_values("figure")


def test_single_seeds_are_trained_and_nothing_is_written(trained_before, monkeypatch, tmp_path):
    call(monkeypatch, tmp_path, "--seeds", "1")
    assert [seed for seed, _ in trained_before] == [1]
    assert not (tmp_path / "reports/studies").exists()


def test_a_fault_ends_in_one_message(workspace, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["studies", "studies/none.yaml"])
    with pytest.raises(SystemExit, match="studies: studies/none.yaml: no such study"):
        study.main()


def test_a_history_without_the_column_is_told(trained_before, monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules[__name__], "TEXT", TEXT.replace("[loss]", "[accuracy]"))
    with pytest.raises(SystemExit, match="the history of SPG has no accuracy"):
        call(monkeypatch, tmp_path)
