"""Maps at the size of the image, as `input.align_corners` says, for every figure."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol import multi_label, single_label
from pipeline.evaluation.protocol.answer import Answer
from tests.coloured_boxes import COLOURS, coloured_box
from tests.evaluation.protocol.plain import plain
from tests.parameters import changed

IMAGES = [coloured_box(number, "multi") for number in range(4)]


def guess(record):
    """Coarse maps at random, of cells much larger than the tolerance of pointing."""
    rng = np.random.default_rng(int(record.boxes_xyxy.sum()))
    maps = rng.random((len(COLOURS), 3, 4)).astype(np.float32)
    proposal = rng.random((3, 4)).astype(np.float32)
    scores = np.ones(len(COLOURS), np.float32)
    return Prediction(record.id, "test", scores, np.arange(len(COLOURS)), maps, proposal)


def stretched(prediction, record):
    """The prediction with maps that torch has resized to the image with aligned corners."""

    def resize(maps):
        size = record.height, record.width
        found = torch.nn.functional.interpolate(
            torch.tensor(maps)[None].double(), size, mode="bilinear", align_corners=True
        )
        return found[0].float().numpy()

    proposal = resize(prediction.proposal_map[None])[0]
    return replace(prediction, maps=resize(prediction.maps), proposal_map=proposal)


COARSE = [(guess(record), record) for record in IMAGES]
STRETCHED = [(stretched(*pair), pair[1]) for pair in COARSE]


def of_tests(pairs, params):
    return multi_label.test_figures(pairs, COLOURS, params)


def cor_loc(pairs, params):
    boxes = multi_label.boxes_of_maps(pairs, params.input)
    return multi_label.cor_loc_figures(boxes, ("cor_loc", "cor_loc_oracle"), COLOURS)


def single(pairs, params):
    return single_label.single_label_figures(pairs, pairs, COLOURS, params.input)


@pytest.mark.parametrize("figures", [of_tests, cor_loc, single])
def test_with_aligned_corners_all_figures_are_those_of_maps_that_torch_has_resized(figures, quick):
    few = changed(quick, evaluate__resamples=3, evaluate__pointing_tolerance=0.0)
    aligned = changed(few, input__align_corners=True)
    found = plain(figures(COARSE, aligned).scores(aligned))
    expected = plain(figures(STRETCHED, few).scores(few))
    found.pop("object_energy", None)
    expected.pop("object_energy", None)
    assert found == expected


def test_the_energy_of_a_proposal_map_is_taken_where_it_is_resized_to(quick):
    aligned = changed(quick, evaluate__resamples=3, input__align_corners=True)
    coarse, fine = (
        plain(of_tests(pairs, aligned).scores(aligned))["object_energy"]["model"]
        for pairs in (COARSE, STRETCHED)
    )
    assert coarse == pytest.approx(fine, rel=1e-5)
    apart = plain(of_tests(COARSE, quick).scores(quick))["object_energy"]["model"]
    assert apart != pytest.approx(fine, rel=1e-5)


@pytest.mark.parametrize(("align_corners", "point"), [(False, (69, 29)), (True, (74, 26))])
def test_aligned_corners_move_the_point_towards_the_border(align_corners, point):
    maps = np.zeros((1, 4, 5), np.float32)
    maps[0, 1, 3] = 1  # the cell of x 60..80, y 20..40 in an image of 100 x 80 px
    record = replace(IMAGES[0], width=100, height=80)
    prediction = Prediction("0", "test", np.ones(1, np.float32), np.array([0]), maps)
    assert Answer(prediction, record, align_corners).point(0) == point
