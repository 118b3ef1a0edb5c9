"""Stage compare: models against twins, SPG's boxes under other rankings and from other maps."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.maps import Map
from pipeline.evaluation.localization.predictions import Prediction, write_predictions
from pipeline.evaluation.protocol.scores import SCORED_SPLITS
from pipeline.evaluation.protocol.sources import SPG_SOURCES
from pipeline.methods import registry
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from stages.compare import compare
from stages.paths import classifier_file, predictions_file, scores_file, split_folder
from tests.parameters import changed

PAPERS = {"spn_multi": "cam_multi", "spn_single": "cam_single", "spg": "spg_plain"}
SOURCES = {
    *(f"spg:{name}" for name in SPG_SOURCES),
    "spg_plain:attention+gaussian",
    "spg_plain:centred_box",
}
LISTED = [m.name for m in registry.MODELS.values() if m.entry.listed and m.twin]


@pytest.fixture
def stored(workspace: Path) -> None:
    """Predictions that `evaluate` leaves: models know the boxes, twins the opposite."""
    for model, twin in PAPERS.items():
        for name, inside in ((model, 1), (twin, -1)):
            leave(name, inside)


def leave(model: str, inside: float) -> None:
    track = registry.MODELS[model].track
    write_predictions(predictions_file(model), predictions(track, inside))


def predictions(track: str, inside: float) -> list[Prediction]:
    """Maps that are `inside` in the true boxes of each class and 0 elsewhere; the true classes."""
    found = []
    for split in SCORED_SPLITS[track]:
        for record in PackedSplit(split_folder(track, split)):
            maps = np.zeros((3, record.height, record.width), np.float32)
            boxes = record.boxes_xyxy.astype(int)
            for label, (x0, y0, x1, y1) in zip(record.box_labels, boxes, strict=True):
                maps[label, y0:y1, x0:x1] = inside
            scores = np.array([c in record.labels for c in range(3)], np.float32)
            found.append(answer(record, split, scores, maps))
    return found


def answer(record: Record, split: str, scores: NDArray[np.float32], maps: Map) -> Prediction:
    """A prediction whose branches know the first box, all but C, which knows its opposite."""
    x0, y0, x1, y1 = record.boxes_xyxy[0].astype(int)
    known = np.zeros((record.height, record.width), np.float32)
    known[y0:y1, x0:x1] = 1
    guidance = {"b1": known, "b2": known, "c": 1 - known}
    return Prediction(record.id, split, scores, np.arange(3), maps, guidance=guidance)


def ranked(shift: int, peak: str = "") -> list[Prediction]:
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
            found.append(answer(record, split, scores, maps))
    return found


@pytest.fixture
def rankers(stored: None, quick: Params) -> Params:
    """SPG is sure of the next class, SPG-plain and ResNet-50 of the image's own."""
    for path, shift in (
        (predictions_file("spg"), 1),
        (predictions_file("spg_plain"), 0),
        (classifier_file("resnet50"), 0),
    ):
        write_predictions(path, ranked(shift))
    return changed(quick, ranking__classifiers=["resnet50"])


def written() -> dict[str, dict]:
    return json.loads(scores_file("compare").read_text())


def test_each_model_is_compared_with_its_twin(stored: None, quick: Params) -> None:
    compare(quick)
    found = written()["differences"]
    assert set(found) == {*PAPERS, *SOURCES}
    pointing, known = found["spn_multi"]["pointing"], found["spg"]["gt_known_error"]
    assert pointing["all"]["value"] > 0 and known["value"] < 0
    assert pointing["all"]["low"] <= pointing["all"]["value"] <= pointing["all"]["high"]
    assert found["spn_multi"]["classification_map"] == {"value": 0, "low": 0, "high": 0}
    assert found["spn_multi"]["cor_loc"]["mean"]["value"] > 0
    assert found["spn_single"]["mean_box_error"]["value"] < 0


def test_a_listed_method_is_compared_with_its_twin_too(stored: None, quick: Params) -> None:
    for model in LISTED:
        leave(model, 1)
    compare(changed(quick, methods=registry.listed("methods")))
    found = written()["differences"]
    assert set(found) == {*PAPERS, *SOURCES, *LISTED}
    assert found["has"]["gt_known_error"] == found["spn_single"]["gt_known_error"]


def test_a_method_taken_off_the_list_has_no_say_and_does_no_harm(
    stored: None, quick: Params
) -> None:
    predictions_file("has").write_bytes(b"what an earlier run has left")
    compare(changed(quick, methods=[]))
    assert set(written()["differences"]) == {*PAPERS, *SOURCES}


def test_boxes_from_other_maps_have_scores_and_differences_to_spg_plain(
    stored: None, quick: Params
) -> None:
    leave("spg", -1)  # its attention is as bad as SPG-plain's
    compare(quick)
    content = written()
    assert set(content["sources"]) == SOURCES
    for name, own in content["sources"].items():
        assert own["model"] == name and own["threshold_from"] == "val"
        assert (own["backbone"], own["dataset"]) == (quick.backbone.name, "boxes")
        assert (own["seed"], own["n"]) == (quick.seed, {"test": 4, "tuning": 4})
    errors = {name: own["gt_known_error"] for name, own in content["sources"].items()}
    right, wrong = ({"value": each, "low": each, "high": each} for each in (0, 100))
    assert errors["spg:b2"] == errors["spg:b1"] == errors["spg:b"] == right
    assert errors["spg:c"] == wrong
    assert errors["spg_plain:attention+gaussian"] == errors["spg:attention+gaussian"]
    gain = {name: -100.0 for name in ("value", "low", "high")}
    assert content["differences"]["spg:b2"]["gt_known_error"] == gain
    assert content["differences"]["spg:c"]["gt_known_error"]["value"] == 0


def test_the_source_that_is_recommended_has_a_row_of_its_own(stored: None, quick: Params) -> None:
    compare(changed(quick, spg__localize_from="b2"))
    content = written()
    assert set(content["sources"]) == set(content["differences"]) - set(PAPERS)
    assert set(content["sources"]) == {*SOURCES, "spg:guidance"}
    differences = content["differences"]
    assert differences["spg:guidance"] == differences["spg:b2"]
    assert content["sources"]["spg:guidance"]["source"] == "b2"


def test_without_branch_c_there_are_no_boxes_from_it(stored: None, quick: Params) -> None:
    compare(changed(quick, spg__with_c=False))
    assert set(written()["sources"]) == SOURCES - {"spg:c"}


def test_each_ranker_and_the_ensemble_have_scores(rankers: Params) -> None:
    compare(rankers)
    scores = written()["ranking"]
    assert set(scores) == {"spg+spg_plain", "spg+resnet50", "spg+ensemble"}
    for name, own in scores.items():
        assert own["model"] == name and own["ranker"] == name.removeprefix("spg+")
        assert (own["backbone"], own["dataset"]) == (rankers.backbone.name, "boxes")
        assert (own["seed"], own["n"]) == (rankers.seed, {"test": 4})
        assert own["top1_classification_error"] == {"value": 0, "low": 0, "high": 0}
        assert own["top1_localization_error"]["value"] == 0
        assert own["top5_star_localization_error"]["value"] == 0


def test_one_ranker_makes_no_ensemble_and_others_of_before_have_no_say(rankers: Params) -> None:
    compare(changed(rankers, ranking__classifiers=[]))
    assert set(written()["ranking"]) == {"spg+spg_plain"}


@pytest.mark.parametrize(("source", "error"), [("val", 100), ("test", 0)])
def test_thresholds_come_from_the_split_that_is_named(
    rankers: Params, source: str, error: float
) -> None:
    write_predictions(predictions_file("spg"), ranked(0, peak="test"))
    compare(changed(rankers, evaluate__threshold_from=source))
    found = written()["ranking"]["spg+spg_plain"]["gt_known_error"]
    assert found == {"value": error, "low": error, "high": error}


def test_comparing_twice_gives_the_same_bytes(rankers: Params) -> None:
    compare(rankers)
    before = scores_file("compare").read_bytes()
    compare(rankers)
    assert scores_file("compare").read_bytes() == before


@pytest.mark.parametrize("model", ["cam_single", "spg"])
def test_a_model_without_predictions_is_named(stored: None, quick: Params, model: str) -> None:
    predictions_file(model).unlink()
    with pytest.raises(InputError, match=f"{model}.arrow: not found; run `dvc repro "):
        compare(quick)
    assert not scores_file("compare").exists()


def test_predictions_of_other_images_are_refused(stored: None, quick: Params) -> None:
    write_predictions(predictions_file("spg_plain"), predictions("single", 1)[:-1])
    with pytest.raises(InputError, match="image .* expected, got none"):
        compare(quick)


def test_missing_or_foreign_class_scores_tell_which_stage_makes_them(rankers: Params) -> None:
    write_predictions(classifier_file("resnet50"), ranked(0)[:-1])
    told = "ranker resnet50: .*run `dvc repro -f classify@resnet50`"
    with pytest.raises(InputError, match=told):
        compare(rankers)
    classifier_file("resnet50").unlink()
    with pytest.raises(InputError, match="resnet50.arrow: not found; run `dvc repro classify@res"):
        compare(rankers)
    assert not scores_file("compare").exists()
