"""Maps of the pipeline's own networks, written to files, have the figures of the pipeline."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.localization.predictions import Prediction, read_predictions
from pipeline.evaluation.protocol.estimates import Figures
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.scoring.figures import scores_of_maps
from pipeline.scoring.map_folder import MapFolder, read_maps
from pipeline.scoring.truth import read_truth
from stages.evaluate import evaluate
from stages.paths import predictions_file, scores_file, split_folder

Write = Callable[[Path, Prediction, PackedSplit], None]


@pytest.fixture
def evaluated(workspace: Path, leave_network: Callable[..., None], quick: Params) -> Path:
    """The folder of a run, in which SPG and SPN, of random weights, are evaluated."""
    for model in ("spg", "spn_multi"):
        leave_network(model)
        evaluate(quick, model)
    return workspace


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def of_label(folder: Path, found: Prediction, split: PackedSplit) -> None:
    (record,) = (each for each in split if each.id == found.id)
    save(folder / f"{found.id}.npy", found.map_of(record.labels[0]))


def of_classes(folder: Path, found: Prediction, split: PackedSplit) -> None:
    for label, values in zip(found.map_classes, found.maps, strict=True):
        save(folder / found.id / f"{split.classes[label]}.npy", values)


def of_proposals(folder: Path, found: Prediction, split: PackedSplit) -> None:
    assert found.proposal_map is not None
    save(folder / f"{found.id}.npy", found.proposal_map)


def written(model: str, track: str, name: str, write: Write) -> MapFolder:
    """The maps of a model, read from files."""
    folder, data = Path("maps") / model / name, split_folder(track, name)
    for found in read_predictions(predictions_file(model), name):
        write(folder, found, PackedSplit(data))
    return read_maps(folder, read_truth(data, "from-0"))


def scores(model: str) -> Figures:
    found: Figures = json.loads(scores_file(model).read_text())
    return found


@pytest.mark.parametrize("write", [of_label, of_classes])
def test_boxes_of_single_label_maps(evaluated: Path, quick: Params, write: Write) -> None:
    test, val = (written("spg", "single", name, write) for name in ("test", "val"))
    found, own = scores_of_maps(test, val, "half-open", quick), scores("spg")
    same = {
        *("gt_known_error", "max_box_acc", "max_box_acc_v2", "max_box_acc_30", "max_box_acc_70"),
        *("mean_box_error", "threshold", "gt_known_error_per_class"),
    }
    assert {name: found[name] for name in same} == {name: own[name] for name in same}


def test_points_of_multi_label_maps(evaluated: Path, quick: Params) -> None:
    test = written("spn_multi", "multi", "test", of_classes)
    found, own = scores_of_maps(test, None, "half-open", quick), scores("spn_multi")
    for name in ("pointing", "center_pointing"):
        assert found[name] == own[name]
    assert not test.energies and "object_energy" not in plain(found)


def test_energies_of_proposal_maps(evaluated: Path, quick: Params) -> None:
    test = written("spn_multi", "multi", "test", of_proposals)
    found, own = scores_of_maps(test, None, "half-open", quick), scores("spn_multi")
    for name in ("model", "uniform", "gaussian_20"):
        assert found["object_energy"][name] == own["object_energy"][name]


def plain(found: Figures) -> Figures:
    """What has a figure."""
    return {name: value for name, value in found.items() if value}
