import json
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.errors import InputError
from pipeline.saliency import methods
from stages.evaluate import evaluate
from stages.evaluate_saliency import evaluate_saliency
from tests.parameters import asking, changed

METHODS = ["gradient", "grad_cam", "c_mwp"]


@pytest.fixture(scope="module")
def few(quick):
    """With few methods."""
    return changed(quick, saliency__methods=asking(METHODS))


@pytest.fixture(scope="module")
def evaluated_once(furnished, leave_network, few, tmp_path_factory):
    """CAM networks of random weights and their predictions, as stage evaluate leaves them."""
    folder = furnished(tmp_path_factory.mktemp("evaluated"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model in ("cam_multi", "cam_single"):
            leave_network(model)
            evaluate(few, model)
    return folder


@pytest.fixture(autouse=True)
def _evaluated(evaluated_once, tmp_path, monkeypatch):
    shutil.copytree(evaluated_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def out(track):
    return Path(f"data/scores/saliency_{track}.json")


def scores(track):
    return json.loads(out(track).read_text())


@pytest.fixture
def knowing(monkeypatch):
    """Replace the first method by one whose maps are bright on the box of the class."""

    def boxes(network, images, classes, params):
        shown = images.argmax(1) == classes[:, None, None]  # the colour is the class
        saturated = images.amax(1) - images.amin(1) > 128
        return (shown & saturated).float()

    monkeypatch.setitem(methods.METHODS, "gradient", boxes)


@pytest.mark.parametrize(
    ("track", "figures"),
    [
        ("multi", ["pointing"]),
        ("single", ["gt_known_error", "top1_localization_error", "max_box_acc_v2"]),
    ],
)
def test_each_method_has_the_scores_of_a_model(few, track, figures):
    evaluate_saliency(few, track)
    found = scores(track)
    assert list(found) == sorted(f"{method}_{track}" for method in METHODS)
    of_cam = json.loads(Path(f"data/scores/cam_{track}.json").read_text())
    for name, each in found.items():
        assert each["model"] == name
        same = ("backbone", "seed", "dataset", "classes")
        assert [each[key] for key in same] == [of_cam[key] for key in same]
        assert set(figures) <= set(each) <= set(of_cam)
        assert each["n"] == {key: of_cam["n"][key] for key in each["n"]}
        assert set(_first_figure(each[figures[0]])) == {"value", "low", "high"}


def _first_figure(figures):
    return figures if "value" in figures else _first_figure(next(iter(figures.values())))


def test_class_scores_are_those_that_the_network_gave_before(few):
    evaluate_saliency(few, "single")
    expected = json.loads(Path("data/scores/cam_single.json").read_text())
    for each in scores("single").values():
        assert each["top1_classification_error"] == expected["top1_classification_error"]


def test_maps_on_the_boxes_are_right_everywhere(few, knowing):
    for track in ("multi", "single"):
        evaluate_saliency(few, track)
    pointing = scores("multi")["gradient_multi"]["pointing"]
    assert _first_figure(pointing)["value"] == 100
    found = scores("single")["gradient_single"]
    assert found["gt_known_error"]["value"] == 0
    assert found["top1_localization_error"] == found["top1_classification_error"]


def test_maps_are_not_kept(few):
    path = Path("data/predictions/cam_single.arrow")
    before = path.read_bytes()
    evaluate_saliency(few, "single")
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} == {"cam_multi.arrow", path.name}


@pytest.mark.parametrize("track", ["multi", "single"])
def test_evaluating_twice_gives_the_same_bytes(few, track):
    every = changed(few, saliency__methods=asking(list(methods.METHODS)))
    evaluate_saliency(every, track)
    first = out(track).read_bytes()
    evaluate_saliency(every, track)
    assert out(track).read_bytes() == first


def test_the_batch_size_does_not_move_the_scores(few):
    evaluate_saliency(few, "multi")
    first = scores("multi")
    evaluate_saliency(changed(few, evaluate__batch_size=3), "multi")
    assert scores("multi") == first


def test_a_track_that_is_not_listed_is_refused(few):
    one = changed(few, saliency__tracks=["single"])
    for track in ("multi", "both"):
        with pytest.raises(InputError, match=f"{track} is not on the list `saliency.tracks` of"):
            evaluate_saliency(one, track)
        assert not out(track).exists()


@pytest.mark.parametrize(
    ("missing", "stages"),
    [
        ("models/cam_multi/weights.safetensors", "train_cam@multi"),
        ("predictions/cam_multi.arrow", "--glob 'evaluate"),
        ("packed/multi/test/index.json", "preprocess"),
    ],
)
def test_a_missing_input_names_the_stage_to_run(few, missing, stages):
    (Path("data") / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: not found; run `dvc repro {stages}"):
        evaluate_saliency(few, "multi")
    assert not out("multi").exists()


def test_predictions_of_other_images_are_refused(few):
    val, test = Path("data/packed/multi/val"), Path("data/packed/multi/test")
    for file in val.iterdir():
        (test / file.name).write_bytes(file.read_bytes())
    index = test / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"split": "test"}))
    with pytest.raises(InputError, match="image 010 expected, got 014; run `dvc repro -f"):
        evaluate_saliency(few, "multi")
    assert not out("multi").exists()


def test_predictions_of_more_images_than_the_split_has_are_refused(few):
    index = Path("data/packed/multi/test/index.json")
    index.write_text(json.dumps(json.loads(index.read_text()) | {"shards": []}))
    with pytest.raises(InputError, match="image none expected, got 014; run `dvc repro -f"):
        evaluate_saliency(few, "multi")
    assert not out("multi").exists()


def test_a_layer_that_the_backbone_lacks_is_refused(few):
    with pytest.raises(InputError, match=r"excitation_layer: 'pool4' .* conv_stem, bn1, blocks"):
        evaluate_saliency(changed(few, saliency__excitation_layer="pool4"), "multi")
    assert not out("multi").exists()


def test_a_map_that_is_not_finite_leaves_no_scores(few, monkeypatch):

    def broken(network, images, classes, params):
        return torch.full_like(images[:, 0], float("nan"))

    monkeypatch.setitem(methods.METHODS, "grad_cam", broken)
    with pytest.raises(InputError, match="image 01[04]: .*finite"):
        evaluate_saliency(few, "single")
    assert not out("single").exists()


def test_maps_are_made_of_the_classes_of_each_image_alone(few, monkeypatch):
    asked = []

    def note(network, images, classes, params):
        asked.extend(classes.tolist())
        return images.amax(1)

    monkeypatch.setitem(methods.METHODS, "gradient", note)
    evaluate_saliency(changed(few, saliency__methods=asking(["gradient"])), "multi")
    # Images 14 to 17: number modulo 3, odd ones the next class too, which is difficult in 17.
    assert asked == [2, 0, 1, 1, 2]
