import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.evaluation.localization.classification import classify
from pipeline.evaluation.localization.inference import WholeImages, ten_crops
from pipeline.evaluation.localization.predictions import read_predictions, write_predictions
from pipeline.packed.store import PackedSplit
from tests.parameters import changed


class MeanColour(nn.Module):
    """Logits: ten times the share of each colour."""

    def forward(self, images):
        return images.float().mean((2, 3)) / 25.5


class Broken(nn.Module):
    """Logits that are not finite, for the second image."""

    def forward(self, images):
        logits = torch.zeros(len(images), 3)
        logits[1] = float("nan")
        return logits


@pytest.fixture
def split(packed):
    return PackedSplit(packed / "single" / "test")


def scores(split, params):
    return [p.scores for p in classify(MeanColour(), split, params.input, params.evaluate)]


def test_probabilities_are_the_softmax_of_the_whole_image(split, quick):
    found = scores(split, changed(quick, evaluate__ten_crop=False, evaluate__batch_size=3))
    assert len(found) == len(split) == 4
    for row, image in zip(found, WholeImages(split, quick.input.size), strict=True):
        expected = MeanColour()(image[None]).softmax(1)[0]
        np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_with_ten_crops_they_are_the_mean_over_them(split, quick):
    found = scores(split, changed(quick, evaluate__ten_crop=True))
    larger = WholeImages(split, quick.input.size + quick.input.margin)
    for row, image in zip(found, larger, strict=True):
        crops = ten_crops(image[None], quick.input.size)[0]
        np.testing.assert_allclose(row, MeanColour()(crops).softmax(1).mean(0), rtol=1e-6)


@pytest.mark.parametrize("ten_crop", [False, True])
def test_predictions_are_read_back_in_order_and_without_maps(split, quick, tmp_path, ten_crop):
    params = changed(quick, evaluate__ten_crop=ten_crop)
    path = tmp_path / "scores.arrow"
    write_predictions(path, classify(MeanColour(), split, params.input, params.evaluate))
    found = list(read_predictions(path, "test"))
    assert [p.id for p in found] == [record.id for record in split]
    assert all(p.scores.shape == (3,) and p.scores.sum() == pytest.approx(1) for p in found)
    assert all(len(p.map_classes) == len(p.maps) == 0 and p.proposal_map is None for p in found)


def test_a_probability_that_is_not_finite_names_the_image(split, quick):
    params = changed(quick, evaluate__ten_crop=False)
    with pytest.raises(InputError, match=f"image {split[1].id} .test.: .* not finite"):
        list(classify(Broken(), split, params.input, params.evaluate))
