from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.object_energy import ObjectEnergy, constant_maps
from tests.coloured_boxes import coloured_box

SIZE = 40, 48
IMAGES = [coloured_box(number, "multi") for number in range(4)]


def indicator(boxes):
    values = np.zeros(SIZE, np.float32)
    for x0, y0, x1, y1 in np.asarray(boxes, int):
        values[y0:y1, x0:x1] = 1
    return values


def answer(record, proposal):
    none = np.zeros((0, 1, 1), np.float32)
    prediction = Prediction(record.id, "test", np.zeros(3), np.zeros(0), none, proposal)
    return Answer(prediction, record, align_corners=False)


def at_random(height, width, seed):
    """Yield proposal maps that know nothing."""
    generator = np.random.default_rng(seed)
    while True:
        values = generator.random((height, width), np.float32)
        yield values / values.sum()


def energies(answers, weights=None):
    measure = ObjectEnergy(0, at_random)
    for each in answers:
        measure.note(each)
    chosen = np.ones(len(answers)) if weights is None else np.array(weights, float)
    return measure.statistic()(chosen)


def test_an_oracle_has_all_energy_and_a_uniform_map_the_share_of_the_boxes():
    answers = [answer(record, indicator(record.boxes_xyxy)) for record in IMAGES]
    found = energies(answers)["object_energy"]
    assert found["model"] == pytest.approx(100)
    shares = [indicator(record.boxes_xyxy).mean() for record in IMAGES]
    assert found["uniform"] == pytest.approx(100 * np.mean(shares))
    assert set(found) == {
        "model",
        "uniform",
        "gaussian_15",
        "gaussian_20",
        "gaussian_25",
        "random_features",
    }
    assert all(10 < value < 80 for name, value in found.items() if name != "model")
    assert len(set(found.values())) == 6


def test_an_image_weighs_as_often_as_it_was_drawn():
    maps = [indicator(IMAGES[0].boxes_xyxy), indicator([[40, 0, 48, 6]])]
    answers = [answer(IMAGES[0], values) for values in maps]
    assert energies(answers, [1, 3])["object_energy"]["model"] == pytest.approx(25)


def test_each_image_has_a_random_map_of_its_own():
    answers = [answer(IMAGES[0], np.ones((5, 6), np.float32))] * 2
    first, second = (energies(answers, own)["object_energy"] for own in ([1, 0], [0, 1]))
    assert first["random_features"] != second["random_features"]
    assert first["gaussian_20"] == second["gaussian_20"]


def test_an_image_without_boxes_has_no_energy():
    bare = replace(IMAGES[0], boxes_xyxy=np.zeros((0, 4), np.float32))
    answers = [answer(record, np.ones((5, 6), np.float32)) for record in (bare, *IMAGES[1:])]
    with_it, without = (energies(each)["object_energy"] for each in (answers, answers[1:]))
    assert with_it["model"] == without["model"]
    assert np.isnan(energies(answers[:1])["object_energy"]["model"])


def test_a_network_without_proposals_has_no_figure():
    assert energies([answer(record, None) for record in IMAGES]) == {}


def test_controls_are_distributions_that_look_at_no_image():
    controls = constant_maps(8, 10)
    for maps in controls.values():
        for values in (next(maps), next(maps)):
            assert values.shape == (8, 10) and values.sum() == pytest.approx(1)
    gaussian = next(controls["gaussian_25"])
    assert gaussian[4, 5] > 2 * gaussian[0, 0]
    assert len(np.unique(next(controls["uniform"]))) == 1
