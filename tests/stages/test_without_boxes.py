"""From packed pictures with labels and without boxes to the tables: what can be told, no more."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets.packing import pack
from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.packed.record import SPLITS, Dataset, Record, Split, Task
from pipeline.params import Params
from pipeline.reporting.illustrations.listing import read_listing
from stages.compare import compare
from stages.evaluate import evaluate
from stages.evaluate_saliency import evaluate_saliency
from stages.illustrate import illustrate
from stages.paths import (
    ILLUSTRATIONS,
    LISTING,
    PACKED,
    REPORTS,
    history_file,
    model_folder,
    scores_file,
)
from stages.tabulate import tabulate
from stages.train import train
from tests.coloured_boxes import COLOURS, coloured_boxes
from tests.parameters import asking, changed

NUMBERS = dict(zip(SPLITS, (range(10), range(10, 14), range(14, 18)), strict=True))
NOTHING = {
    "boxes_xyxy": np.zeros((0, 4), np.float32),
    "box_labels": np.zeros(0, np.int64),
    "difficult": np.zeros(0, bool),
}
TASKS: tuple[Task, ...] = ("multi", "single")


def records(task: Task, boxed: Sequence[int], numbers: Sequence[int]) -> Iterator[Record]:
    """Coloured boxes, annotated where the number is in `boxed`."""
    for number, record in zip(numbers, coloured_boxes(task, numbers), strict=True):
        yield record if number in boxed else replace(record, **NOTHING)


def pack_with(boxed: Sequence[int]) -> None:
    for task in TASKS:
        splits = {
            name: Split(partial(records, task, boxed), chosen) for name, chosen in NUMBERS.items()
        }
        pack(Dataset("boxes", task, COLOURS, splits), PACKED / task, origin="", workers=1)


@pytest.fixture
def few(quick: Params) -> Params:
    return changed(quick, saliency__methods=asking(["gradient", "c_mwp"]))


def run_all(params: Params, leave_network) -> None:
    for model in registry.models(params):
        leave_network(model.name)
        history_file(model.name).write_text("epoch,loss\n1,0.7\n2,0.5\n")
        evaluate(params, model.name)
    for track in TASKS:
        evaluate_saliency(params, track)
    compare(params)
    illustrate(params)
    tabulate(params)


def scores(name: str) -> dict:
    return json.loads(scores_file(name).read_text())


def measured(table: str) -> str:
    return (REPORTS / f"tables/{table}.md").read_text().split("## Published")[0]


def test_without_any_box_the_tables_have_classification_alone(
    workspace: Path, few: Params, leave_network
) -> None:
    pack_with(boxed=[])
    run_all(few, leave_network)
    single, multi = scores("spg"), scores("spn_multi")
    assert {"top1_classification_error", "top5_classification_error"} <= set(single)
    assert not {"gt_known_error", "max_box_acc", "mean_box_error", "threshold"} & set(single)
    assert "classification_map" in multi and multi["n"]["test_boxed"] == 0
    assert scores("compare")["sources"] == {}
    for table in ("spn-1", "spn-2", "spn-3", "spn-4", "spn-5", "spg-1", "spg-4"):
        assert "no boxes" in measured(table), table
    assert "no boxes" not in measured("spn-6")
    headlines = json.loads((REPORTS / "metrics.json").read_text())
    assert set(headlines) == {"cam_table6_map", "spn_table6_map"}
    figures = read_listing(LISTING, ILLUSTRATIONS)
    absent = [figure.title.split(":")[0] for figure in figures if figure.path is None]
    # No training left maps of its epochs here.
    assert absent == [f"SPN Fig. {number}" for number in ("3", "6a", "6b", "7", "8")]
    drawn = {figure.path for figure in figures} - {None}
    assert drawn == set(ILLUSTRATIONS.iterdir())


def test_boxes_of_some_pictures_judge_these(workspace: Path, few: Params, leave_network) -> None:
    pack_with(boxed=[3, 10, 14, 15])
    run_all(few, leave_network)
    assert scores("spg")["n"] == {"test": 4, "test_boxed": 2, "tuning": 4, "tuning_boxed": 1}
    assert scores("spn_multi")["n"]["trainval_boxed"] == 2
    assert "no boxes" not in measured("spg-4")


def test_the_quality_of_masks_is_left_out_without_boxes(workspace: Path, few: Params) -> None:
    pack_with(boxed=[])
    train(few, "spg")
    columns = set(pd.read_csv(model_folder("spg") / "history.csv"))
    assert columns == {"epoch", "loss", "classification", "b2", "b1", "c"}


def test_a_method_that_learns_from_boxes_is_refused(workspace: Path, few: Params) -> None:
    pack_with(boxed=[3])
    with pytest.raises(InputError, match="rpn is trained with boxes, and 9 of 10 training images"):
        train(changed(few, methods=["rpn"]), "rpn")
    assert not model_folder("rpn").exists()
