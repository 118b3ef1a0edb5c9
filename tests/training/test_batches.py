from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.datasets.store import PackedSplit
from pipeline.training import batches
from pipeline.training.batches import (
    AugmentedImages,
    ShuffledKeys,
    target_of,
    to_tensor,
    training_batches,
    warp,
)
from tests.parameters import changed


@pytest.fixture
def split(packed):
    return PackedSplit(packed / "single" / "train")


@pytest.fixture
def augmented(split, quick):
    """The training images under other augmentation parameters."""

    def make(seed=0, **values):
        plain = {"size": 32, "margin": 8, "flip": True} | values
        chosen = changed(quick, **{f"input__{key}": value for key, value in plain.items()})
        return AugmentedImages(split, chosen.input, seed)

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
    keys = ShuffledKeys(50, seed=1)
    orders = []
    for keys.epoch in range(3):
        epochs, indices = zip(*keys, strict=True)
        assert set(epochs) == {keys.epoch}
        assert sorted(indices) == list(range(50))
        orders.append(indices)
    assert len(set(orders)) == 3
    repeated = ShuffledKeys(50, seed=1)
    repeated.epoch = 2
    assert tuple(index for _, index in repeated) == orders[2]
    assert tuple(index for _, index in ShuffledKeys(50, seed=2)) != orders[0]


@pytest.mark.parametrize("track", ["single", "multi"])
def test_batches_are_the_same_from_any_number_of_workers(quick, packed, monkeypatch, track):
    def epoch_1(workers):
        monkeypatch.setattr(batches, "workers", lambda: workers)
        split = PackedSplit(packed / track / "train")
        loader, keys = training_batches(split, quick.input, 7, 4)
        keys.epoch = 1
        return list(loader)

    alone, shared = epoch_1(0), epoch_1(2)
    assert [len(images) for images, _ in alone] == [4, 4, 2]
    for (images, targets), (other_images, other_targets) in zip(alone, shared, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(targets, other_targets)
