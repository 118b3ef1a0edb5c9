"""Stage classify: class probabilities of one other classifier."""

from pathlib import Path

import pytest
import timm
import torch

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.models.weights import save_weights
from pipeline.training import loop
from stages.classify import classify
from stages.paths import classifier_file
from tests.parameters import changed

NAMES = ["test_resnet", "test_efficientnet"]
NAME = NAMES[0]


class Killed(Exception):
    """The training was killed."""


@pytest.fixture(scope="module")
def ranking(quick):
    """Two small classifiers, trained from random weights for two epochs."""
    return changed(quick, ranking__classifiers=NAMES, pretrain__source="scratch")


@pytest.fixture(scope="module")
def whole(furnished, ranking, tmp_path_factory):
    """A folder in which both classifiers were trained."""
    folder = furnished(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in NAMES:
            classify(ranking, name)
    return folder


@pytest.fixture
def epochs(monkeypatch):
    """The epochs that are run, as they are run."""
    run, run_epoch = [], loop.run_epoch
    monkeypatch.setattr(loop, "run_epoch", lambda *a: run.append(a[4].epoch) or run_epoch(*a))
    return run


def checkpoints():
    return [path.name for path in Path(".scratch").glob("*") if path.is_dir()]


def test_each_classifier_gives_the_probabilities_of_every_test_image(whole, monkeypatch):
    monkeypatch.chdir(whole)
    both = [list(read_predictions(classifier_file(name), "test")) for name in NAMES]
    for found in both:
        assert [p.id for p in found] == ["014", "015", "016", "017"]
        assert all(p.scores.shape == (3,) and p.scores.sum() == pytest.approx(1) for p in found)
    assert any((a.scores != b.scores).any() for a, b in zip(*both, strict=True))
    assert checkpoints() == []


def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(
    workspace, whole, ranking, epochs, monkeypatch
):
    out = classifier_file(NAME)
    out.parent.mkdir(parents=True)
    out.write_bytes(b"older")
    run_epoch = loop.run_epoch

    def run_or_die(*arguments):
        if arguments[4].epoch == 1:
            raise Killed
        return run_epoch(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "run_epoch", run_or_die)
        classify(ranking, NAME)
    assert out.read_bytes() == b"older" and len(checkpoints()) == 1
    # Other classifiers on the list make no difference.
    classify(changed(ranking, ranking__classifiers=[NAME]), NAME)
    assert epochs == [0, 1]
    assert out.read_bytes() == (whole / out).read_bytes()
    assert checkpoints() == []


def test_a_classifier_that_cannot_be_had_ends_the_stage_before_any_training(
    workspace, ranking, epochs
):
    with pytest.raises(InputError, match="ranking.classifiers:\n  resnet5000: "):
        classify(changed(ranking, ranking__classifiers=[*NAMES, "resnet5000"]), NAME)
    assert epochs == [] and not classifier_file(NAME).exists()


@pytest.mark.parametrize("change", [{"seed": 5}, {"ranking__train__learning_rate": 0.02}])
def test_the_seed_and_the_schedule_reach_the_training(workspace, whole, ranking, change):
    classify(changed(ranking, **change), NAME)
    out = classifier_file(NAME)
    assert out.read_bytes() != (whole / out).read_bytes()


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
    save_weights(timm.create_model(NAME, num_classes=3), path)
    published = {"source": "file", "file": str(path)}
    chosen = changed(
        ranking,
        ranking__classifiers=[NAME],
        ranking__fine_tune=False,
        **{f"pretrain__{key}": value for key, value in published.items()},
    )
    classify(chosen, NAME)
    assert classifier_file(NAME).exists() and epochs == []


def test_a_missing_input_names_the_stage_to_run(workspace, ranking):
    (workspace / "data/packed/single/test/index.json").unlink()
    with pytest.raises(InputError, match="index.json: not found; run `dvc repro preprocess"):
        classify(ranking, NAME)
    assert not classifier_file(NAME).exists()


def test_a_classifier_that_is_not_listed_is_refused(workspace, ranking, epochs):
    told = "test_resnet is not on the list `ranking.classifiers` of params.yaml; put it there, or r"
    with pytest.raises(InputError, match=told):
        classify(changed(ranking, ranking__classifiers=NAMES[1:]), NAME)
    assert epochs == [] and not classifier_file(NAME).exists()
