import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from stages.off import score_nothing, switched_off, train_nothing

from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.params import MethodsParams
from pipeline.reporting.figures import read_history
from pipeline.reporting.tables import read_scores
from tests.parameters import changed


@pytest.mark.parametrize("method", MethodsParams.model_fields)
def test_a_method_is_off_until_its_own_switch_is_on(params, method):
    all_off = changed(params, **{f"methods__{name}": False for name in MethodsParams.model_fields})
    assert switched_off(all_off, method)
    others = changed(params, **{f"methods__{name}": True for name in MethodsParams.model_fields})
    assert switched_off(changed(others, **{f"methods__{method}": False}), method)
    assert not switched_off(changed(all_off, **{f"methods__{method}": True}), method)


@pytest.mark.parametrize("model", ["spg", "spn_multi", "cam_single"])
def test_a_network_of_the_papers_cannot_be_switched_off(params, model):
    assert not switched_off(params, model)


def test_nothing_trained_is_no_layer_and_no_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_nothing("has")
    assert load_file("data/models/has.safetensors") == {}
    assert read_history(Path("data/history/has.csv")) == ([], [])


def test_nothing_scored_is_read_as_no_image_and_no_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    score_nothing("has")
    assert list(read_predictions(Path("data/predictions/has.arrow"), "test")) == []
    assert json.loads(Path("data/scores/has.json").read_text()) == {}
    assert read_scores([Path("data/scores/has.json")]) == {}


def test_empty_outs_have_the_same_bytes_each_time_and_leave_nothing_beside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written():
        train_nothing("acol")
        score_nothing("acol")
        return {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}

    first = written()
    assert written() == first and len(first) == 4
