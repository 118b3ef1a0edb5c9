from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pipeline.methods.rpn_objective import MOST_OBJECTS, Objects, RegionProposal, objects_of
from torch import nn

from pipeline.methods.rpn import RegionProposer
from pipeline.packed.pictures import Window
from pipeline.packed.store import PackedSplit
from pipeline.training import loop
from pipeline.training.batches import training_batches
from pipeline.training.fit import fit
from tests.coloured_boxes import coloured_box
from tests.parameters import changed

TWO = coloured_box(1, "multi")  # 48 x 40, the second box difficult


def test_objects_are_all_boxes_also_the_difficult_ones():
    assert TWO.difficult.tolist() == [False, True]
    found = objects_of(0, TWO, Window())
    assert found.boxes.shape == (MOST_OBJECTS, 4)
    assert found.present.sum() == 2 and found.present[:2].all()
    expected = torch.from_numpy(TWO.boxes_xyxy / [48, 40, 48, 40]).float()
    torch.testing.assert_close(found.boxes[:2], expected)


def test_objects_outside_of_the_window_are_no_objects():
    found = objects_of(0, TWO, Window((0.5, 0, 1, 1)))  # x 24..48; the first box ends at 22
    assert found.present[:2].tolist() == [False, True]


def test_an_image_may_have_no_objects_or_more_than_there_is_room_for():
    none = replace(TWO, boxes_xyxy=np.zeros((0, 4), np.float32))
    assert not objects_of(0, none, Window()).present.any()
    many = replace(TWO, boxes_xyxy=np.repeat(TWO.boxes_xyxy, MOST_OBJECTS, axis=0))
    found = objects_of(0, many, Window())
    assert found.boxes.shape == (MOST_OBJECTS, 4) and found.present.all()


def test_the_network_learns_from_the_objects_without_padding():
    seen = []

    class Recorded(nn.Module):
        def losses(self, images, boxes):
            seen.extend(boxes)
            return {"objectness": torch.tensor(1.0), "box_regression": torch.tensor(2.0)}

    boxes = torch.rand(2, 3, 4)
    present = torch.tensor([[True, False, True], [False, False, False]])
    terms = RegionProposal(Recorded())(torch.zeros(2), Objects(boxes, present), 0)
    assert {name: value.item() for name, value in terms.items()} == {
        "objectness": 1,
        "box_regression": 2,
    }
    assert torch.equal(seen[0], boxes[0, [0, 2]]) and seen[1].shape == (0, 4)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_have_the_objects_of_their_images(packed, quick, monkeypatch, workers):
    monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: workers)
    split = PackedSplit(packed / "multi" / "train")
    plain = quick.input.model_copy(update={"margin": 0, "flip": False})
    loader, keys = training_batches(split, plain, 7, 4, objects_of)
    present = torch.cat([targets.present for _, targets in loader]).sum(1).tolist()
    assert present == [len(split[index].boxes_xyxy) for _, index in keys]


class Killed(Exception):
    """The training was killed."""


@pytest.fixture
def trained(quick, packed, backbone_file, tmp_path):
    """Fit the network; return the bytes of its weights and its history."""
    schedule = {"epochs": 2, "batch_size": 4, "decay_epochs": [1]}
    params = changed(quick, **{f"rpn__train__{key}": value for key, value in schedule.items()})

    def make(folder):
        out = tmp_path / folder
        fit(
            lambda backbone, classes: RegionProposal(RegionProposer(backbone, params.input.size)),
            params,
            params.rpn,
            params.rpn.train,
            split=packed / "multi" / "train",
            backbone=backbone_file,
            weights=out / "rpn.safetensors",
            history=out / "rpn.csv",
            scratch=out / "scratch",
            targets=lambda split: objects_of,
        )
        history = pd.read_csv(out / "rpn.csv")
        assert list(history.columns) == ["epoch", "loss", "objectness", "box_regression"]
        return (out / "rpn.safetensors").read_bytes(), (out / "rpn.csv").read_bytes()

    return make


def test_an_interrupted_training_draws_the_same_anchors_when_it_goes_on(trained, monkeypatch):
    run_epoch = loop.run_epoch

    def killed(*arguments):
        if arguments[4] == 1:
            raise Killed
        return run_epoch(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "run_epoch", killed)
        trained("broken")
    assert trained("broken") == trained("whole")
