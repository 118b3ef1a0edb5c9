import json
from pathlib import Path

import pytest

from pipeline.reporting.twins import PAPERS, twin_of


@pytest.fixture
def scores():
    """Invented scores of every model on `cutouts`, in the form that `evaluate` writes."""
    return json.loads(Path(__file__).with_name("scores.json").read_text())


@pytest.fixture
def differences(scores):
    """Differences of these scores, in the form that `compare` writes."""
    return invented_differences(scores)


def invented_differences(scores, models=tuple(PAPERS)):
    """Each figure of a model less its twin's, give or take 2 points."""
    return {model: _less(scores[model], scores[twin_of(model)]) for model in models}


def _less(method, twin):
    found = {}
    for name, value in method.items():
        if isinstance(value, dict) and "value" in value:
            middle = value["value"] - twin[name]["value"]
            found[name] = {"value": middle, "low": middle - 2, "high": middle + 2}
        elif isinstance(value, dict) and name in ("pointing", "cor_loc"):
            kept = {key: own for key, own in value.items() if "per_class" not in key}
            found[name] = _less(kept, twin[name])
    return found


def renamed(scores, dataset, models):
    """The same scores as if measured with VGG16 on another data set."""
    changed = {"dataset": dataset, "backbone": "vgg16"}
    return scores | {model: scores[model] | changed for model in models}


def models_on(scores, dataset):
    return [model for model, own in scores.items() if own["dataset"] == dataset]


@pytest.fixture
def on_voc2007(scores):
    return renamed(scores, "VOC2007", models_on(scores, "cutouts_multi"))


@pytest.fixture
def on_cub(scores):
    return renamed(scores, "CUB-200-2011", models_on(scores, "cutouts_single"))
