from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.methods.wsddn import (
    PROPOSALS,
    RegionAnnotation,
    RegionClassification,
    Regions,
    RegionTargets,
    WeaklySupervisedDetector,
    candidates,
    log_loss,
    regions_of,
)
from pipeline.models.backbones import Backbone
from pipeline.packed.pictures import Window
from pipeline.packed.proposals import Proposals, write_proposals
from pipeline.packed.store import PackedSplit
from pipeline.training.batches import training_batches
from tests.coloured_boxes import coloured_box
from tests.parameters import changed

CLASSES = 3


class Features(nn.Module):
    """A backbone whose one map (B, 1, 4, 4) is given."""

    channels = (1,)

    def __init__(self, values):
        super().__init__()
        self.values = values

    def forward(self, images):
        return [self.values]


@pytest.fixture
def network(quick):
    torch.manual_seed(0)
    return WeaklySupervisedDetector(Backbone(quick.backbone), CLASSES, quick.wsddn).eval()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=generator)


def some_regions(count=5):
    """Regions of two images, all of them present."""
    generator = torch.Generator().manual_seed(2)
    corners = torch.rand(2, count, 2, generator=generator) * 0.5
    sides = torch.rand(2, count, 2, generator=generator) * 0.4 + 0.1
    scores = torch.rand(2, count, generator=generator) * 0.9 + 0.1
    boxes = torch.cat([corners, corners + sides], dim=2)
    return Regions(boxes, scores, torch.ones(2, count, dtype=torch.bool))


def test_scores_are_softmax_over_classes_times_softmax_over_regions(params):
    """Two regions and two classes by hand: features 1 and 3, logits that are their multiples."""
    chosen = changed(params, wsddn__grid=1, wsddn__hidden=1)
    values = torch.ones(1, 1, 4, 4)
    values[..., 2:] = 3
    network = WeaklySupervisedDetector(Features(values), 2, chosen.wsddn)
    network.layers = nn.Identity()
    with torch.no_grad():
        network.classification.weight.copy_(torch.tensor([[1.0], [0.0]]))
        network.detection.weight.copy_(torch.tensor([[0.5], [-0.5]]))
        network.classification.bias.zero_()
        network.detection.bias.zero_()
    boxes = torch.tensor([[[0, 0, 0.25, 1], [0.75, 0, 1, 1]]])
    regions = Regions(boxes, torch.tensor([[1.0, 0.5]]), torch.ones(1, 2, dtype=torch.bool))
    found = network(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), regions)
    features = torch.tensor([1.0, 1.5])  # 1 of score 1, 3 of score 0.5
    what = torch.stack([features, torch.zeros(2)], dim=1).softmax(1)
    where = torch.stack([features / 2, -features / 2], dim=1).softmax(0)
    torch.testing.assert_close(found[0], what * where)
    assert found[0, 1, 0] > found[0, 0, 0] and found[0, 0, 1] > found[0, 1, 1]


def test_a_region_is_pooled_from_where_it_lies(params):
    chosen = changed(params, wsddn__grid=2, wsddn__hidden=1)
    values = torch.arange(4.0).repeat(4, 1)[None, None]  # the column's number
    network = WeaklySupervisedDetector(Features(values), 2, chosen.wsddn)
    boxes = torch.tensor([[[0.25, 0, 0.75, 1], [0, 0, 1, 1.0]]])
    regions = Regions(boxes, torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool))
    pooled = network._pooled(values, regions).unflatten(1, (2, 2))
    # Columns 1 and 2 have their centres at 1.5 and 2.5 of 4.
    torch.testing.assert_close(pooled[0], torch.tensor([[1.0, 2], [1, 2]]))
    torch.testing.assert_close(pooled[1], torch.tensor([[0.5, 2.5], [0.5, 2.5]]))


def test_the_probabilities_of_an_image_are_at_most_1(network, images):
    scores = network(images, some_regions())
    assert scores.shape == (2, 5, CLASSES)
    assert (scores >= 0).all()
    probabilities = scores.sum(1)
    assert ((probabilities > 0) & (probabilities <= 1 + 1e-6)).all()


def test_padding_changes_nothing(network, images):
    regions = some_regions()
    noise = some_regions(9)
    padded = Regions(
        torch.cat([regions.boxes, noise.boxes], dim=1),
        torch.cat([regions.scores, 100 * noise.scores], dim=1),
        torch.cat([regions.present, ~noise.present], dim=1),
    )
    found = network(images, padded)
    torch.testing.assert_close(found[:, :5], network(images, regions))
    assert not found[:, 5:].any()


def test_each_image_has_its_own_regions(network, images):
    regions = some_regions()
    few = regions._replace(present=torch.tensor([[True] * 5, [True, False, True, False, False]]))
    found = network(images, few)
    torch.testing.assert_close(found[0], network(images[:1], Regions(*(r[:1] for r in few)))[0])
    kept = Regions(*(r[1:, [0, 2]] for r in few))
    torch.testing.assert_close(found[1, [0, 2]], network(images[1:], kept)[0])


def test_an_image_without_any_region_has_no_class_and_a_finite_gradient(network, images):
    regions = some_regions()
    none = regions._replace(present=torch.tensor([[True] * 5, [False] * 5]))
    scores = network(images, none)
    assert not scores[1].any()
    scores.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_both_streams_and_the_backbone_learn(network, images):
    (-network(images, some_regions()).sum(1).log().sum()).backward()
    for stream in (network.classification, network.detection, network.layers[0]):
        assert stream.weight.grad.abs().sum() > 0
    assert any(p.grad is not None and p.grad.any() for p in network.backbone.parameters())


def test_the_order_of_the_regions_does_not_matter(network, images):
    regions, order = some_regions(), torch.tensor([3, 0, 4, 1, 2])
    shuffled = Regions(*(each[:, order] for each in regions))
    found = network(images, shuffled)
    torch.testing.assert_close(found, network(images, regions)[:, order])


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


def test_targets_are_labels_and_regions_of_the_same_image(split, quick):
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


BOXES = [[4, 6, 22, 30], [0, 0, 48, 40], [30, 18, 46, 38]]


@pytest.fixture
def detected(packed, quick, tmp_path):
    """What a network detects in the test images, each with the same proposals; or others."""
    split = PackedSplit(packed / "multi" / "test")

    def detect(network, boxes=BOXES, scores=(3, 2, 1), of=split, batch_size=3, asked=None):
        stored = (replace(proposals(boxes, scores, r.id), split="test") for r in of)
        write_proposals(tmp_path / PROPOSALS, stored)
        params = changed(quick, evaluate__batch_size=batch_size)
        return list(network.eval().detect(asked or split, tmp_path, params))

    detect.split = split
    return detect


@pytest.fixture
def scoring(network):
    """The network, made to score the i-th region of every image by the i-th row of a table."""

    def make(table):
        network.forward = lambda images, regions: torch.tensor(table).repeat(len(images), 1, 1)
        return network

    return make


def test_images_of_a_part_are_detected_by_their_own_proposals(detected, scoring):
    part = detected.split.part(range(1, 4))
    found = detected(scoring([[0.1, 0.0, 0.2]] * 4), asked=part)
    assert [each.id for each in found] == [record.id for record in part]


def test_each_class_has_the_box_that_scores_highest(detected, scoring):
    table = [[0.1, 0.0, 0.2], [0.3, 0.0, 0.2], [0.2, 0.5, 0.1], [0.0, 0.0, 0.0]]
    found = detected(scoring(table))
    assert [each.id for each in found] == [record.id for record in detected.split]
    for each in found:
        np.testing.assert_allclose(each.scores, [0.6, 0.5, 0.5], rtol=1e-6)
        # Equal scores of class 2: the better proposal.
        assert each.boxes_xyxy.tolist() == [BOXES[1], BOXES[2], BOXES[0]]


def test_an_image_without_proposals_has_the_whole_picture(detected, network):
    for each in detected(network, boxes=[], scores=[]):
        assert each.boxes_xyxy.tolist() == [[0, 0, 48, 40]] * CLASSES
        assert each.scores.sum() == pytest.approx(1)  # one region: softmax over the classes


def test_what_an_image_gets_does_not_depend_on_its_batch(detected, network):
    together, alone = (detected(network, batch_size=size) for size in (3, 1))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4)
        assert np.array_equal(one.boxes_xyxy, other.boxes_xyxy)


def test_scores_that_are_not_finite_name_the_image(detected, scoring):
    with pytest.raises(InputError, match="image 014: .* not finite"):
        detected(scoring([[0.1, float("nan"), 0.2]] * 4))


def test_proposals_of_other_test_images_are_refused(detected, network):
    records = list(detected.split)
    with pytest.raises(InputError, match="image 017 where those of 014 are expected"):
        detected(network, of=records[::-1])
    with pytest.raises(InputError, match="proposals of 3 images for the 4"):
        detected(network, of=records[:3])
