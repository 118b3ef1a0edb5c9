"""A trained model finds in a picture what evaluation finds in it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pipeline
from pipeline.datasets import photograph
from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import component_boxes, mean_threshold_box
from pipeline.evaluation.localization.maps import resize_map, to_levels
from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.pairs import stored_pairs
from pipeline.evaluation.protocol.sources import DEFAULT, figures_by_source, source_of
from pipeline.methods import registry
from pipeline.models.folder import read_description
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.prediction.model import TrainedModel
from pipeline.prediction.rule import BoxRule, rule_of, unchosen
from stages.evaluate import evaluate
from stages.paths import predictions_file, scores_file, split_folder
from tests.conftest import REPOSITORY
from tests.parameters import changed


@pytest.mark.parametrize("model", ["spg", "spn_multi"])
@pytest.mark.parametrize("aligned", [False, True])
def test_boxes_are_those_of_evaluation(
    workspace: Path, leave: Callable[..., Path], quick: Params, model: str, aligned: bool
) -> None:
    params = changed(quick, input__align_corners=aligned, evaluate__ten_crop=False)
    folder = leave(workspace, model, params)
    evaluate(params, model)
    records = list(PackedSplit(workspace / split_folder(registry.MODELS[model].track, "test")))
    for record in records:
        (workspace / f"{record.id}.png").write_bytes(record.image)
    paths = [f"{record.id}.png" for record in records]
    found = list(pipeline.load(folder, boxes_from="attention").boxes(paths, min_score=0))
    predictions = list(read_predictions(predictions_file(model), "test"))
    assert len(found) == len(records) == 4
    for own, expected, record in zip(found, predictions, records, strict=True):
        assert (own.width, own.height) == (record.width, record.height)
        order = np.argsort(-expected.scores, kind="stable")
        count = 3 if model == "spn_multi" else 1
        assert own.labels.tolist() == order[:count].tolist()
        for label, score, box in zip(own.labels, own.scores, own.boxes_xyxy, strict=True):
            raw = expected.scores[label]
            wanted = 1 / (1 + np.exp(-raw)) if model == "spn_multi" else raw
            assert score == pytest.approx(wanted, rel=1e-5)
            response = resize_map(expected.map_of(label), 40, 48, align_corners=aligned)
            assert box.tolist() == box_of(response, model, workspace).tolist()


def box_of(response: np.ndarray, model: str, workspace: Path) -> np.ndarray:
    """The box by the rule that the scores of stage evaluate rest on."""
    if model == "spn_multi":
        return mean_threshold_box(response)
    threshold = json.loads((workspace / f"data/scores/{model}.json").read_text())["threshold"]
    return component_boxes(to_levels(response))[round(threshold * 255)]


@pytest.mark.parametrize("source", ["b2", "attention+b"])
def test_boxes_of_spg_are_those_that_compare_judges_for_the_recommended_map(
    workspace: Path, leave: Callable[..., Path], quick: Params, source: str
) -> None:
    params = changed(quick, spg__localize_from=source, evaluate__ten_crop=False)
    folder = leave(workspace, "spg", params)
    evaluate(params, "spg")
    stored = {
        name: stored_pairs(predictions_file("spg"), PackedSplit(split_folder("single", name)))
        for name in ("test", "val")
    }
    both = stored["test"], stored["val"]
    described = {"seed": 0, "dataset": "boxes", "classes": ["red", "lime", "blue"]}
    scores = {
        name: described | judged.scores(params)
        for name, judged in figures_by_source(both, both, params).items()
    }
    scores_file("compare").write_text(json.dumps({"sources": scores}))
    model, threshold = pipeline.load(folder), scores["spg:guidance"]["threshold"]
    assert (model.rule.source, model.rule.threshold) == (source, threshold)
    assert f"in {source}, the largest part" in str(model.rule)
    for _, record in stored["test"]:
        (workspace / f"{record.id}.png").write_bytes(record.image)
    pictures = [f"{record.id}.png" for _, record in stored["test"]]
    for found, (prediction, record) in zip(model.localize(pictures), stored["test"], strict=True):
        shown = replace(record, labels=tuple(found.labels.tolist()))
        own = source_of(source)(Answer(prediction, shown, params.input.align_corners))
        assert found.response_maps is not None
        np.testing.assert_allclose(found.response_maps[0], own, atol=1e-6)
        box = component_boxes(to_levels(own))[round(threshold * 255)]
        assert found.boxes_xyxy[0].tolist() == box.tolist()


def test_the_default_map_of_spg_is_that_of_params_yaml(params: Params) -> None:
    assert params.spg.localize_from == DEFAULT


def test_a_large_photograph_is_seen_as_its_data_set_would_store_it(
    models: Path, tmp_path: Path, photos: Path
) -> None:
    model = pipeline.load(models / "spg")
    small = replace(model, description=model.description.model_copy(update={"short_side": 20}))
    path = photos / "0.png"
    stored, width, height = photograph.load(path, short_side=20)
    (tmp_path / "stored.jpg").write_bytes(stored)
    (own,) = small.localize([path])
    (reduced,) = model.localize([tmp_path / "stored.jpg"])
    assert (own.width, own.height) == (width, height) == (48, 40)
    assert own.scores.tolist() == reduced.scores.tolist()
    assert own.response_maps is not None and own.response_maps.shape == (1, 40, 48)


def test_a_single_label_picture_has_one_detection_and_maps_on_request(
    models: Path, photos: Path
) -> None:
    model = pipeline.load(models / "cam_single")
    assert model.classes == ("red", "lime", "blue")
    (plain,) = model.boxes(photos / "0.png")
    (mapped,) = model.localize(str(photos / "0.png"))
    assert plain.response_maps is None and mapped.response_maps is not None
    assert plain.boxes_xyxy.tolist() == mapped.boxes_xyxy.tolist()
    assert mapped.boxes_xyxy[0].tolist() == mean_threshold_box(mapped.response_maps[0]).tolist()
    assert plain.classes == (model.classes[plain.labels[0]],)
    assert plain.source == str(photos / "0.png")
    assert list(model.boxes([photos / "0.png"], min_score=1))[0].classes == ()


def test_multi_label_detections_come_best_first_and_above_the_least_score(
    models: Path, photos: Path
) -> None:
    model = pipeline.load(models / "spn_multi")
    (every,) = model.boxes([photos / "0.png"], min_score=0)
    assert len(every.classes) == 3 and (np.diff(every.scores) <= 0).all()
    (some,) = model.boxes([photos / "0.png"], min_score=float(every.scores[1]))
    assert some.classes == every.classes[:2]
    (usual,) = model.boxes([photos / "0.png"])
    assert len(usual.classes) == (every.scores >= 0.5).sum()


def test_paths_pictures_and_arrays_are_the_same(models: Path, photos: Path) -> None:
    model = pipeline.load(models / "spg")
    path = photos / "0.png"
    picture = Image.open(path)
    images = [path, picture, np.array(picture), str(path)]
    found = list(model.boxes(images))
    assert [each.source for each in found] == [str(path), "picture 2", "picture 3", str(path)]
    assert len({(each.classes, tuple(each.boxes_xyxy[0])) for each in found}) == 1
    assert list(model.boxes(np.array(picture)))[0].classes == found[0].classes
    assert list(model.boxes([])) == []


def test_a_picture_of_pillow_is_turned_upright(models: Path) -> None:
    metadata, buffer = Image.Exif(), BytesIO()
    metadata[0x112] = 6
    Image.new("RGB", (48, 40)).save(buffer, "JPEG", exif=metadata)
    (found,) = pipeline.load(models / "spg").boxes(Image.open(buffer))
    assert (found.width, found.height) == (40, 48)
    assert found.notes == (photograph.TURNED,)


@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), 7, None],
)
def test_what_is_no_picture_is_told_by_its_number(models: Path, photos: Path, bad: object) -> None:
    with pytest.raises(InputError, match="picture 2: "):
        list(pipeline.load(models / "spg").boxes([photos / "0.png", bad]))  # type: ignore[list-item]


def test_a_file_that_cannot_be_read_is_named(models: Path, photos: Path) -> None:
    (photos / "0.png").write_bytes(b"")
    with pytest.raises(InputError, match="0.png: unreadable image .the file is empty"):
        list(pipeline.load(models / "spg").boxes([photos / "1.png", photos / "0.png"]))


def test_a_network_that_gives_nan_is_told(leave: Callable[..., Path], tmp_path: Path) -> None:
    folder = leave(tmp_path, "cam_single", classifier=float("nan"))
    with pytest.raises(InputError, match="picture 1: cam_single gives values that are not finite"):
        list(pipeline.load(folder).boxes(Image.new("RGB", (9, 9))))


def test_too_many_pictures_for_a_gpu_are_told_with_a_remedy(
    models: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pipeline.load(models / "spg")

    def fail(images: torch.Tensor) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(model.network, "localize", fail)
    with pytest.raises(InputError, match="does not hold 1 pictures; take fewer .*--batch-size"):
        list(model.boxes(photos / "0.png"))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_shares_and_probabilities_are_from_0_to_1(models: Path, value: float) -> None:
    with pytest.raises(InputError, match=f"threshold {value}: .* from 0 to 1"):
        pipeline.load(models / "spg", threshold=value)
    with pytest.raises(InputError, match=f"least score {value}: .* from 0 to 1"):
        list(pipeline.load(models / "spg").boxes([], min_score=value))


def edit(folder: Path, **values: object) -> None:
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | values))


def test_a_model_that_nothing_here_trains_is_refused(models: Path) -> None:
    edit(models / "spg", model="spm")
    with pytest.raises(InputError, match="model.json: model 'spm' is none that this version"):
        pipeline.load(models / "spg")


def test_damaged_parameters_are_named(models: Path) -> None:
    content = json.loads((models / "spg/model.json").read_text())["parameters"]
    edit(models / "spg", parameters=content | {"spg": content["spg"] | {"channels": "8"}})
    with pytest.raises(InputError, match="model.json: damaged .parameters.spg.channels: Input"):
        pipeline.load(models / "spg")


def test_parameters_of_another_network_are_refused(models: Path) -> None:
    content = json.loads((models / "spg/model.json").read_text())["parameters"]
    edit(models / "spg", parameters=content | {"spg": content["spg"] | {"channels": 9}})
    with pytest.raises(InputError, match="weights.safetensors: not the weights of this network"):
        pipeline.load(models / "spg")


@pytest.mark.parametrize("model", ["rpn", "wsddn"])
def test_a_model_without_maps_is_refused(
    leave: Callable[..., Path], tmp_path: Path, model: str
) -> None:
    with pytest.raises(InputError, match=f"{model}: .* has no maps of classes to take boxes from"):
        pipeline.load(leave(tmp_path, model))


@pytest.fixture
def scored(models: Path) -> Callable[..., None]:
    """Leave scores of SPG as stages evaluate and compare do, some of them changed."""

    def write(guidance: bool = True, **values: object) -> None:
        described = {"seed": 0, "dataset": "boxes", "classes": ["red", "lime", "blue"]}
        guided = described | {"threshold": 0.6, "source": "b2"} | values
        sources = {"spg:b2": guided} | ({"spg:guidance": guided} if guidance else {})
        path = models.parent / "scores/spg.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(described | {"model": "spg", "threshold": 0.4} | values))
        path.with_name("compare.json").write_text(json.dumps({"sources": sources}))

    return write


def test_the_threshold_is_that_of_evaluation_the_given_one_or_the_mean(
    models: Path, scored: Callable[..., None], tmp_path: Path
) -> None:
    guided = BoxRule(0.5, "nothing has chosen another", DEFAULT)
    assert pipeline.load(models / "spg").rule == guided
    assert pipeline.load(models / "cam_single").rule == BoxRule()
    scored()
    found = pipeline.load(models / "spg").rule
    assert (found.threshold, found.source) == (0.6, "b2") and "compare.json" in str(found)
    attention = pipeline.load(models / "spg", boxes_from="attention").rule
    assert (attention.threshold, attention.source) == (0.4, "attention")
    assert "spg.json" in str(attention)
    assert pipeline.load(models / "spg", boxes_from="b").rule == BoxRule(source="b")
    assert pipeline.load(models / "spg", threshold=0.2).rule == BoxRule(0.2, "as given", "b2")
    assert pipeline.load(models / "spn_multi").rule == BoxRule()
    (models / "spg").rename(models / "mine")  # whose scores need not be those of data/scores/spg
    assert pipeline.load(models / "mine").rule == guided


def test_where_evaluation_recommends_no_map_the_attention_is_taken(
    models: Path, scored: Callable[..., None]
) -> None:
    scored(guidance=False)
    assert pipeline.load(models / "spg").rule.source == "attention"


def test_where_there_were_no_boxes_to_choose_by_evaluation_decides_nothing(
    models: Path, scored: Callable[..., None]
) -> None:
    path = models.parent / "scores/spg.json"
    scored()
    own = json.loads(path.read_text())
    path.write_text(json.dumps({key: own[key] for key in ("seed", "dataset", "classes")}))
    path.with_name("compare.json").write_text(json.dumps({"sources": {}}))
    assert pipeline.load(models / "spg").rule == unchosen(DEFAULT)
    assert pipeline.load(models / "spg", boxes_from="attention").rule == BoxRule()


@pytest.mark.parametrize(("model", "source"), [("spg", "a"), ("cam_single", "b"), ("spg", "c")])
def test_a_map_that_a_model_does_not_have_is_refused(models: Path, model: str, source: str) -> None:
    content = json.loads((models / "spg/model.json").read_text())["parameters"]
    edit(models / "spg", parameters=content | {"spg": content["spg"] | {"with_c": False}})
    told = f"boxes from '{source}': {model} has boxes from attention"
    with pytest.raises(InputError, match=told):
        rule_of(models / model, read_description(models / model), None, source)


@pytest.mark.parametrize("values", [{"seed": 1}, {"dataset": "x"}, {"classes": ["red"]}])
@pytest.mark.parametrize(("file", "source"), [("spg", "attention"), ("compare", "b2")])
def test_scores_of_another_training_choose_nothing_and_are_told(
    models: Path, scored: Callable[..., None], values: dict[str, object], file: str, source: str
) -> None:
    scored(**values)
    found = pipeline.load(models / "spg", boxes_from=source).rule
    assert found.threshold is None and f"{file}.json is of another training" in str(found)
    assert pipeline.load(models / "spg").rule.source == DEFAULT


@pytest.mark.parametrize(("file", "source"), [("spg", "attention"), ("compare", "b2")])
def test_damaged_scores_are_refused_unless_all_is_given(
    models: Path, scored: Callable[..., None], file: str, source: str
) -> None:
    scored(threshold=None)
    with pytest.raises(InputError, match=f"{file}.json: damaged .*or give --threshold and --boxes"):
        pipeline.load(models / "spg", boxes_from=source)
    assert pipeline.load(models / "spg", 0.5, source).rule == BoxRule(0.5, "as given", source)
    (models.parent / "scores/compare.json").write_text("{")
    with pytest.raises(InputError, match="compare.json: damaged"):
        pipeline.load(models / "spg", 0.5)


def test_importing_the_package_imports_no_network() -> None:
    code = "import sys, pipeline; pipeline.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_the_example_of_the_documentation_runs(
    models: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.findall(
        r"^```python\n(.*?)^```", (REPOSITORY / "docs/use.md").read_text(), re.M | re.S
    )
    for name in ("cat", "dog"):
        Image.open(photos / "0.png").save(photos / f"{name}.jpg")
    monkeypatch.chdir(models.parents[1])
    assert len(example) == 1
    exec(example[0], {})
    assert len(re.findall(r"photos/\w+.jpg \('\w+',\) \[0", capsys.readouterr().out)) == 2


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_workers_that_decode_change_nothing(
    models: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pipeline.load(models / "spg")
    paths = sorted(photos.glob("*.png"))
    alone = [each.response_maps for each in model.localize(paths, batch_size=2)]
    monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: 2)
    beside = [each.response_maps for each in model.localize(paths, batch_size=2)]
    np.testing.assert_array_equal(np.concatenate(beside), np.concatenate(alone))
    assert not torch.is_inference_mode_enabled()


def look(model: TrainedModel, paths: list[Path]) -> list[str]:
    """Return what a model finds, a picture a process; or why it cannot be read."""
    return [
        str(each) if isinstance(each, InputError) else f"{each.source} {each.boxes_xyxy.tolist()}"
        for each in model.look(list(map(str, paths)), 0.0, 2, maps=False)
    ]


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_processes_that_look_at_pictures_change_nothing(
    models: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pipeline.load(models / "spg")
    (photos / "1.png").write_bytes(b"")
    paths = sorted(photos.glob("*.png"))
    monkeypatch.setattr("pipeline.prediction.model.workers", lambda: 1)
    alone = look(model, paths)
    assert [path.name in told for path, told in zip(paths, alone, strict=True)] == [True] * 4
    assert "the file is empty" in alone[1]
    monkeypatch.setattr("pipeline.prediction.model.workers", lambda: 2)
    monkeypatch.setattr(model.network, "localize", seen_in_another_process(model))
    assert look(model, paths) == alone


def seen_in_another_process(model: TrainedModel) -> Callable[[torch.Tensor], object]:
    localize, here = model.network.localize, os.getpid()

    def elsewhere(images: torch.Tensor) -> object:
        assert os.getpid() != here and torch.get_num_threads() == 1 and len(images) == 1
        return localize(images)

    return elsewhere


def test_a_network_that_gives_nan_in_a_process_is_told(
    leave: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = leave(tmp_path, "cam_single", classifier=float("nan"))
    monkeypatch.setattr("pipeline.prediction.model.workers", lambda: 2)
    pictures = [Image.new("RGB", (9, 9))] * 3
    with pytest.raises(InputError, match="^picture 1: cam_single gives values .* not finite"):
        list(pipeline.load(folder).boxes(pictures, batch_size=2))
