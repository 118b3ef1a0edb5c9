from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.single_label import MaskScores, outcomes_of, single_label_figures
from pipeline.packed.record import Record
from pipeline.params import load
from tests.conftest import REPOSITORY
from tests.evaluation.protocol.plain import plain
from tests.parameters import changed

CLASSES, WIDTH, HEIGHT = tuple("abcdef"), 60, 40


@pytest.fixture
def scored(params):
    """Return the values of the scores of pairs."""
    few = changed(params, evaluate__resamples=30)

    def make(pairs, tuning=None):
        tuning = pairs if tuning is None else tuning
        return plain(single_label_figures(pairs, tuning, CLASSES, few.input).scores(few))

    return make


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
    maps = np.zeros((len(CLASSES), HEIGHT, WIDTH), np.float32)
    maps[image.labels[0]] = values
    scores = np.linspace(0.1, 0, len(CLASSES), dtype=np.float32)
    scores[image.labels[0] if ranked_first is None else ranked_first] = 0.9
    return Prediction("0", "test", scores, np.arange(len(CLASSES)), maps)


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


def test_a_perfect_network_has_no_error(scored):
    pairs = pairs_of(range(len(CLASSES)))
    scores = scored(pairs)
    assert {name: scores[name] for name in ERRORS} == dict.fromkeys(ERRORS, 0)
    assert scores["gt_known_error_per_class"] == dict.fromkeys(CLASSES, 0)
    assert scores["max_box_acc"] == scores["max_box_acc_v2"] == 100
    assert scores["n"] == {"test": 6, "tuning": 6}


def test_a_wrong_class_costs_top_1_but_not_gt_known(scored):
    pairs = pairs_of([0, 1, 2, 3])
    image = record(5)
    pairs.append((prediction(image, ranked_first=0), image))  # its own class is ranked last
    scores = scored(pairs)
    assert scores["gt_known_error"] == 0
    for name in ERRORS[1:6]:
        assert scores[name] == pytest.approx(20)


def test_a_wrong_box_costs_localization_but_not_classification(scored):
    pairs = pairs_of([0, 1, 2])
    image = record(3)
    elsewhere = prediction(record(3, (45, 32, 60, 40)))
    pairs.append((elsewhere, image))
    scores = scored(pairs)
    for name in ("gt_known_error", "top1_localization_error", "mean_box_error"):
        assert scores[name] == pytest.approx(25)
    assert scores["top1_classification_error"] == 0
    assert scores["gt_known_error_per_class"] == {"a": 0, "b": 0, "c": 0, "d": 100}
    assert scores["max_box_acc"] == 75


def test_every_figure_has_an_interval_and_thresholds_have_none(params):
    pairs = masked([*pairs_of([0, 1]), *pairs_of([2, 2], ranked_first=1)])
    wrong = replace(prediction(record(3, (45, 32, 60, 40)), ranked_first=0))
    swapped = replace(wrong, scores=np.array([5, 4, 3, 0, 2, 1], np.float32))
    pairs += masked([(swapped, record(3))] * 2 + pairs_of([3]))
    few = changed(params, evaluate__resamples=30)
    scores = single_label_figures(pairs, pairs, CLASSES, few.input).scores(few)
    known = scores["gt_known_error_per_class"]["d"]
    assert known["value"] == pytest.approx(200 / 3)
    assert known["low"] < known["value"] < known["high"]
    for name in (*ERRORS, "max_box_acc", "max_box_acc_v2", "max_box_acc_30", "px_ap", "mask_iou"):
        assert scores[name]["low"] < scores[name]["value"] < scores[name]["high"], name
    for name in ("threshold", "second_threshold", "mask_threshold"):
        assert isinstance(scores[name], float)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 50), st.integers(0, 30)),
        min_size=1,
        max_size=5,
    )
)
def test_an_oracle_has_no_error_on_any_images(objects):
    params = changed(load(REPOSITORY / "params.yaml"), evaluate__resamples=3)
    images = [record(label, (x, y, x + 10, y + 10)) for label, x, y in objects]
    pairs = masked([(prediction(image), image) for image in images])
    judged = single_label_figures(pairs, pairs, CLASSES, params.input)
    scores = plain(judged.scores(params))
    assert all(scores[name] == 0 for name in ERRORS)
    assert scores["max_box_acc_v2"] == scores["px_ap"] == scores["mask_iou"] == 100


def test_the_order_of_the_images_does_not_matter(scored):
    pairs = [*pairs_of([0, 1], around=0.6), *pairs_of([2, 2, 4], ranked_first=1)]
    pairs.append((prediction(record(3, (45, 32, 60, 40))), record(3)))
    expected = scored(pairs)
    for order in ([5, 4, 3, 2, 1, 0], [2, 0, 5, 3, 1, 4]):
        assert scored([pairs[number] for number in order]) == expected


def test_pairs_are_read_once(scored):
    pairs = pairs_of([0, 1, 2])
    assert scored(iter(pairs), iter(pairs)) == scored(pairs)
    once = iter(pairs)
    assert scored(once, once) == scored(pairs)


def test_thresholds_are_chosen_on_the_tuning_images(scored):
    # In the test images the box needs a threshold above 0.6, in the tuning images one below 0.4.
    test = pairs_of([0, 1], around=0.6)
    tuning = [
        (replace(guess, maps=np.where(guess.maps == 1, 0.4, guess.maps)), image)
        for guess, image in pairs_of([0, 1, 2])
    ]
    for guess, _ in tuning:
        guess.maps[:, 12, 12] = 1.0  # one pixel alone is above 0.4
    own = scored(test)
    assert own["gt_known_error"] == 0 and own["threshold"] > 0.6
    other = scored(test, tuning)
    assert other["gt_known_error"] == 100 and other["threshold"] < 0.4
    assert other["max_box_acc"] == 100  # the best threshold of the test images, by definition
    assert other["n"] == {"test": 2, "tuning": 3}


def test_a_second_threshold_serves_images_that_the_first_misses(scored):
    low = pairs_of([0, 1, 2])
    high = pairs_of([3, 4], around=0.6)
    for guess, image in low:
        guess.maps[image.labels[0]] *= 0.4
        guess.maps[image.labels[0], 12, 12] = 1.0
    scores = scored(low + high)
    assert scores["threshold"] < 0.4 < scores["second_threshold"]
    assert scores["gt_known_error"] == scores["top5_localization_error"] == pytest.approx(40)
    assert scores["gt_known_error_per_class"] == {"a": 0, "b": 0, "c": 0, "d": 100, "e": 100}
    assert scores["top5_star_localization_error"] == 0


def test_the_second_metric_of_choe_et_al_takes_any_component_and_three_ious(scored):
    image = record(0, (10, 5, 30, 25))
    guess = prediction(image)
    guess.maps[0, 25:30, :] = 0
    guess.maps[0, 5:25, 22:30] = 0  # 60 % of the object
    guess.maps[0, :, 40:60] = 1  # larger, and no object
    scores = scored([(guess, image)])
    assert scores["max_box_acc"] == 0
    assert scores["max_box_acc_v2"] == pytest.approx(100 * 2 / 3)
    assert scores["max_box_acc_30"] == 100
    assert scores["max_box_acc_70"] == 0


def test_hits_by_level_are_those_of_the_labels_map(params):
    hits = outcomes_of(pairs_of([0, 3], around=0.5), params.input).hits
    assert hits.shape == (2, 256)
    assert not hits[:, 1:128].any()
    assert hits[:, 128:].all()


def test_maps_are_judged_at_the_size_of_the_image(params):
    image = record(box=(0, 0, 30, 20))
    maps = np.zeros((1, 4, 6), np.float32)  # cells of 10 px
    maps[0, :2, :3] = 1
    guess = Prediction("0", "test", np.ones(1, np.float32), np.array([0]), maps)
    found = outcomes_of([(guess, image)], params.input)
    assert found.hits[0, 128]
    assert found.mean_hits.tolist() == [True]


def test_the_mean_threshold_box_needs_no_tuning(scored):
    pairs = pairs_of([0, 1, 2], around=0.05)
    assert scored(pairs)["mean_box_error"] == 0
    assert scored(pairs_of([0, 1, 2], around=0.9))["mean_box_error"] == 100


def test_a_constant_map_answers_with_the_whole_image(scored):
    whole = record(0, (0, 0, WIDTH, HEIGHT))
    flat = replace(prediction(whole), maps=np.full((len(CLASSES), 2, 3), 7, np.float32))
    scores = scored([(flat, whole)])
    assert scores["gt_known_error"] == scores["mean_box_error"] == 0
    small = record(0, (0, 0, 10, 10))
    assert scored([(flat, small)])["gt_known_error"] == 100


def test_of_equal_class_scores_the_first_class_ranks_first(scored):
    pairs = [(replace(guess, scores=np.ones(6)), image) for guess, image in pairs_of(range(6))]
    scores = scored(pairs)
    assert scores["top1_classification_error"] == pytest.approx(100 * 5 / 6)
    assert scores["top5_classification_error"] == pytest.approx(100 / 6)


def masked(pairs, boxes=None):
    """The pairs with masks, of the true boxes or of others."""
    given = []
    for number, (guess, image) in enumerate(pairs):
        x0, y0, x1, y1 = (image.boxes_xyxy[0] if boxes is None else boxes[number]).astype(int)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[y0:y1, x0:x1] = 1
        buffer = BytesIO()
        Image.fromarray(mask).save(buffer, "PNG")
        given.append((guess, replace(image, mask=buffer.getvalue())))
    return given


def test_an_oracle_marks_every_pixel_of_the_masks(scored):
    scores = scored(masked(pairs_of([0, 1, 2])))
    assert scores["px_ap"] == scores["mask_iou"] == 100
    assert 0 < scores["mask_threshold"] <= 1


def test_the_level_of_the_mask_iou_is_chosen_on_the_tuning_images(scored):
    # 300 px of object at 1, in surroundings of 55 x 35 px at 0.6
    pairs = masked(pairs_of([0, 1], around=0.6))
    own = scored(pairs)
    assert own["mask_iou"] == 100 and own["mask_threshold"] > 0.6
    wide = masked(pairs_of([0], around=0.6), [np.array([0, 0, 55, 35])])
    other = scored(pairs, wide)
    assert 0 < other["mask_threshold"] <= 0.6
    assert other["mask_iou"] == pytest.approx(100 * 300 / (55 * 35))
    assert other["px_ap"] == own["px_ap"] == 100


def test_images_without_a_mask_do_not_count_for_masks(scored):
    pairs = masked(pairs_of([0, 1], around=0.6))
    more = [(prediction(record(3, (45, 32, 60, 40))), record(3))]
    both, alone = scored([more[0], *pairs]), scored(pairs)
    for name in ("px_ap", "mask_iou", "mask_threshold"):
        assert both[name] == alone[name]
    assert both["gt_known_error"] > alone["gt_known_error"]


def test_an_image_weighs_for_masks_as_often_as_it_was_drawn(params):
    bare, right = pairs_of([0, 1])
    wrong = (prediction(record(3, (45, 32, 60, 40))), record(3))
    judged = outcomes_of([bare, *masked([right, wrong])], params.input)
    masks = MaskScores(judged, judged)
    assert masks.figures(np.array([5.0, 1.0, 0.0])) == {"px_ap": 100, "mask_iou": 100}
    assert masks.figures(np.array([0.0, 0.0, 1.0]))["mask_iou"] < 10
    assert masks.figures(np.array([0.0, 1.0, 3.0]))["mask_iou"] < 30


def test_without_masks_there_are_no_figures_of_masks(scored):
    plain_pairs, with_masks = pairs_of([0, 1]), masked(pairs_of([0, 1]))
    assert not {"px_ap", "mask_iou", "mask_threshold"} & set(scored(plain_pairs))
    assert "mask_iou" not in scored(with_masks, plain_pairs)
    assert scored(with_masks, plain_pairs)["px_ap"] == 100


def test_an_empty_split_is_refused(scored):
    with pytest.raises(InputError, match="the split is empty"):
        scored([], pairs_of([0]))
    with pytest.raises(InputError, match="the split is empty"):
        scored(pairs_of([0]), [])


def unboxed(pair):
    """The pair without its boxes."""
    guess, image = pair
    return guess, replace(image, boxes_xyxy=np.zeros((0, 4), np.float32), box_labels=np.zeros(0))


CLASSIFICATION = {"top1_classification_error", "top5_classification_error"}


def test_images_without_boxes_count_for_classification_alone(scored):
    pairs = pairs_of([0, 1])
    (bare,) = map(unboxed, pairs_of([2], ranked_first=3))
    both, alone = scored([bare, *pairs]), scored(pairs)
    assert both["top1_classification_error"] == pytest.approx(100 / 3)
    assert both["n"] == {"test": 3, "test_boxed": 2, "tuning": 3, "tuning_boxed": 2}
    same = set(alone) - CLASSIFICATION - {"n"}
    assert {name: both[name] for name in same} == {name: alone[name] for name in same}


def test_without_boxes_there_are_figures_of_classification_alone(scored):
    scores = scored([unboxed(pair) for pair in pairs_of([0, 1])])
    assert set(scores) == CLASSIFICATION | {"n"}
    assert scores["n"] == {"test": 2, "test_boxed": 0, "tuning": 2, "tuning_boxed": 0}


def test_without_boxes_to_tune_on_no_figure_needs_a_threshold(scored):
    pairs = pairs_of([0, 1])
    scores = scored(pairs, [unboxed(pair) for pair in pairs])
    best = {"max_box_acc", "max_box_acc_v2", "max_box_acc_30", "max_box_acc_70", "mean_box_error"}
    assert set(scores) == CLASSIFICATION | best | {"n"}
    assert scores["n"] == {"test": 2, "tuning": 2, "tuning_boxed": 0}


def test_a_resample_without_any_box_has_no_say(params):
    few = changed(params, evaluate__resamples=30)
    pairs = [*pairs_of([0]), *(unboxed(pair) for pair in pairs_of([1, 2, 3, 4]))]
    scores = single_label_figures(pairs, pairs, CLASSES, few.input).scores(few)
    assert scores["gt_known_error"] == {"value": 0, "low": 0, "high": 0}
