from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol import multi_label
from pipeline.packed.record import Record
from pipeline.params import load
from tests.conftest import REPOSITORY
from tests.evaluation.protocol.plain import plain
from tests.parameters import changed

CLASSES = ("cat", "dog", "cow", "hen")


def record(objects, width=100, height=80):
    """An image without pixels; objects are (class, box) or (class, box, True) if difficult."""
    boxes = np.array([o[1] for o in objects], np.float32).reshape(-1, 4)
    hard = np.array([len(o) == 3 for o in objects], bool)
    known = {o[0] for o, h in zip(objects, hard, strict=True) if not h}
    labels = np.array([o[0] for o in objects], np.int64)
    return Record("0", b"", width, height, tuple(sorted(known)), boxes, labels, hard)


def indicator(boxes, width=100, height=80):
    """A map that is 1 inside the boxes."""
    values = np.zeros((height, width), np.float32)
    for x0, y0, x1, y1 in np.asarray(boxes, int):
        values[y0:y1, x0:x1] = 1
    return values


def oracle(image):
    """A prediction that knows everything."""
    maps = [indicator(multi_label.boxes_of(image, c), image.width, image.height) for c in range(4)]
    scores = np.array([1.0 if c in image.labels else -1.0 for c in range(4)], np.float32)
    return Prediction("0", "test", scores, np.arange(4), np.stack(maps))


SCENES = [
    record([(0, [0, 0, 30, 30]), (1, [40, 40, 100, 80])]),
    record([(1, [10, 10, 30, 30]), (1, [60, 0, 90, 40]), (0, [0, 50, 20, 80], True)]),
    record([(0, [20, 0, 60, 75])]),
    record([(2, [0, 0, 100, 80])]),
]
PAIRS = [(oracle(scene), scene) for scene in SCENES]
PARTS = ("all", "difficult")
NAMES = ("cor_loc", "cor_loc_oracle")


def of_tests(pairs, params):
    return multi_label.test_figures(pairs, CLASSES, params).scores(params)


@pytest.fixture
def few(params):
    """The papers' tolerances, and few resamples."""
    return changed(
        params,
        evaluate__pointing_tolerance=15.0,
        evaluate__prediction_tolerance=18.0,
        evaluate__resamples=30,
    )


@pytest.fixture
def scored(few):
    """Return the values of the scores of pairs."""

    def make(pairs, **values):
        return plain(of_tests(pairs, changed(few, **values)))

    return make


@pytest.fixture
def located(few):
    """Return the values of CorLoc of pairs."""

    def make(pairs):
        boxes = multi_label.boxes_of_maps(pairs, few.input)
        return plain(multi_label.cor_loc_figures(boxes, NAMES, CLASSES).scores(few))

    return make


def test_a_perfect_network_scores_100_percent(scored, located):
    scores = scored(PAIRS)
    assert scores["pointing"]["all"] == 100
    assert scores["pointing"]["difficult"] == 100
    every = {"cat": 100, "dog": 100, "cow": 100}
    assert scores["pointing"]["per_class"] == every
    for key in ("pointing_with_prediction_map", "classification_map"):
        assert scores[key] == pytest.approx(100)
        assert scores[f"{key}_per_class"] == pytest.approx(every)
    found = located(PAIRS[:1] + PAIRS[2:])
    assert found["cor_loc"] == {"mean": 100, "per_class": every}
    assert found["n"] == {"trainval": 3}


def test_every_figure_has_an_interval_around_it(few):
    # The right answers of PAIRS, and the same images answered wrongly.
    wrong = [
        (replace(pointing_at(99, 79, label, scene), scores=np.roll(prediction.scores, 1)), scene)
        for (prediction, scene), label in zip(PAIRS, (0, 0, 0, 2), strict=True)
    ]
    scores = of_tests([*PAIRS, *wrong], few)
    figures = [scores[key][part] for key in ("pointing", "center_pointing") for part in PARTS]
    figures += [scores[key] for key in ("classification_map", "pointing_with_prediction_map")]
    figures.append(scores["classification_map_per_class"]["cat"])
    figures.append(scores["pointing_with_prediction_map_per_class"]["cat"])
    figures.append(scores["pointing"]["per_class"]["cat"])
    assert all(each["low"] < each["value"] < each["high"] for each in figures)
    perfect = of_tests(PAIRS, few)["pointing"]["per_class"]["dog"]
    assert perfect == {"value": 100, "low": 100, "high": 100}


objects = st.tuples(st.integers(0, 3), st.integers(0, 89), st.integers(0, 69), st.booleans())
scenes = st.lists(objects, max_size=3, unique_by=lambda each: each[0]).map(
    lambda chosen: record(
        [(label, [x, y, x + 11, y + 11], *([True] if hard else [])) for label, x, y, hard in chosen]
    )
)


@settings(deadline=None, max_examples=25)
@given(st.lists(scenes, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_an_oracle_scores_100_percent_on_any_images_in_any_order(images, random):
    params = changed(load(REPOSITORY / "params.yaml"), evaluate__resamples=3)
    images = [*images, SCENES[0]]
    random.shuffle(images)
    pairs = [(oracle(image), image) for image in images]
    scores = plain(of_tests(pairs, params))
    located = multi_label.boxes_of_maps(pairs, params.input)
    scores |= plain(multi_label.cor_loc_figures(located, NAMES, CLASSES).scores(params))
    del scores["n"], scores["center_pointing"]
    assert list(flat(scores).values()) == pytest.approx([100] * len(flat(scores)))


def test_the_image_centre_is_scored_by_the_same_rules(scored):
    centre = scored(PAIRS)["center_pointing"]
    # (50, 40): cat 0 of 1 and 1 of 1; dog within 15 px both times; cow
    assert centre["per_class"] == {"cat": 50, "dog": 100, "cow": 100}
    assert centre["all"] == pytest.approx((50 + 100 + 100) / 3)
    # the difficult subset: cat beside dog (11 %) is missed, two dogs beside a cat (20 %) are hit
    assert centre["per_class_difficult"] == {"cat": 0, "dog": 100}
    assert centre["difficult"] == 50


def test_pairs_are_counted_without_those_that_are_only_difficult(scored):
    # difficult subset: cat beside dog (11 %), two dogs beside a cat (20 %); not dog over 30 %
    assert scored(PAIRS)["n"] == {"test": 4, "pointing_all": 5, "pointing_difficult": 2}


def test_the_order_of_the_images_does_not_matter(scored, located):
    pairs = [
        (replace(p, scores=p.scores + np.float32(0.1) * number), r)
        for number, (p, r) in enumerate(
            [*PAIRS[1:], (pointing_at(45, 10, 0, SCENES[0]), SCENES[0])]
        )
    ]
    expected = scored(pairs), located(pairs)
    for order in ([3, 2, 1, 0], [2, 0, 3, 1]):
        shuffled = [pairs[number] for number in order]
        for found, wanted in zip((scored(shuffled), located(shuffled)), expected, strict=True):
            assert flat(found) == pytest.approx(flat(wanted))


def flat(figures, path=""):
    nested = [
        flat(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
        for name, value in figures.items()
    ]
    return {name: value for each in nested for name, value in each.items()}


def test_pointing_alone_needs_neither_class_scores_nor_maps_of_other_classes(few):
    pairs = []
    for prediction, scene in PAIRS:
        own = sorted(set(scene.box_labels.tolist()))
        maps = prediction.maps[own]
        pairs.append((Prediction("0", "test", np.zeros(0), np.array(own), maps), scene))
    found = multi_label.pointing_figures(iter(pairs), CLASSES, few).scores(few)
    every = of_tests(PAIRS, few)
    assert found == {"pointing": every["pointing"], "n": every["n"]}


def test_class_scores_alone_need_no_maps(few):
    scored = ((prediction.scores, scene) for prediction, scene in PAIRS)
    found = multi_label.classification_figures(scored, CLASSES).scores(few)
    every = of_tests(PAIRS, few)
    assert found.pop("n") == {"test": 4}
    assert found == {key: value for key, value in every.items() if key in found}
    assert set(found) == {"classification_map", "classification_map_per_class"}


def test_of_difficult_objects_alone_nothing_is_asked(scored, located):
    scene = record([(0, [0, 0, 30, 30], True), (1, [40, 40, 60, 60], True)])
    scores = scored([(oracle(scene), scene)])
    assert scores["pointing"] == {"per_class": {}, "per_class_difficult": {}}
    assert scores["classification_map_per_class"] == {}
    assert not {"classification_map", "pointing_with_prediction_map"} & set(scores)
    assert scores["n"] == {"test": 1, "pointing_all": 0, "pointing_difficult": 0}
    assert located([(oracle(scene), scene)]) == {
        **dict.fromkeys(NAMES, {"per_class": {}}),
        "n": {"trainval": 1},
    }


def test_images_without_boxes_count_for_classification_alone(scored, located):
    empty = record([])
    both = [*PAIRS, (oracle(empty), empty)]
    scores, before = scored(both), scored(PAIRS)
    assert scores["n"] == before["n"] | {"test": 5}
    for key in ("pointing", "center_pointing"):
        assert scores[key] == before[key]
    assert located(both)["cor_loc"] == located(PAIRS)["cor_loc"]
    sure = replace(oracle(empty), scores=np.full(4, 2, np.float32))
    # Its scores come first: precision 2/3 for two cats and two dogs, 1/2 for the one cow.
    found = scored([*PAIRS, (sure, empty)])["classification_map"]
    assert found == pytest.approx(100 * (2 / 3 + 2 / 3 + 1 / 2) / 3)


def test_labels_without_a_box_are_not_localized(scored, located):
    scene = record([(0, [0, 0, 30, 30])])
    more = replace(scene, labels=(0, 1))
    scores, before = scored([(oracle(scene), more)]), scored([(oracle(scene), scene)])
    assert scores["n"] == before["n"] | {"test_boxed": 0}
    for key in ("pointing", "pointing_with_prediction_map"):
        assert scores[key] == before[key]
    assert located([(oracle(scene), more)]) == located([(oracle(scene), scene)]) | {
        "n": {"trainval": 1, "trainval_boxed": 0}
    }


def test_without_boxes_there_are_figures_of_classification_alone(scored):
    scene = record([(0, [0, 0, 30, 30])])
    none = {"boxes_xyxy": np.zeros((0, 4), np.float32), "box_labels": np.zeros(0, np.int64)}
    scores = scored([(oracle(scene), replace(scene, **none, difficult=np.zeros(0, bool)))])
    assert "classification_map" in scores and "pointing_with_prediction_map" not in scores
    assert not {"all", "difficult"} & set(scores["pointing"])
    assert scores["n"] == {"test": 1, "test_boxed": 0, "pointing_all": 0, "pointing_difficult": 0}


@pytest.mark.parametrize("pairs", [[], [(oracle(record([])), record([]))]])
def test_nothing_to_score_is_refused(few, pairs):
    for entry in (multi_label.test_figures, multi_label.pointing_figures):
        with pytest.raises(InputError, match="nothing to score: . image"):
            entry(pairs, CLASSES, few)


def test_no_images_at_all_are_refused_by_every_entry(few):
    for judged in (
        multi_label.cor_loc_figures([], NAMES, CLASSES),
        multi_label.classification_figures([], CLASSES),
    ):
        with pytest.raises(InputError, match="is the split empty"):
            judged.scores(few)


def test_a_map_that_is_not_finite_names_its_image(few):
    scene = record([(0, [0, 0, 30, 30])])
    bad = oracle(scene)
    bad.maps[0, 3, 4] = np.nan
    with pytest.raises(InputError, match="image 0: map holds nan"):
        multi_label.pointing_figures([(bad, scene)], CLASSES, few)


def test_targets_ignore_what_is_only_difficult():
    assert multi_label.targets_of(SCENES[1], 4).tolist() == [-1, 1, 0, 0]
    assert multi_label.targets_of(record([]), 4).tolist() == [0, 0, 0, 0]


def pointing_at(x, y, label, shown):
    """The oracle, but the map of one class has its maximum at the pixel (x, y)."""
    prediction = oracle(shown)
    maps = prediction.maps.copy()
    maps[label, y, x] = 2
    return replace(prediction, maps=maps)


@pytest.mark.parametrize(("x", "pointing", "detection"), [(44, 100, 100), (45, 0, 100), (48, 0, 0)])
def test_a_point_beside_the_box_counts_up_to_the_tolerance(scored, x, pointing, detection):
    scene = record([(0, [0, 0, 30, 30])])
    scores = scored([(pointing_at(x, 10, 0, scene), scene)])
    assert scores["pointing"]["all"] == pointing
    assert scores["pointing_with_prediction_map"] == detection


@pytest.mark.parametrize(("rule", "pointing"), [("box", 100), ("disc", 0)])
def test_the_rule_decides_beyond_a_corner_of_the_box(scored, rule, pointing):
    scene = record([(0, [0, 0, 30, 30])])
    pairs = [(pointing_at(41, 41, 0, scene), scene)]  # 16.3 px away
    scores = scored(pairs, evaluate__pointing_rule=rule)
    assert scores["pointing"]["all"] == pointing
    assert scores["pointing_with_prediction_map"] == 100


def test_points_are_found_on_the_map_at_the_size_of_the_image(scored):
    maps = np.zeros((4, 4, 5), np.float32)  # cells of 20 px
    maps[0, 1, 3] = 1
    # The maximum lies in x 60..80, y 20..40: within 15 px of one box alone.
    for box, hit in (([78, 38, 90, 50], 100), ([0, 56, 44, 80], 0)):
        scene = record([(0, box)])
        guess = Prediction("0", "test", np.zeros(4, np.float32), np.arange(4), maps)
        assert scored([(guess, scene)])["pointing"]["all"] == hit


def test_of_equal_maxima_the_first_pixel_is_the_point(scored):
    scene = record([(0, [0, 0, 10, 10])])
    flat_maps = Prediction("0", "test", np.zeros(4), np.arange(4), np.ones((4, 2, 2), np.float32))
    assert scored([(flat_maps, scene)])["pointing"]["all"] == 100
    other = record([(0, [50, 50, 90, 80])])
    assert scored([(flat_maps, other)])["pointing"]["all"] == 0


def test_a_confident_wrong_image_costs_average_precision(scored):
    prediction, scene = PAIRS[0]
    wrong = replace(PAIRS[3][0], scores=np.array([5, -1, 1, -1], np.float32))
    scores = scored([(prediction, scene), (wrong, SCENES[3])])
    assert scores["classification_map_per_class"] == {"cat": 50, "dog": 100, "cow": 100}
    assert scores["classification_map"] == pytest.approx((50 + 100 + 100) / 3)


def test_a_class_that_is_pointed_at_wrongly_costs_its_precision_with_prediction(scored):
    wrong = pointing_at(95, 5, 0, SCENES[2])
    scores = scored([PAIRS[0], (wrong, SCENES[2])])
    # Both cats have the score 1: one of two answers is right, and half of the cats are found.
    assert scores["pointing_with_prediction_map_per_class"] == {"cat": 25, "dog": 100}
    assert scores["classification_map_per_class"] == {"cat": 100, "dog": 100}


def test_corloc_counts_each_class_of_an_image_and_misses_of_the_one_box(located):
    scene = record([(0, [0, 0, 20, 20]), (0, [80, 60, 100, 80]), (1, [0, 0, 100, 80])])
    # the tight box of two far cats holds neither
    found = located([(oracle(scene), scene)])
    assert found["cor_loc"] == {"mean": 50, "per_class": {"cat": 0, "dog": 100}}
    # An oracle chooses the box of one of them.
    assert found["cor_loc_oracle"] == {"mean": 100, "per_class": {"cat": 100, "dog": 100}}


def test_an_oracle_chooses_among_the_boxes_of_all_input_sizes(located):
    scene = record([(0, [0, 0, 60, 60])])
    blind = replace(oracle(scene), maps=indicator([[0, 70, 10, 80]])[None], map_classes=np.zeros(1))
    seeing = replace(blind, further_maps=(indicator([[0, 0, 60, 60]])[None],))
    assert located([(blind, scene)])["cor_loc_oracle"]["mean"] == 0
    assert located([(seeing, scene)])["cor_loc_oracle"]["mean"] == 100
    assert located([(seeing, scene)])["cor_loc"]["mean"] == 0


def test_corloc_takes_boxes_that_come_from_no_map(few):
    # cat: right in one image and wrong in two; dog: IoU 0.5 exactly
    images = [
        (record([(0, [0, 0, 10, 10])]), {0: [0, 0, 10, 10], 3: [5, 5, 6, 6]}),
        (record([(0, [0, 0, 10, 10])]), {0: [20, 0, 30, 10]}),
        (
            record([(0, [0, 0, 10, 10]), (1, [40, 0, 60, 10])]),
            {0: [9, 9, 30, 30], 1: [40, 0, 50, 10]},
        ),
    ]
    images = ((image, {"cor_loc": boxes}) for image, boxes in images)
    found = multi_label.cor_loc_figures(images, ("cor_loc",), CLASSES).scores(few)
    assert plain(found["cor_loc"]["per_class"]) == pytest.approx({"cat": 100 / 3, "dog": 100})
    assert found["cor_loc"]["mean"]["value"] == pytest.approx(200 / 3)
    assert found["n"] == {"trainval": 3}
    assert found["cor_loc"]["per_class"]["cat"]["low"] == 0
