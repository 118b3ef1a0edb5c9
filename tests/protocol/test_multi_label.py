from dataclasses import replace

import numpy as np
import pytest

from pipeline.datasets.record import Record
from pipeline.localization.predictions import Prediction
from pipeline.protocol import multi_label

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
    return Prediction(
        "0", "test", scores, np.arange(4), np.stack(maps), indicator(image.boxes_xyxy)
    )


SCENES = [
    record([(0, [0, 0, 30, 30]), (1, [40, 40, 100, 80])]),
    record([(1, [10, 10, 30, 30]), (1, [60, 0, 90, 40]), (0, [0, 50, 20, 80], True)]),
    record([(0, [20, 0, 60, 75])]),
    record([(2, [0, 0, 100, 80])]),
]
PAIRS = [(oracle(scene), scene) for scene in SCENES]


@pytest.fixture
def protocol(params):
    update = {"pointing_tolerance": 15.0, "prediction_tolerance": 18.0}
    return params.evaluate.model_copy(update=update)


def test_a_perfect_network_scores_100_percent(protocol):
    scores = multi_label.test_scores(PAIRS, CLASSES, protocol)
    assert scores["pointing"]["all"] == 100
    assert scores["pointing"]["difficult"] == 100
    assert scores["pointing"]["per_class"] == {"cat": 100, "dog": 100, "cow": 100}
    assert scores["pointing_with_prediction_map"] == pytest.approx(100)
    assert scores["classification_map"] == pytest.approx(100)
    found = multi_label.localization_scores(PAIRS[:1] + PAIRS[2:], CLASSES)
    assert found == {"mean": 100, "per_class": {"cat": 100, "dog": 100, "cow": 100}}


def test_the_image_centre_is_scored_by_the_same_rules(protocol):
    scores = multi_label.test_scores(PAIRS, CLASSES, protocol)
    # (50, 40): cat 0 of 1 and 1 of 1; dog within 15 px both times; cow
    assert scores["center_pointing"]["all"] == pytest.approx((50 + 100 + 100) / 3)


def test_pairs_are_counted_without_those_that_are_only_difficult(protocol):
    scores = multi_label.test_scores(PAIRS, CLASSES, protocol)
    # difficult subset: cat beside dog (11 %), two dogs beside a cat (20 %); not dog over 30 %
    assert scores["n"] == {"test": 4, "pointing_all": 5, "pointing_difficult": 2}


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
def test_a_point_beside_the_box_counts_up_to_the_tolerance(protocol, x, pointing, detection):
    scene = record([(0, [0, 0, 30, 30])])
    pairs = [(pointing_at(x, 10, 0, scene), scene)]
    scores = multi_label.test_scores(pairs, CLASSES, protocol)
    assert scores["pointing"]["all"] == pointing
    assert scores["pointing_with_prediction_map"] == detection


@pytest.mark.parametrize(("rule", "pointing"), [("box", 100), ("disc", 0)])
def test_the_rule_decides_beyond_a_corner_of_the_box(protocol, rule, pointing):
    scene = record([(0, [0, 0, 30, 30])])
    pairs = [(pointing_at(41, 41, 0, scene), scene)]  # 16.3 px away
    chosen = protocol.model_copy(update={"pointing_rule": rule})
    scores = multi_label.test_scores(pairs, CLASSES, chosen)
    assert scores["pointing"]["all"] == pointing
    assert scores["pointing_with_prediction_map"] == 100


def test_points_are_found_on_the_map_at_the_size_of_the_image():
    scene = record([(0, [0, 0, 30, 30])])
    maps = np.zeros((1, 4, 5), np.float32)  # cells of 20 px
    maps[0, 1, 3] = 1
    prediction = Prediction("0", "test", np.zeros(1, np.float32), np.array([0]), maps)
    ((x, y),) = multi_label.class_points(prediction, scene, 1)
    assert 60 <= x < 80 and 20 <= y < 40


def test_a_confident_wrong_image_costs_average_precision(protocol):
    prediction, scene = PAIRS[0]
    wrong = replace(PAIRS[3][0], scores=np.array([5, -1, 1, -1], np.float32))
    scores = multi_label.test_scores([(prediction, scene), (wrong, SCENES[3])], CLASSES, protocol)
    assert scores["classification_map"] == pytest.approx((50 + 100 + 100) / 3)


def test_corloc_counts_each_class_of_an_image_and_misses_of_the_one_box():
    scene = record([(0, [0, 0, 20, 20]), (0, [80, 60, 100, 80]), (1, [0, 0, 100, 80])])
    found = multi_label.localization_scores([(oracle(scene), scene)], CLASSES)
    # the tight box of two far cats holds neither
    assert found == {"mean": 50, "per_class": {"cat": 0, "dog": 100}}


def test_object_energy_of_an_oracle_and_of_uniform_maps():
    scenes = [*SCENES[:3], record([])]
    perfect = [indicator(scene.boxes_xyxy) for scene in scenes]
    assert multi_label.mean_object_energy(perfect, scenes) == pytest.approx(100)
    uniform = multi_label.control_maps(4, 8, 10)["uniform"]
    shares = [indicator(scene.boxes_xyxy).mean() for scene in SCENES[:3]]
    found = multi_label.mean_object_energy(uniform, scenes)
    assert found == pytest.approx(100 * np.mean(shares))


def test_control_maps_are_distributions_that_look_at_no_image():
    controls = multi_label.control_maps(3, 8, 10)
    assert set(controls) == {"uniform", "gaussian"}
    for maps in controls.values():
        assert len(maps) == 3
        assert all(m.shape == (8, 10) and m.sum() == pytest.approx(1) for m in maps)
    assert controls["gaussian"][0][4, 5] > 2 * controls["gaussian"][0][0, 0]
