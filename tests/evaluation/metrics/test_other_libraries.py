"""The same numbers as scikit-learn, torchmetrics, torchvision and faster-coco-eval.

Captum judges attributions by infidelity and sensitivity only: it has no metric of pointing or
of boxes to compare with.
"""

import contextlib
import io

import cv2
import numpy as np
import pytest
import torch
from faster_coco_eval import COCO, COCOeval_faster, mask
from scipy import ndimage
from sklearn.metrics import (
    average_precision_score,
    jaccard_score,
    recall_score,
    top_k_accuracy_score,
)
from torchmetrics.classification import (
    BinaryAveragePrecision,
    BinaryJaccardIndex,
    MulticlassAccuracy,
    MultilabelAveragePrecision,
)
from torchvision.ops import box_iou

from pipeline.evaluation.localization.boxes import iou_xyxy
from pipeline.evaluation.metrics.average_precision import class_average_precision
from pipeline.evaluation.metrics.box_localization import cor_loc, is_located
from pipeline.evaluation.metrics.classification import (
    class_accuracy,
    label_ranks,
    mean_average_precision,
    top_k_error,
)
from pipeline.evaluation.metrics.masks import level_histograms, mask_ious, px_ap
from pipeline.evaluation.metrics.pointing import is_hit, point_of_maximum

IMAGES, CLASSES, SIDE = 60, 5, 100


@pytest.fixture
def random():
    return np.random.default_rng(7)


def tied_scores(random):
    return random.integers(0, 12, (IMAGES, CLASSES)) / 12


def test_mean_average_precision_of_scikit_learn_with_sample_weights(random):
    scores, weights = tied_scores(random), random.random(IMAGES)
    targets = random.integers(0, 2, (IMAGES, CLASSES))
    expected = average_precision_score(targets, scores, average=None, sample_weight=weights)
    mean, per_class = mean_average_precision(scores, targets, weights)
    np.testing.assert_allclose(per_class, 100 * expected, rtol=1e-10)
    assert mean == pytest.approx(100 * expected.mean(), rel=1e-10)


def test_multilabel_average_precision_of_torchmetrics_with_ignored_targets(random):
    scores, targets = tied_scores(random), random.integers(-1, 2, (IMAGES, CLASSES))
    metric = MultilabelAveragePrecision(CLASSES, average="none", ignore_index=-1)
    expected = metric(torch.tensor(scores), torch.tensor(targets)).double().numpy()
    _, per_class = mean_average_precision(scores, targets)
    np.testing.assert_allclose(per_class, 100 * expected, rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k_error_of_scikit_learn_and_torchmetrics(random, k):
    scores = random.permuted(np.tile(np.arange(CLASSES) / CLASSES, (IMAGES, 1)), axis=1)
    labels, weights = random.integers(0, CLASSES, IMAGES), random.integers(0, 4, IMAGES)
    ranks = label_ranks(scores, labels)
    found = top_k_accuracy_score(
        labels, scores, k=k, labels=np.arange(CLASSES), sample_weight=weights
    )
    assert top_k_error(ranks, k, weights) == pytest.approx(100 - 100 * found, rel=1e-10)
    metric = MulticlassAccuracy(CLASSES, top_k=k, average="micro")
    accuracy = float(metric(torch.tensor(scores), torch.tensor(labels)))
    assert top_k_error(ranks, k) == pytest.approx(100 - 100 * accuracy, rel=1e-6)


def test_accuracy_per_class_is_the_recall_of_scikit_learn(random):
    labels, weights = random.integers(0, CLASSES, IMAGES), random.random(IMAGES)
    answers = np.where(random.random(IMAGES) < 0.6, labels, (labels + 1) % CLASSES)
    expected = recall_score(labels, answers, average=None, sample_weight=weights)
    found = class_accuracy(labels, answers == labels, CLASSES, weights)
    np.testing.assert_allclose(found, 100 * expected, rtol=1e-10)


def masked_maps(random):
    """Levels (n, H, W) that are higher on the objects, and the masks of these (n, H, W)."""
    masks = ndimage.gaussian_filter(random.normal(size=(4, 40, 30)), (0, 5, 5)) > 0
    levels = (100 * masks + random.integers(0, 156, masks.shape)).astype(np.uint8)
    return levels, masks


def test_pixel_average_precision_of_scikit_learn_and_torchmetrics(random):
    levels, masks = masked_maps(random)
    weights = np.array([1, 0, 2.5, 3])
    histograms = [level_histograms(*image) for image in zip(levels, masks, strict=True)]
    per_pixel = np.broadcast_to(weights[:, None, None], masks.shape)
    expected = average_precision_score(
        masks.ravel(), levels.ravel(), sample_weight=per_pixel.ravel()
    )
    assert px_ap(histograms, weights) == pytest.approx(100 * expected, rel=1e-10)
    scores = torch.tensor(levels / 255).flatten()
    expected = BinaryAveragePrecision()(scores, torch.tensor(masks).flatten().long())
    assert px_ap(histograms) == pytest.approx(100 * float(expected), rel=1e-6)


@pytest.mark.parametrize("level", [1, 100, 180, 250])
def test_mask_iou_is_the_jaccard_index_of_scikit_learn_and_torchmetrics(random, level):
    for levels, truth in zip(*masked_maps(random), strict=True):
        found = mask_ious([level_histograms(levels, truth)])[0, level]
        expected = jaccard_score(truth.ravel(), (levels >= level).ravel())
        assert found == pytest.approx(100 * expected, rel=1e-10)
        marked = torch.tensor(levels >= level).long()
        jaccard = BinaryJaccardIndex()(marked, torch.tensor(truth).long())
        assert found == pytest.approx(100 * float(jaccard), rel=1e-6)


def random_boxes(random, count):
    corners = random.integers(0, SIDE - 1, (count, 2))
    return np.hstack([corners, random.integers(corners + 1, SIDE + 1)]).astype(float)


def test_box_iou_of_torchvision_and_faster_coco_eval(random):
    a, b = random_boxes(random, 40), random_boxes(random, 30)
    found = iou_xyxy(a, b)
    np.testing.assert_allclose(found, box_iou(torch.tensor(a), torch.tensor(b)), rtol=1e-12)
    np.testing.assert_allclose(found, mask.iou(xywh(a), xywh(b), [0] * len(b)), rtol=1e-12)


def xywh(boxes):
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def coco_evaluation(truth, answers, classes):
    """Evaluate at IoU 0.5 and one answer per image; rows of (image, class, box[, score])."""
    annotations = [
        {"id": i, "image_id": image, "category_id": label, "bbox": [*map(float, box)]}
        | {"area": float(box[2] * box[3]), "iscrowd": 0}
        for i, (image, label, box) in enumerate(truth, start=1)
    ]
    detections = [
        {"image_id": image, "category_id": label, "bbox": [*map(float, box)], "score": score}
        for image, label, box, score in answers
    ]
    images = sorted({row[0] for row in truth} | {row[0] for row in answers})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(
            {
                "images": [{"id": i, "width": SIDE, "height": SIDE} for i in images],
                "annotations": annotations,
                "categories": [{"id": c, "name": str(c)} for c in range(classes)],
            }
        )
        evaluation = COCOeval_faster(coco, coco.loadRes(detections), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.maxDets = [1]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def test_corloc_is_the_recall_of_faster_coco_eval(random):
    """One object and one answer per (image, class) pair: COCO's AR@1 at IoU 0.5."""
    truth_boxes = random_boxes(random, 3 * IMAGES)
    shifts = random.integers(-12, 13, truth_boxes.shape)
    answer_boxes = truth_boxes + shifts
    answer_boxes[:, 2:] = np.maximum(answer_boxes[:, 2:], answer_boxes[:, :2] + 1)
    images, labels = np.divmod(np.arange(3 * IMAGES), 3)
    rows = list(zip(images.tolist(), labels.tolist(), strict=True))
    truth = [(*row, box) for row, box in zip(rows, xywh(truth_boxes), strict=True)]
    answers = [(*row, box, 0.5) for row, box in zip(rows, xywh(answer_boxes), strict=True)]
    located = [is_located(a, t[None]) for a, t in zip(answer_boxes, truth_boxes, strict=True)]
    recall = coco_evaluation(truth, answers, 3)["recall"].reshape(3)
    assert 0.1 < recall.min() < recall.max() < 0.9
    np.testing.assert_allclose(cor_loc(labels, located, 3)[1], 100 * recall, rtol=1e-10)


def test_average_precision_is_that_of_faster_coco_eval_where_precision_is_constant():
    """COCO samples the curve's hull at 101 recalls; on a level curve that changes nothing.

    Class c answers wrongly c times before each right answer: precision 1 / (c + 1) at each gain.
    A box of IoU 0.5 exactly is right for both.
    """
    classes, right = 3, 8
    truth, answers = [], []
    scores = np.zeros((classes * right, classes))
    targets, hits = np.zeros(scores.shape, int), np.zeros(scores.shape, bool)
    for label in range(classes):
        for place in range((label + 1) * right):
            score = 1 - place / (classes * right)
            is_right = place % (label + 1) == label
            box = [10, 10, 20, 20 if is_right else 19]  # x, y, w, h: half of the object, or less
            answers.append((place, label, box, score))
            scores[place, label], hits[place, label] = score, is_right
            if is_right:
                targets[place, label] = 1
                truth.append((place, label, [10, 10, 20, 40]))
    found = class_average_precision(scores, targets, hits)
    np.testing.assert_allclose(found, [1, 1 / 2, 1 / 3], rtol=1e-12)
    precision = coco_evaluation(truth, answers, classes)["precision"]  # (1, recalls, classes, 1, 1)
    np.testing.assert_allclose(found, precision.mean(axis=1).reshape(classes), rtol=1e-10)


def test_point_of_maximum_is_that_of_opencv_and_scipy(random):
    for response in random.normal(size=(20, 9, 13)).astype(np.float32):
        x, y = point_of_maximum(response)
        assert (x, y) == cv2.minMaxLoc(response)[3]
        assert (y, x) == ndimage.maximum_position(response)


def test_hits_are_what_the_distance_transform_of_scipy_finds(random):
    """Distances from pixel to pixel, so half a pixel more along each axis than to the edge."""
    box = np.array([[30, 40, 50, 55]])
    inside = np.zeros((SIDE, SIDE), bool)
    inside[40:55, 30:50] = True
    steps = np.abs(ndimage.distance_transform_edt(~inside, return_indices=True)[1])
    rows, columns = np.abs(np.indices(inside.shape) - steps)
    distance = np.hypot(*(np.maximum(axis - 0.5, 0) for axis in (rows, columns)))
    for x, y in random.integers(0, SIDE, (400, 2)):
        assert is_hit((x, y), box, 15, "disc") == (distance[y, x] <= 15)
        assert is_hit((x, y), box, 15) == (max(rows[y, x], columns[y, x]) <= 15)
