import json
from pathlib import Path

import numpy as np
import pytest
from stages.evaluate_twins import evaluate_twins

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction, write_predictions
from pipeline.evaluation.protocol.scores import SCORED_SPLITS
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.reporting.catalogue import TWINS
from stages.paths import predictions_file, scores_file, split_folder
from tests.parameters import changed

TRACKS = {"spn_multi": "multi", "spn_single": "single", "spg": "single"}


@pytest.fixture
def few(quick: Params) -> Params:
    return changed(quick, evaluate__resamples=20)


@pytest.fixture
def stored(workspace: Path) -> None:
    """Predictions that `evaluate` leaves: models know the boxes, twins the opposite."""
    for model, twin in TWINS.items():
        for name, inside in ((model, 1), (twin, -1)):
            write_predictions(predictions_file(name), predictions(TRACKS[model], inside))


def predictions(track: str, inside: float) -> list[Prediction]:
    """Maps that are `inside` in the true boxes of each class and 0 elsewhere."""
    found = []
    for split in SCORED_SPLITS[track]:
        for record in PackedSplit(split_folder(track, split)):
            maps = np.zeros((3, record.height, record.width), np.float32)
            boxes = record.boxes_xyxy.astype(int)
            for label, (x0, y0, x1, y1) in zip(record.box_labels, boxes, strict=True):
                maps[label, y0:y1, x0:x1] = inside
            scores = np.array([c in record.labels for c in range(3)], np.float32)
            found.append(Prediction(record.id, split, scores, np.arange(3), maps))
    return found


def written() -> dict[str, dict]:
    return json.loads(scores_file("twins").read_text())


def test_each_model_is_compared_with_its_twin(stored: None, few: Params) -> None:
    evaluate_twins(few)
    found = written()
    assert set(found) == set(TWINS)
    pointing, known = found["spn_multi"]["pointing"], found["spg"]["gt_known_error"]
    assert pointing["all"]["value"] > 0 and known["value"] < 0
    assert pointing["all"]["low"] <= pointing["all"]["value"] <= pointing["all"]["high"]
    assert found["spn_multi"]["classification_map"] == {"value": 0, "low": 0, "high": 0}
    assert found["spn_multi"]["cor_loc"]["mean"]["value"] > 0
    assert found["spn_single"]["mean_box_error"]["value"] < 0


def test_a_model_without_predictions_is_named(stored: None, few: Params) -> None:
    predictions_file("cam_single").unlink()
    with pytest.raises(InputError, match="cam_single"):
        evaluate_twins(few)
    assert not scores_file("twins").exists()


def test_predictions_of_other_images_are_refused(stored: None, few: Params) -> None:
    write_predictions(predictions_file("spg_plain"), predictions("single", 1)[:-1])
    with pytest.raises(InputError, match="image .* expected, got none"):
        evaluate_twins(few)
