"""Boxes from guidance and controls, on maps made by hand around known boxes."""

from itertools import product

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.metrics.object_energy import centred_gaussian
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.single_label import single_label_figures
from pipeline.evaluation.protocol.sources import (
    PLAIN_SOURCES,
    RECOMMENDED,
    SPG_SOURCES,
    centred_boxes,
    figures_by_source,
    source_figures,
)
from pipeline.packed.record import Record
from tests.evaluation.protocol.plain import plain
from tests.parameters import changed

WIDTH, HEIGHT, CLASSES = 60, 40, ("a", "b", "c")
OBJECT, HEAD, ELSEWHERE = (10, 5, 40, 35), (30, 10, 36, 16), (44, 2, 60, 12)


@pytest.fixture
def few(params):
    return changed(params, evaluate__resamples=10)


def record(box=OBJECT, label=0):
    boxes, labels = np.array([box], np.float32), np.array([label])
    return Record("0", b"", WIDTH, HEIGHT, (label,), boxes, labels, np.array([False]))


def within(box, inside=1.0, around=0.0):
    """A map (HEIGHT, WIDTH) with the value `inside` in a box."""
    x0, y0, x1, y1 = box
    values = np.full((HEIGHT, WIDTH), around, np.float32)
    values[y0:y1, x0:x1] = inside
    return values


def prediction(attention, label=0, first=None, **guidance):
    """Maps of the label; all classes but it have the map of nothing. `first` is ranked first."""
    maps = np.zeros((len(CLASSES), HEIGHT, WIDTH), np.float32)
    maps[label] = attention
    scores = np.eye(len(CLASSES), dtype=np.float32)[label if first is None else first]
    return Prediction("0", "test", scores, np.arange(len(CLASSES)), maps, guidance=guidance)


def map_of(source, guess, image=None):
    return SPG_SOURCES[source].source(Answer(guess, image or record(), align_corners=False))


def errors(pairs, params, tuning=None, sources=SPG_SOURCES):
    """GT-known error by source."""
    found = source_figures(pairs, pairs if tuning is None else tuning, sources, params)
    return {name: plain(own.scores(params))["gt_known_error"] for name, own in found.items()}


def test_each_branch_answers_for_itself(few):
    image = record()
    for right in ("b1", "b2", "c"):
        maps = {n: within(OBJECT if n == right else ELSEWHERE) for n in ("b1", "b2", "c")}
        found = errors([(prediction(within(ELSEWHERE), **maps), image)], few)
        assert {name: found[name] for name in maps} == {n: 100 * (n != right) for n in maps}


def test_b_is_the_mean_of_both_at_the_size_of_the_image():
    left, right = np.full((4, 6), 0.25, np.float32), np.full((2, 3), 0.75, np.float32)
    guess = prediction(within(HEAD), b1=left, b2=right)
    np.testing.assert_allclose(map_of("b", guess), np.full((HEIGHT, WIDTH), 0.5))


def test_attention_and_guidance_weigh_the_same_whatever_their_range(few):
    # Attention tells the object from a second one, but only by its head; B has both, whole.
    both = np.maximum(within(OBJECT, 0.06), within(ELSEWHERE, 0.06)) + np.float32(0.5)
    head = within(HEAD, 900.0) + within(OBJECT, 90.0)
    guess = prediction(head, b1=both, b2=both, c=both)
    values = map_of("attention+b", guess)
    assert (values.min(), values.max()) == (0, 2)
    assert values[20, 20] == pytest.approx(1 + 90 / 990)
    assert values[5, 50] == pytest.approx(1)
    assert errors([(guess, record())], few)["attention+b"] == 0


def test_the_attention_is_that_of_the_images_class_and_guidance_has_none():
    image, guess = record(label=2), prediction(within(HEAD), label=2, b1=within(OBJECT))
    attention = PLAIN_SOURCES["attention"].source(Answer(guess, image, align_corners=False))
    np.testing.assert_array_equal(attention, within(HEAD))
    np.testing.assert_array_equal(map_of("b1", guess, image), within(OBJECT))


def test_maps_are_resized_as_told():
    guess = prediction(within(HEAD), b1=np.array([[0, 1], [0, 1]], np.float32))
    ends = [
        SPG_SOURCES["b1"].source(Answer(guess, record(), align_corners))[0, 1]
        for align_corners in (False, True)
    ]
    assert ends == [0, pytest.approx(1 / (WIDTH - 1))]


def test_classes_are_ranked_as_before(few):
    maps = dict.fromkeys(("b1", "b2", "c"), within(OBJECT))
    pairs = [(prediction(within(HEAD), first=first, **maps), record()) for first in (0, 0, 0, 1)]
    scores = plain(source_figures(pairs, pairs, SPG_SOURCES, few)["b"].scores(few))
    assert scores["gt_known_error"] == 0
    assert scores["top1_localization_error"] == 25
    assert scores["top5_localization_error"] == 0
    assert "top1_classification_error" not in scores  # the network's, whatever the boxes


def test_the_attention_alone_has_the_scores_that_it_has_elsewhere(few):
    pairs = [(prediction(within(box)), record()) for box in (OBJECT, HEAD, OBJECT)]
    own = source_figures(iter(pairs), iter(pairs), PLAIN_SOURCES, few)["attention"].scores(few)
    before = single_label_figures(pairs, pairs, CLASSES, few.input).scores(few)
    shared = own.keys() - {"label", "threshold_from"}
    assert {name: own[name] for name in shared} == {name: before[name] for name in shared}


def test_each_source_has_a_threshold_of_its_own_from_the_tuning_images(few):
    # B2 needs a threshold above 0.4, where its surroundings end; C one below, or its head is left.
    high = np.maximum(within((0, 0, 58, 40), 0.4), within(OBJECT))
    low = np.maximum(within(OBJECT, 0.4), within(HEAD))
    pairs = [(prediction(low, b1=low, b2=high, c=low), record())]
    swapped = [(prediction(low, b1=low, b2=low, c=high), record())] * 2
    found = source_figures(pairs, pairs, SPG_SOURCES, few)
    scores = {name: plain(own.scores(few)) for name, own in found.items()}
    assert scores["b2"]["gt_known_error"] == scores["c"]["gt_known_error"] == 0
    assert scores["b2"]["threshold"] > 0.4 > scores["c"]["threshold"]
    other = source_figures(pairs, swapped, SPG_SOURCES, few)["b2"].scores(few)
    assert plain(other)["gt_known_error"] == 100
    assert (other["n"], other["threshold_from"]) == ({"test": 1, "tuning": 2}, "val")


def test_the_gaussian_control_is_attention_and_a_constant():
    attention = within(HEAD, 5.0)
    image, guess = record(), prediction(attention)
    for sources in (SPG_SOURCES, PLAIN_SOURCES):
        own = sources["attention+gaussian"].source(Answer(guess, image, align_corners=False))
        rest = own - within(HEAD)
        bell = centred_gaussian(HEIGHT, WIDTH, 0.2)
        expected = (bell - bell.min()) / (bell.max() - bell.min())
        np.testing.assert_allclose(rest, expected, atol=1e-6)


def test_the_centred_boxes_are_those_of_every_share():
    values = centred_boxes(Answer(prediction(within(HEAD)), record(), align_corners=False))
    for share in (0.2, 0.5, 0.8):
        x, y = share * WIDTH / 2, share * HEIGHT / 2
        box = [round(v) for v in (WIDTH / 2 - x, HEIGHT / 2 - y, WIDTH / 2 + x, HEIGHT / 2 + y)]
        np.testing.assert_array_equal(values >= 1 - share, within(box) > 0)


def test_the_best_centred_box_has_the_share_of_the_tuning_images(few):
    # Shares of 0.5 and 0.9 of the sides: none serves both.
    small, large = record((15, 10, 45, 30)), record((3, 2, 57, 38))
    pairs = {image: (prediction(within(HEAD)), own) for image, own in (("s", small), ("l", large))}
    for tuned, judged in product("sl", "sl"):
        found = errors([pairs[judged]], few, [pairs[tuned]], PLAIN_SOURCES)
        assert found["centred_box"] == 100 * (tuned != judged)


def everything(params, **changes):
    maps = dict.fromkeys(("b1", "b2", "c"), within(OBJECT))
    spg = [(prediction(within(HEAD), **maps), record())]
    plain_pairs = [(prediction(within(HEAD)), record())]
    return figures_by_source(
        (spg, spg),
        (plain_pairs, plain_pairs),
        changed(params, **({"spg__localize_from": "attention"} | changes)),
    )


def test_all_sources_of_both_networks_are_there(few):
    own = {f"spg:{name}" for name in SPG_SOURCES}
    controls = {f"spg_plain:{name}" for name in PLAIN_SOURCES}
    assert set(everything(few)) == own | controls
    assert set(everything(few, spg__with_c=False)) == (own - {"spg:c"}) | controls


@pytest.mark.parametrize("source", ["b2", "b1", "b", "c", "attention+b"])
def test_the_recommended_source_has_a_name_of_its_own(few, source):
    found = everything(few, spg__localize_from=source)
    recommended = found[RECOMMENDED].scores(few)
    assert recommended.pop("label") == "SPG, boxes from its guidance"
    assert recommended.pop("source") == source
    own = found[f"spg:{source}"].scores(few)
    assert own.pop("label") == SPG_SOURCES[source].label
    assert recommended == own


def test_images_without_boxes_do_not_count(few):
    bare = record()
    object.__setattr__(bare, "boxes_xyxy", np.zeros((0, 4), np.float32))
    pairs, more = [(prediction(within(HEAD)), record())], [(prediction(within(OBJECT)), bare)]
    assert errors(pairs + more, few, sources=PLAIN_SOURCES) == errors(
        pairs, few, sources=PLAIN_SOURCES
    )
    assert source_figures(more, pairs, PLAIN_SOURCES, few) == {}
    assert source_figures(pairs, more, PLAIN_SOURCES, few) == {}


def test_images_that_cannot_be_judged_are_refused(few):
    with pytest.raises(InputError, match="the split is empty"):
        errors([], few)
    broken = prediction(within(HEAD), b1=np.full((2, 2), np.nan, np.float32), b2=within(OBJECT))
    with pytest.raises(InputError, match="image 0: map holds nan"):
        errors([(broken, record())], few)
