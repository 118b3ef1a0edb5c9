from dataclasses import replace

import numpy as np
import pytest

from pipeline.datasets.record import Record
from pipeline.localization.predictions import Prediction
from pipeline.protocol.single_label import all_level_hits, mean_box_error, single_label_scores

CLASSES, WIDTH, HEIGHT = 6, 60, 40


def record(label=0, box=(10, 5, 30, 20)):
    return Record(
        "0",
        b"",
        WIDTH,
        HEIGHT,
        (label,),
        np.array([box], np.float32),
        np.array([label]),
        np.array([False]),
    )


def prediction(image, inside=1.0, around=0.0, ranked_first=None):
    """The label's map is `inside` in its box, `around` in the box's surroundings, else 0."""
    x0, y0, x1, y1 = image.boxes_xyxy[0].astype(int)
    values = np.zeros((HEIGHT, WIDTH), np.float32)
    values[: y1 + 15, : x1 + 25] = around
    values[y0:y1, x0:x1] = inside
    maps = np.zeros((CLASSES, HEIGHT, WIDTH), np.float32)
    maps[image.labels[0]] = values
    scores = np.linspace(0.1, 0, CLASSES, dtype=np.float32)
    scores[image.labels[0] if ranked_first is None else ranked_first] = 0.9
    return Prediction("0", "test", scores, np.arange(CLASSES), maps)


def pairs_of(labels, **values):
    images = [record(label) for label in labels]
    return [(prediction(image, **values), image) for image in images]


ERRORS = (
    "gt_known_error",
    "top1_localization_error",
    "top5_localization_error",
    "top5_star_localization_error",
    "top1_classification_error",
    "top5_classification_error",
    "mean_box_error",
)


def test_a_perfect_network_has_no_error():
    pairs = pairs_of(range(CLASSES))
    scores = single_label_scores(pairs, pairs)
    assert {name: scores[name] for name in ERRORS} == dict.fromkeys(ERRORS, 0)
    assert scores["n"] == {"test": 6, "tuning": 6}


def test_a_wrong_class_costs_top_1_but_not_gt_known():
    pairs = pairs_of([0, 1, 2, 3])
    image = record(5)
    pairs.append((prediction(image, ranked_first=0), image))  # its own class is ranked last
    scores = single_label_scores(pairs, pairs)
    assert scores["gt_known_error"] == 0
    for name in ERRORS[1:6]:
        assert scores[name] == pytest.approx(20)


def test_a_wrong_box_costs_localization_but_not_classification():
    pairs = pairs_of([0, 1, 2])
    image = record(3)
    elsewhere = prediction(record(3, (45, 32, 60, 40)))
    pairs.append((elsewhere, image))
    scores = single_label_scores(pairs, pairs)
    for name in ("gt_known_error", "top1_localization_error", "mean_box_error"):
        assert scores[name] == pytest.approx(25)
    assert scores["top1_classification_error"] == 0


def test_thresholds_are_chosen_on_the_tuning_images():
    # In the test images the box needs a threshold above 0.6, in the tuning images one below 0.4.
    test = pairs_of([0, 1], around=0.6)
    tuning = [
        (replace(guess, maps=np.where(guess.maps == 1, 0.4, guess.maps)), image)
        for guess, image in pairs_of([0, 1, 2])
    ]
    for guess, _ in tuning:
        guess.maps[:, 12, 12] = 1.0  # one pixel alone is above 0.4
    own = single_label_scores(test, test)
    assert own["gt_known_error"] == 0 and own["threshold"] > 0.6
    other = single_label_scores(test, tuning)
    assert other["gt_known_error"] == 100 and other["threshold"] < 0.4
    assert other["n"] == {"test": 2, "tuning": 3}


def test_a_second_threshold_serves_images_that_the_first_misses():
    low = pairs_of([0, 1, 2])
    high = pairs_of([3, 4], around=0.6)
    for guess, image in low:
        guess.maps[image.labels[0]] *= 0.4
        guess.maps[image.labels[0], 12, 12] = 1.0
    scores = single_label_scores(low + high, low + high)
    assert scores["threshold"] < 0.4 < scores["second_threshold"]
    assert scores["gt_known_error"] == scores["top5_localization_error"] == pytest.approx(40)
    assert scores["top5_star_localization_error"] == 0


def test_hits_by_level_are_those_of_the_labels_map():
    hits = all_level_hits(pairs_of([0, 3], around=0.5))
    assert hits.shape == (2, 256)
    assert not hits[:, 1:128].any()
    assert hits[:, 128:].all()


def test_maps_are_judged_at_the_size_of_the_image():
    image = record(box=(0, 0, 30, 20))
    maps = np.zeros((1, 4, 6), np.float32)  # cells of 10 px
    maps[0, :2, :3] = 1
    guess = Prediction("0", "test", np.ones(1, np.float32), np.array([0]), maps)
    assert all_level_hits([(guess, image)])[0, 128]
    assert mean_box_error([(guess, image)]) == 0


def test_the_mean_threshold_box_needs_no_tuning():
    pairs = pairs_of([0, 1, 2], around=0.05)
    assert mean_box_error(pairs) == 0
    assert mean_box_error(pairs_of([0, 1, 2], around=0.9)) == 100
