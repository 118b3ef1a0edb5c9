from io import BytesIO
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.errors import InputError
from pipeline.packed.pictures import ClassTargets, Window, target_of, to_tensor, warp
from pipeline.packed.store import PackedSplit
from pipeline.training.batches import AugmentedImages, ShuffledKeys, training_batches
from tests.parameters import changed


@pytest.fixture
def split(packed):
    return PackedSplit(packed / "single" / "train")


@pytest.fixture
def augmented(split, quick):
    """The training images under other augmentation parameters."""

    def make(seed=0, annotate=None, **values):
        plain = {"size": 32, "margin": 8, "flip": True} | values
        chosen = changed(quick, **{f"input__{key}": value for key, value in plain.items()})
        return AugmentedImages(split, chosen.input, seed, annotate or ClassTargets(split))

    return make


def gradient(width, height):
    """A PNG whose red grows from 0 to 255 to the right and green downwards."""
    red = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    green = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    pixels = np.stack([red, green, np.zeros_like(red)], axis=2).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_image_is_warped_whatever_its_shape():
    red, green, blue = to_tensor(warp(gradient(90, 40), 16)).float()
    assert red.shape == (16, 16)
    torch.testing.assert_close(red, green.T, rtol=0, atol=8)
    assert red[:, 0].max() < 16 and red[:, -1].min() > 239
    assert not blue.any()


def test_a_part_of_the_image_can_be_warped():
    red, green, _ = to_tensor(warp(gradient(80, 80), 16, (0.5, 0, 1, 0.25))).float()
    assert red.min() > 120 and green.max() < 72


def test_pictures_become_channels_first():
    picture = Image.new("RGB", (4, 2), (1, 2, 3))
    tensor = to_tensor(picture)
    assert tensor.dtype == torch.uint8
    assert tensor.shape == (3, 2, 4)
    assert tensor[:, 0, 0].tolist() == [1, 2, 3]


def test_targets_are_an_index_or_a_vector():
    assert target_of((2,), 4, "single").tolist() == 2
    assert target_of((1, 3), 4, "multi").tolist() == [0, 1, 0, 1]
    assert target_of((), 4, "multi").tolist() == [0, 0, 0, 0]


def test_augmentation_depends_on_seed_epoch_and_index_alone(augmented):
    first, again = augmented(seed=5), augmented(seed=5)
    again[0, 0], again[1, 3]  # whatever was drawn before
    image, target = first[1, 2]
    repeated, same_target = again[1, 2]
    assert torch.equal(image, repeated) and target == same_target
    others = [augmented(seed=6)[1, 2], *(first[epoch, 2] for epoch in range(2, 8))]
    assert sum(torch.equal(image, other) for other, _ in others) <= 1


def test_without_margin_and_flips_training_sees_the_whole_image(augmented, split):
    images = augmented(margin=0, flip=False)
    whole = to_tensor(warp(split[3].image, 32))
    assert all(torch.equal(images[epoch, 3][0], whole) for epoch in range(4))


def test_flips_mirror_about_half_of_the_images(augmented, split):
    images = augmented(margin=0, flip=True)
    whole = to_tensor(warp(split[3].image, 32))
    seen = [images[epoch, 3][0] for epoch in range(40)]
    mirrored = [torch.equal(image, whole.flip(2)) for image in seen]
    assert all(m or torch.equal(i, whole) for m, i in zip(mirrored, seen, strict=True))
    assert 10 <= sum(mirrored) <= 30


def test_crops_are_windows_of_the_warped_image(augmented):
    images = augmented(size=32, margin=2)
    windows = {images._crop(np.random.default_rng(seed)) for seed in range(100)}
    edges = {0.0, 1 / 34, 2 / 34}
    assert {x0 for x0, *_ in windows} == {y0 for _, y0, *_ in windows} == edges
    assert all(x1 - x0 == pytest.approx(32 / 34) and y1 <= 1 for x0, _, x1, y1 in windows)


def test_each_epoch_sees_every_image_once_in_its_own_order():
    keys = ShuffledKeys(50, seed=1, batch_size=16)
    orders = []
    for keys.epoch in range(3):
        epochs, indices = zip(*keys, strict=True)
        assert set(epochs) == {keys.epoch}
        assert sorted(indices) == list(range(50))
        orders.append(indices)
    assert len(set(orders)) == 3
    repeated = ShuffledKeys(50, seed=1, batch_size=4)
    repeated.epoch = 2
    assert tuple(index for _, index in repeated) == orders[2]
    assert tuple(index for _, index in ShuffledKeys(50, 2, 16)) != orders[0]


def test_no_image_is_alone_in_the_last_batch(quick, split):
    loader, keys = training_batches(split, quick.input, 7, 3, lambda i, *_: torch.tensor(i))
    keys.epoch = 2
    batches = [targets.tolist() for _, targets in loader]
    assert [len(batch) for batch in batches] == [3, 3, 3, 2]
    assert batches[-1][1] == batches[0][0]
    assert {index for batch in batches for index in batch} == set(range(10))
    assert len(loader) == 4


@pytest.mark.parametrize(("length", "batch_size"), [(10, 4), (10, 1), (9, 3)])
def test_other_epochs_see_each_image_once(length, batch_size):
    keys = ShuffledKeys(length, 1, batch_size)
    assert sorted(index for _, index in keys) == list(range(length)) and len(keys) == length


@pytest.mark.parametrize(("length", "batch_size", "processes"), [(19, 8, 2), (17, 8, 4), (8, 4, 4)])
def test_processes_share_out_every_batch(length, batch_size, processes):
    whole = ShuffledKeys(length, 1, batch_size)
    shares = [ShuffledKeys(length, 1, batch_size, own, processes) for own in range(processes)]
    dealt = [list(keys) for keys in shares]
    assert [len(own) for own in dealt] == [len(keys) for keys in shares]
    size = batch_size // processes
    keys = list(whole)
    for step in range(-(-len(keys) // batch_size)):
        batch = keys[step * batch_size : (step + 1) * batch_size]
        parts = [own[step * size : (step + 1) * size] for own in dealt]
        weights = [keys.weight(step) for keys in shares]
        assert whole.weight(step) == 1
        assert [key for part, w in zip(parts, weights, strict=True) if w for key in part] == batch
        # The mean over the processes of their means is the mean of the batch.
        means = [w * np.mean([i for _, i in p]) for p, w in zip(parts, weights, strict=True)]
        assert np.mean(means) == pytest.approx(np.mean([i for _, i in batch]))


def test_a_batch_that_cannot_be_shared_is_refused(split, quick, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match="4 images .* to 3 processes; .*LAUNCH"):
        training_batches(split, quick.input, 7, 4, ClassTargets(split))


def test_boxes_are_shares_of_the_part_that_is_seen():
    window = Window((0.25, 0.5, 0.75, 1.0))
    boxes = np.array([[20, 30, 40, 40], [0, 0, 80, 40]], np.float32)
    # 80 x 40: the window is x 20..60, y 20..40
    assert window.boxes(boxes, 80, 40).tolist() == [[0, 0.5, 0.5, 1], [0, 0, 1, 1]]


def test_mirrored_boxes_change_sides_and_stay_boxes():
    boxes = np.array([[8, 10, 32, 40]], np.float32)
    (mirrored,) = Window(flipped=True).boxes(boxes, 80, 40)
    torch.testing.assert_close(mirrored, torch.tensor([0.6, 0.25, 0.9, 1.0]))


def test_a_box_outside_of_the_window_has_no_area():
    boxes = np.array([[0, 0, 20, 40], [70, 0, 80, 40]], np.float32)
    for flipped in (False, True):
        found = Window((0.25, 0, 0.75, 1), flipped).boxes(boxes, 80, 40)
        assert (found[:, 2] == found[:, 0]).all()
        assert ((found >= 0) & (found <= 1)).all()


def test_no_boxes_are_no_boxes():
    assert Window().boxes(np.zeros((0, 4), np.float32), 80, 40).shape == (0, 4)


def colour_under(image, box):
    """The share of pixels well inside and well outside of a box that have an object's colour."""
    red, green, blue = image.float()
    coloured = (
        torch.maximum(torch.maximum(red, green), blue) - red.minimum(green).minimum(blue) > 64
    )
    size = image.shape[1]
    x0, y0, x1, y1 = (box * size).tolist()
    inside = torch.zeros(size, size, dtype=torch.bool)
    inside[round(y0 + 2) : round(y1 - 2), round(x0 + 2) : round(x1 - 2)] = True
    near = torch.zeros(size, size, dtype=torch.bool)
    near[max(0, round(y0 - 2)) : round(y1 + 2), max(0, round(x0 - 2)) : round(x1 + 2)] = True
    return coloured[inside].float().mean(), coloured[~near].float().mean()


def test_a_coloured_box_stays_under_its_box_when_cropped_and_mirrored(augmented):
    def box(index, record, window):
        return window.boxes(record.boxes_xyxy, record.width, record.height)[0]

    images = augmented(annotate=box, size=96, margin=32)
    windows = set()
    for epoch in range(12):
        for index in range(3):
            image, found = images[epoch, index]
            inside, outside = colour_under(image, found)
            assert inside == 1 and outside == 0
            windows.add(tuple(found.tolist()))
    assert len(windows) > 20


class Numbered(NamedTuple):
    """A target of two tensors."""

    number: Tensor
    boxes: Tensor


def numbered(index, record, window):
    boxes = window.boxes(record.boxes_xyxy[:1], record.width, record.height)
    return Numbered(torch.tensor(index), boxes)


def test_targets_may_be_named_tuples_of_tensors(quick, split, monkeypatch):
    monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: 0)
    loader, keys = training_batches(split, quick.input, 7, 4, numbered)
    keys.epoch = 3
    found = [targets for _, targets in loader]
    assert torch.cat([targets.number for targets in found]).tolist() == [i for _, i in keys]
    assert found[0].boxes.shape == (4, 1, 4)


@pytest.mark.parametrize("track", ["single", "multi"])
def test_batches_are_the_same_from_any_number_of_workers(quick, packed, monkeypatch, track):
    def epoch_1(workers):
        monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: workers)
        split = PackedSplit(packed / track / "train")
        loader, keys = training_batches(split, quick.input, 7, 4, ClassTargets(split))
        keys.epoch = 1
        return list(loader)

    alone, shared = epoch_1(0), epoch_1(2)
    assert [len(images) for images, _ in alone] == [4, 4, 2]
    for (images, targets), (other_images, other_targets) in zip(alone, shared, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(targets, other_targets)
