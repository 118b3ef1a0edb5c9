from pathlib import Path

import pytest
import timm
import torch

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.models.weights import save_weights
from pipeline.training import loop
from stages.classify import CLASSIFIERS, classify
from tests.parameters import changed

NAMES = ["test_resnet", "test_efficientnet"]


class Killed(Exception):
    """The training was killed."""


@pytest.fixture
def ranking(quick):
    """Two small classifiers, trained from random weights for two epochs."""
    schedule = {"epochs": 2, "batch_size": 4, "decay_epochs": [1]}
    values = {f"ranking__train__{key}": value for key, value in schedule.items()}
    return changed(quick, ranking__classifiers=NAMES, pretrain__source="scratch", **values)


@pytest.fixture
def epochs(monkeypatch):
    """The epochs that are run, as they are run."""
    run, run_epoch = [], loop.run_epoch
    monkeypatch.setattr(loop, "run_epoch", lambda *a: run.append(a[4]) or run_epoch(*a))
    return run


def files():
    return {path.name: path.read_bytes() for path in CLASSIFIERS.iterdir()}


def checkpoints():
    return [path.name for path in Path(".scratch").glob("*") if path.is_dir()]


def test_each_classifier_gives_the_probabilities_of_every_test_image(workspace, ranking):
    classify(ranking)
    assert sorted(files()) == [f"{name}.arrow" for name in sorted(NAMES)]
    both = [list(read_predictions(CLASSIFIERS / f"{name}.arrow", "test")) for name in NAMES]
    for found in both:
        assert [p.id for p in found] == ["014", "015", "016", "017"]
        assert all(p.scores.shape == (3,) and p.scores.sum() == pytest.approx(1) for p in found)
    assert any((a.scores != b.scores).any() for a, b in zip(*both, strict=True))
    assert checkpoints() == []


def test_no_classifiers_empty_the_folder(workspace, quick):
    CLASSIFIERS.mkdir(parents=True)
    (CLASSIFIERS / "resnet50.arrow").touch()
    classify(quick)
    assert files() == {}


def test_a_classifier_does_not_depend_on_those_before_it(workspace, ranking):
    classify(ranking)
    first = files()
    classify(changed(ranking, ranking__classifiers=NAMES[1:]))
    assert files() == {f"{NAMES[1]}.arrow": first[f"{NAMES[1]}.arrow"]}


def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(workspace, ranking, epochs, monkeypatch):
    classify(ranking)
    whole = files()
    (CLASSIFIERS / "older").touch()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        run_epoch = loop.run_epoch

        def run_or_die(*arguments):
            if len(epochs) == 4 + 3:
                raise Killed
            return run_epoch(*arguments)

        patch.setattr(loop, "run_epoch", run_or_die)
        classify(ranking)
    assert "older" in files()  # what was there stays until all is done
    assert len(checkpoints()) == 2
    epochs.clear()
    classify(ranking)
    assert epochs == [1]  # of the second classifier
    assert files() == whole and checkpoints() == []


def test_a_classifier_that_cannot_be_had_ends_the_stage_before_any_training(
    workspace, ranking, epochs
):
    with pytest.raises(InputError, match="ranking.classifiers:\n  resnet5000: "):
        classify(changed(ranking, ranking__classifiers=[*NAMES, "resnet5000"]))
    assert epochs == [] and not CLASSIFIERS.exists()


def test_the_seed_and_the_schedule_reach_the_training(workspace, ranking):
    outs = []
    one = changed(ranking, ranking__classifiers=NAMES[:1])
    for values in ({}, {"seed": 5}, {"ranking__train__learning_rate": 0.02}):
        classify(changed(one, **values))
        outs.append(files()[f"{NAMES[0]}.arrow"])
    assert len(set(outs)) == 3


def test_without_fine_tuning_the_published_classifier_is_not_trained(
    workspace, ranking, epochs, monkeypatch
):
    monkeypatch.setattr("pipeline.models.classifiers.IMAGENET_CLASSES", 3)
    monkeypatch.setattr(
        "pipeline.models.networks.timm_network.TimmNetwork.classifier",
        lambda self: timm.create_model(self.name, num_classes=3),
    )
    path = workspace / "published.safetensors"
    torch.manual_seed(0)
    save_weights(timm.create_model(NAMES[0], num_classes=3), path)
    classify(
        changed(
            ranking,
            ranking__classifiers=NAMES[:1],
            ranking__fine_tune=False,
            pretrain__source="file",
            pretrain__file=str(path),
        )
    )
    assert list(files()) == [f"{NAMES[0]}.arrow"] and epochs == []


def test_a_missing_input_names_the_stage_to_run(workspace, ranking):
    (workspace / "data/packed/single/test/index.json").unlink()
    with pytest.raises(InputError, match="index.json: not found; run `dvc repro preprocess"):
        classify(ranking)
    assert not CLASSIFIERS.exists()
