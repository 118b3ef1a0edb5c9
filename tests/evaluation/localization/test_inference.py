from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.datasets.packing import pack
from pipeline.errors import InputError
from pipeline.evaluation.localization.inference import WholeImages, predict, ten_crops
from pipeline.models.interface import Localization
from pipeline.packed.pictures import to_tensor, warp
from pipeline.packed.record import Dataset, Split
from pipeline.packed.store import PackedSplit
from tests.coloured_boxes import coloured_box
from tests.parameters import changed

CLASSES = tuple("abcdefgh")


class Colours(nn.Module):
    """Class c responds to colour channel c % 3, divided by c + 1; scores are the mean responses."""

    def localize(self, images):
        pixels = images.float().index_select(1, torch.arange(len(CLASSES)) % 3)
        maps = pixels / 64 / torch.arange(1, len(CLASSES) + 1)[:, None, None]
        return Localization(maps.mean((2, 3)), maps)

    def forward(self, images):
        assert not self.training
        return self.localize(images).logits


class Proposing(Colours):
    """The same with a proposal map and a guidance map."""

    def localize(self, images):
        found = super().localize(images)
        grey = images.float().mean(1)
        proposals = grey / grey.sum((1, 2), keepdim=True)
        return Localization(found.logits, found.response_maps, proposals, {"b1": grey / 255})


class Broken(Colours):
    """The same, but with one value in the maps of white images."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def localize(self, images):
        found = super().localize(images)
        white = (images == 255).flatten(1).all(1)
        found.response_maps[white, 0, 3, 5] = self.value
        return found


@pytest.fixture
def split(tmp_path):
    """Pack the first pictures of coloured boxes as a test split of eight classes."""

    def make(task="single", count=7, records=None, name="test"):
        chosen = records or [coloured_box(number, task) for number in range(count)]
        dataset = Dataset("boxes", task, CLASSES, {name: Split(iter, chosen)})
        pack(dataset, tmp_path / task, origin="", workers=1)
        return PackedSplit(tmp_path / task / name)

    return make


@pytest.fixture
def predicted(quick):
    """Predict a split under other parameters."""

    def make(split, network=None, **values):
        plain = {"input__size": 32, "input__margin": 8, "evaluate__ten_crop": False}
        chosen = changed(quick, **plain | values)
        network = Colours() if network is None else network
        return list(predict(network, split, chosen.input, chosen.evaluate))

    return make


def whole(split, index, size=32):
    return to_tensor(warp(split[index].image, size))


def test_each_image_is_predicted_once_in_order(split, predicted):
    images = split()
    found = predicted(images, evaluate__batch_size=3)
    assert [each.id for each in found] == [record.id for record in images]
    assert {each.split for each in found} == {"test"}


def test_multi_label_predictions_are_logits_and_the_maps_of_all_classes(split, predicted):
    images = split("multi")
    for index, each in enumerate(predicted(images, evaluate__ten_crop=True)):
        expected = Colours().localize(whole(images, index)[None])
        np.testing.assert_allclose(each.scores, expected.logits[0], rtol=1e-6)
        np.testing.assert_array_equal(each.map_classes, range(8))
        np.testing.assert_allclose(each.maps, expected.response_maps[0], rtol=1e-6)


def test_single_label_predictions_are_probabilities(split, predicted):
    images = split()
    for index, each in enumerate(predicted(images)):
        expected = Colours().localize(whole(images, index)[None]).logits[0].softmax(0)
        np.testing.assert_allclose(each.scores, expected, rtol=1e-5)


def test_single_label_maps_are_kept_for_the_label_and_the_top_five(split, predicted):
    record = coloured_box(2, "single")
    last = replace(record, labels=(7,), box_labels=np.array([7]))
    for record in (last, coloured_box(0, "single")):
        images = split(records=[record])
        (each,) = predicted(images)
        best = set(np.argsort(-each.scores)[:5].tolist())
        assert each.map_classes.tolist() == sorted(best | set(record.labels))
        maps = Colours().localize(whole(images, 0)[None]).response_maps[0]
        for label in each.map_classes:
            np.testing.assert_allclose(each.map_of(label), maps[label], rtol=1e-6)


def test_ten_crop_scores_are_the_mean_over_corners_and_centre_and_their_mirrors(split, predicted):
    images = split()
    for index, each in enumerate(predicted(images, evaluate__ten_crop=True)):
        full = whole(images, index, size=40)
        crops = [full[:, y : y + 32, x : x + 32] for y in (0, 8) for x in (0, 8)]
        crops.append(full[:, 4:36, 4:36])
        both = torch.stack([*crops, *(crop.flip(2) for crop in crops)])
        expected = Colours().localize(both).logits.softmax(1).mean(0)
        np.testing.assert_allclose(each.scores, expected, rtol=1e-5)


def test_images_that_are_not_of_the_test_split_are_seen_whole(split, predicted):
    images = split(name="val")
    whole_images, crops = (predicted(images, evaluate__ten_crop=ten) for ten in (False, True))
    for one, ten in zip(whole_images, crops, strict=True):
        np.testing.assert_array_equal(one.scores, ten.scores)


def test_maps_come_from_the_whole_image_with_ten_crops_too(split, predicted):
    images = split()
    pairs = zip(predicted(images), predicted(images, evaluate__ten_crop=True), strict=True)
    for one, ten in pairs:
        label = images[int(one.id)].labels[0]
        np.testing.assert_array_equal(one.map_of(label), ten.map_of(label))


def test_inputs_are_bytes_of_the_networks_size(split):
    image = WholeImages(split(), 32)[0]
    assert image.shape == (3, 32, 32)
    assert image.dtype == torch.uint8


def test_crops_are_the_corners_and_the_centre_and_their_mirrors():
    # 5 x 5 px numbered by row, crops of 2 px: the first pixel of each
    images = torch.arange(25).reshape(1, 1, 5, 5).expand(2, 3, 5, 5)
    crops = ten_crops(images, 2)
    assert crops.shape == (2, 10, 3, 2, 2)
    assert crops[1, :5, 2, 0, 0].tolist() == [0, 3, 15, 18, 6]
    torch.testing.assert_close(crops[:, 5:], crops[:, :5].flip(4))


@pytest.mark.parametrize("ten_crop", [True, False])
@pytest.mark.parametrize("size", [3, 64])
def test_the_batch_size_does_not_matter(split, predicted, ten_crop, size):
    images = split(count=23)
    for one, other in zip(
        predicted(images, evaluate__batch_size=1, evaluate__ten_crop=ten_crop),
        predicted(images, evaluate__batch_size=size, evaluate__ten_crop=ten_crop),
        strict=True,
    ):
        assert one.id == other.id
        np.testing.assert_array_equal(one.map_classes, other.map_classes)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6)
        np.testing.assert_allclose(one.maps, other.maps, rtol=1e-6)


def test_training_images_keep_the_maps_of_their_own_classes(split, predicted, tmp_path):
    # One without a class, whose only object is difficult, in the middle of a batch.
    records = [coloured_box(number, "multi") for number in (1, 2, 3)]
    records[1] = replace(records[1], labels=())
    dataset = Dataset("boxes", "multi", CLASSES, {"train": Split(iter, records)})
    pack(dataset, tmp_path / "training", origin="", workers=1)
    images = PackedSplit(tmp_path / "training/train")
    found = predicted(images)
    assert [each.map_classes.tolist() for each in found] == [list(r.labels) for r in records]
    assert [len(each.maps) for each in found] == [1, 0, 2]
    for index, each in enumerate(found):
        maps = Colours().localize(whole(images, index)[None]).response_maps[0]
        for label in each.map_classes:
            np.testing.assert_allclose(each.map_of(label), maps[label], rtol=1e-6)


def test_proposals_and_guidance_are_kept_where_there_are_some(split, predicted):
    images = split("multi")
    for index, each in enumerate(predicted(images, Proposing())):
        expected = Proposing().localize(whole(images, index)[None])
        np.testing.assert_allclose(each.proposal_map, expected.proposal_maps[0], rtol=1e-6)
        np.testing.assert_allclose(each.guidance["b1"], expected.guidance["b1"][0], rtol=1e-6)
    assert predicted(images)[0].proposal_map is None
    assert predicted(images)[0].guidance == {}


def test_prediction_is_in_evaluation_mode_and_without_gradient(split, predicted, quick):
    network = nn.Sequential(nn.Dropout(0.5)).train()
    network.localize = lambda images: Colours().localize(network(images.float()))
    one, other = (predicted(split(), network)[0] for _ in range(2))
    np.testing.assert_array_equal(one.maps, other.maps)
    assert not network.training


def white_picture(id):
    buffer = BytesIO()
    Image.new("RGB", (9, 9), "white").save(buffer, "PNG")
    return replace(coloured_box(0, "multi"), id=id, image=buffer.getvalue())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_names_the_image(split, predicted, value):
    images = split("multi", records=[coloured_box(0, "multi"), white_picture("white")])
    assert len(predicted(images, Broken(1.0))) == 2
    with pytest.raises(InputError, match=r"image white \(test\): .* not finite"):
        predicted(images, Broken(value))


SCALES = [0.5, 1.0, 2.5]  # SPN.pytorch: 112, 224, 560 px


@pytest.mark.parametrize("name", ["train", "val"])
def test_images_that_corloc_needs_are_seen_at_all_input_sizes(split, predicted, name):
    images = split("multi", name=name)
    found = predicted(images, evaluate__scales=SCALES, evaluate__batch_size=3)
    for index, (each, record) in enumerate(zip(found, images, strict=True)):
        assert each.map_classes.tolist() == list(record.labels)
        assert [maps.shape[1:] for maps in each.further_maps] == [(16, 16), (80, 80)]
        for maps, size in zip((each.maps, *each.further_maps), (32, 16, 80), strict=True):
            expected = Colours().localize(whole(images, index, size)[None]).response_maps
            np.testing.assert_array_equal(maps, expected[0, list(record.labels)])


@pytest.mark.parametrize(("task", "name"), [("multi", "test"), ("single", "val")])
def test_other_images_are_seen_at_one_input_size(split, predicted, task, name):
    images = split(task, name=name)
    assert all(not each.further_maps for each in predicted(images, evaluate__scales=SCALES))


def test_further_input_sizes_change_nothing_else(split, predicted):
    images = split("multi", name="train")
    plain, more = predicted(images), predicted(images, evaluate__scales=SCALES)
    for one, other in zip(plain, more, strict=True):
        np.testing.assert_array_equal(one.maps, other.maps)
        np.testing.assert_array_equal(one.scores, other.scores)
        assert one.further_maps == ()
