from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from pipeline.methods.wsddn_objective import (
    RegionAnnotation,
    RegionClassification,
    RegionTargets,
    candidates,
    log_loss,
    regions_of,
)
from torch import nn

from pipeline.errors import InputError
from pipeline.methods.wsddn import Regions
from pipeline.packed.pictures import Window
from pipeline.packed.proposals import Proposals
from pipeline.packed.store import PackedSplit
from pipeline.training.batches import training_batches
from tests.coloured_boxes import coloured_box

RECORD = coloured_box(0, "multi")  # 48 x 40


def proposals(boxes, scores, id=RECORD.id):
    return Proposals(
        id, "train", np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)
    )


TWO = proposals([[0, 0, 24, 20], [36, 0, 48, 40]], [0.4, 0.1])
NONE = proposals([], [])


def test_regions_are_the_best_proposals_with_scores_relative_to_the_best():
    found = regions_of(TWO, RECORD, Window(), 3)
    assert found.boxes.tolist() == [[0, 0, 0.5, 0.5], [0.75, 0, 1, 1], [0, 0, 0, 0]]
    torch.testing.assert_close(found.scores, torch.tensor([1, 0.25, 0]))
    assert found.present.tolist() == [True, True, False]
    best = regions_of(TWO, RECORD, Window(), 1)
    assert best.boxes.tolist() == [[0, 0, 0.5, 0.5]]


def test_regions_follow_the_crop_and_the_flip():
    found = regions_of(TWO, RECORD, Window((0, 0, 0.5, 1), flipped=True), 2)
    assert found.boxes[0].tolist() == [0, 0, 1, 0.5]
    assert found.present.tolist() == [True, False]


@pytest.mark.parametrize("shown", [NONE, proposals([[40, 0, 48, 40]], [0.4])])
def test_an_image_without_visible_proposals_is_one_region(shown):
    found = regions_of(shown, RECORD, Window((0, 0, 0.5, 1)), 2)
    assert found.boxes[0].tolist() == [0, 0, 1, 1]
    assert found.scores.tolist() == [1, 0]
    assert found.present.tolist() == [True, False]


def test_candidates_of_an_image_without_proposals_are_the_picture():
    boxes, scores = candidates(NONE, RECORD, 5)
    assert boxes.tolist() == [[0, 0, 48, 40]] and scores.tolist() == [1]


def test_proposals_that_all_score_0_count_alike():
    assert candidates(proposals(TWO.boxes_xyxy, [0, 0]), RECORD, 5)[1].tolist() == [1, 1]


def test_regions_are_made_from_what_is_stored_and_leave_it_as_it_is():
    before = TWO.boxes_xyxy.copy(), TWO.scores.copy()
    regions_of(TWO, RECORD, Window((0.5, 0.5, 0.6, 0.6)), 2)
    assert np.array_equal(TWO.boxes_xyxy, before[0]) and np.array_equal(TWO.scores, before[1])


def test_proposals_of_another_image_are_refused():
    with pytest.raises(InputError, match="image 007 where those of 000 are expected; run `dvc rep"):
        regions_of(replace(TWO, id="007"), RECORD, Window(), 3)


@pytest.fixture
def split(packed):
    return PackedSplit(packed / "multi" / "train")


def test_targets_are_labels_and_regions_of_the_same_image(split, quick, monkeypatch):
    monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: 0)
    stored = [
        proposals(record.boxes_xyxy, np.ones(len(record.boxes_xyxy)), record.id) for record in split
    ]
    plain = quick.input.model_copy(update={"margin": 0, "flip": False})
    loader, keys = training_batches(split, plain, 7, 4, RegionAnnotation(split, stored, 3))
    order = [index for _, index in keys]
    targets = [each for _, each in loader]
    labels = torch.cat([each.labels for each in targets])
    boxes = torch.cat([each.regions.boxes for each in targets])
    assert boxes.shape == (10, 3, 4)
    for row, index in enumerate(order):
        record = split[index]
        assert labels[row].nonzero().flatten().tolist() == list(record.labels)
        expected = torch.from_numpy(record.boxes_xyxy / [48, 40, 48, 40]).float()
        torch.testing.assert_close(boxes[row, : len(expected)], expected)


def test_proposals_of_another_number_of_images_are_refused(split):
    with pytest.raises(InputError, match=r"proposals of 1 images for the 10 of boxes \(train\)"):
        RegionAnnotation(split, [TWO], 3)


def test_the_loss_is_summed_over_classes_and_averaged_over_images():
    probabilities = torch.tensor([[0.5, 0.25], [0.8, 0.9]])
    labels = torch.tensor([[1.0, 0], [0, 1]])
    expected = -(log(0.5) + log(0.75) + log(0.2) + log(0.9)) / 2
    assert log_loss(probabilities, labels).item() == pytest.approx(expected)


def test_the_loss_of_a_certain_error_and_of_rounding_above_1_is_finite():
    probabilities = torch.tensor([[0.0, 1.0000002]], requires_grad=True)
    loss = log_loss(probabilities, torch.tensor([[1.0, 0.0]]))
    loss.backward()
    assert loss.item() == 200 and probabilities.grad.isfinite().all()


def test_the_objective_is_the_loss_of_the_sum_over_regions():
    class Fixed(nn.Module):
        def forward(self, images, regions):
            return torch.tensor([[[0.1, 0.2], [0.3, 0.3]]])

    regions = Regions(torch.zeros(1, 2, 4), torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool))
    targets = RegionTargets(torch.tensor([[1.0, 0]]), regions)
    terms = RegionClassification(Fixed())(torch.zeros(1), targets, 0)
    assert list(terms) == ["classification"]
    assert terms["classification"].item() == pytest.approx(-log(0.4) - log(0.5))
