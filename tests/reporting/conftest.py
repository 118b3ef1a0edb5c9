import json
from pathlib import Path

import pytest


@pytest.fixture
def scores():
    """Invented scores of every model on `cutouts`, in the form that `evaluate` writes."""
    return json.loads(Path(__file__).with_name("scores.json").read_text())


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
