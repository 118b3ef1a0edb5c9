import json
from pathlib import Path

import numpy as np
import pytest
from stages.rerank import rerank

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction, write_predictions
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from stages.paths import predictions_file, scores_file, split_folder
from tests.parameters import changed


@pytest.fixture
def few(quick: Params) -> Params:
    return changed(quick, evaluate__resamples=20)


@pytest.fixture
def stored(workspace: Path) -> None:
    """Predictions that `evaluate` and `classify` leave; SPG is sure of the next class."""
    names = ("spg", "spg_plain", "classifiers/resnet50")
    for number, name in enumerate(names):
        write_predictions(predictions_file(name), predictions(1 if number == 0 else 0))


def predictions(shift: int, peak: str = "") -> list[Prediction]:
    """Maps of the true box, class scores with the class `shift` after the image's own first.

    In the maps of the split `peak` one pixel is far above the box.
    """
    found = []
    for split in ("val", "test"):
        for record in PackedSplit(split_folder("single", split)):
            x0, y0, x1, y1 = record.boxes_xyxy[0].astype(int)
            maps = np.zeros((3, record.height, record.width), np.float32)
            maps[:, y0:y1, x0:x1] = 1
            if split == peak:
                maps[:, 0, 0] = 3
            scores = np.roll(np.array([0.7, 0.2, 0.1], np.float32), record.labels[0] + shift)
            found.append(Prediction(record.id, split, scores, np.arange(3), maps))
    return found


def written() -> dict[str, dict]:
    return json.loads(scores_file("ranking").read_text())


def test_each_ranker_and_the_ensemble_have_scores(stored: None, few: Params) -> None:
    rerank(changed(few, ranking__classifiers=["resnet50"]))
    scores = written()
    assert set(scores) == {"spg+spg_plain", "spg+resnet50", "spg+ensemble"}
    for name, own in scores.items():
        assert own["model"] == name and own["ranker"] == name.removeprefix("spg+")
        assert (own["backbone"], own["dataset"]) == (few.backbone.name, "boxes")
        assert (own["seed"], own["n"]) == (few.seed, {"test": 4})
        assert own["top1_classification_error"] == {"value": 0, "low": 0, "high": 0}
        assert own["top1_localization_error"]["value"] == 0
        assert own["top5_star_localization_error"]["value"] == 0


@pytest.mark.parametrize(("source", "error"), [("val", 100), ("test", 0)])
def test_thresholds_come_from_the_split_that_is_named(
    stored: None, few: Params, source: str, error: float
) -> None:
    write_predictions(predictions_file("spg"), predictions(0, peak="test"))
    rerank(changed(few, evaluate__threshold_from=source))
    found = written()["spg+spg_plain"]["gt_known_error"]
    assert found == {"value": error, "low": error, "high": error}


def test_one_ranker_makes_no_ensemble(stored: None, few: Params) -> None:
    rerank(changed(few, ranking__classifiers=[]))
    assert set(written()) == {"spg+spg_plain"}


def test_reranking_twice_gives_the_same_bytes(stored: None, few: Params) -> None:
    rerank(few)
    before = scores_file("ranking").read_bytes()
    rerank(few)
    assert scores_file("ranking").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "stages"),
    [("spg_plain", "--glob 'evaluate.*'"), ("classifiers/resnet50", "classify")],
)
def test_missing_or_foreign_class_scores_tell_which_stage_makes_them(
    stored: None, few: Params, name: str, stages: str
) -> None:
    chosen = changed(few, ranking__classifiers=["resnet50"])
    write_predictions(predictions_file(name), predictions(0)[:-1])
    ranker = name.removeprefix("classifiers/")
    with pytest.raises(InputError, match=f"ranker {ranker}: .*run `dvc repro -f {stages}`"):
        rerank(chosen)
    predictions_file(name).unlink()
    with pytest.raises(InputError, match=f"{name}.arrow: not found; run `dvc repro {stages}`"):
        rerank(chosen)
    assert not scores_file("ranking").exists()
