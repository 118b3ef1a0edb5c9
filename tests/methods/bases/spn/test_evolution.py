"""What SPN keeps of each epoch; tests/training/test_fit.py has that it outlives an interruption."""

import numpy as np
import pytest
import torch

from pipeline.datasets.packing import pack
from pipeline.evaluation.localization.maps import resize_map
from pipeline.evaluation.metrics.object_energy import object_energy
from pipeline.methods.bases.spn.evolution import FOLDER, SHOWN, read_evolution, watch
from pipeline.methods.bases.spn.network import METHOD
from pipeline.models.backbones import Backbone
from pipeline.models.losses import Classification
from pipeline.packed.pictures import to_tensor, warp
from pipeline.packed.record import Dataset, Split
from pipeline.packed.store import PackedSplit
from tests.coloured_boxes import COLOURS, coloured_box


@pytest.fixture(scope="module")
def objective(quick):
    torch.manual_seed(0)
    return Classification(METHOD.network(Backbone(quick.backbone), 3, quick)).eval()


@pytest.fixture
def val(packed_once):
    return PackedSplit(packed_once / "multi/val")


def localized(objective, record, size):
    with torch.inference_mode():
        return objective.network.localize(to_tensor(warp(record.image, size))[None])


def test_object_energy_is_that_of_the_evaluation_at_the_networks_input(
    objective, val, quick, tmp_path
):
    size = quick.input.size
    expected = []
    for record in val:
        (proposal,) = localized(objective, record, size).proposal_maps.numpy()
        scale = size / np.array([record.width, record.height] * 2)
        expected.append(object_energy(resize_map(proposal, size, size), record.boxes_xyxy * scale))
    found = watch(objective, val, tmp_path, quick, 0)
    assert found == {"object_energy": pytest.approx(np.mean(expected), rel=1e-4)}


def test_the_maps_of_the_first_pictures_are_kept_by_epoch(objective, val, quick, tmp_path):
    for epoch in (0, 1, 1):  # The second was cut off behind `watch`.
        watch(objective, val, tmp_path, quick, epoch)
    first, second = read_evolution(tmp_path)
    assert (first.epoch, second.epoch) == (1, 2)
    assert first.ids == tuple(record.id for record in val[:SHOWN])
    for place, record in enumerate(val[:SHOWN]):
        found = localized(objective, record, quick.input.size)
        np.testing.assert_allclose(second.proposal_maps[place], found.proposal_maps[0], rtol=1e-4)
        response = found.response_maps[0, record.labels[0]]
        np.testing.assert_allclose(second.response_maps[place], response, rtol=1e-3, atol=1e-6)


def test_the_same_epoch_leaves_the_same_bytes(objective, val, quick, tmp_path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        watch(objective, val, folder, quick, 0)
    one, other = ((folder / FOLDER / "0001.safetensors").read_bytes() for folder in folders)
    assert one == other


def test_without_boxes_or_labels_there_is_nothing_to_tell(objective, quick, tmp_path):
    def bare(numbers):
        for number in numbers:
            record = coloured_box(number, "single")
            nothing = {"boxes_xyxy": record.boxes_xyxy[:0], "box_labels": record.box_labels[:0]}
            yield record.__class__(
                **vars(record) | nothing | {"difficult": record.difficult[:0], "labels": ()}
            )

    dataset = Dataset("bare", "multi", COLOURS, {"val": Split(bare, range(2))})
    pack(dataset, tmp_path / "multi", origin="", workers=1)
    split = PackedSplit(tmp_path / "multi/val")
    assert watch(objective, split, tmp_path, quick, 0) == {}
    assert read_evolution(tmp_path) == []


def test_of_several_processes_one_keeps_maps_and_all_judge(
    objective, val, quick, tmp_path, monkeypatch
):
    alone = watch(objective, val, tmp_path / "main", quick, 0)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert watch(objective, val, tmp_path / "other", quick, 0) == alone
    assert read_evolution(tmp_path / "main") and not (tmp_path / "other").exists()
