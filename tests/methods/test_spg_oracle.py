from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.methods.bases.spg.guidance import BACKGROUND, FOREGROUND, masked_cross_entropy
from pipeline.methods.bases.spg.objective import upsample
from pipeline.methods.spg_oracle import METHOD, Taught
from pipeline.models.backbones import Backbone
from pipeline.packed.pictures import Window
from pipeline.packed.store import PackedSplit
from tests.parameters import changed


@pytest.fixture
def split(packed):
    return PackedSplit(packed / "single/train")


@pytest.fixture
def annotate(split, quick, tmp_path):
    return METHOD.targets(split, tmp_path, quick)


def test_c_is_taught_the_boxes_of_the_window(split, annotate, quick):
    record, size = split[0], quick.input.size
    whole, mirrored = (annotate(0, record, Window(flipped=flipped)) for flipped in (False, True))
    assert whole.labels == record.labels[0]
    assert whole.masks.shape == (size, size) and whole.masks.dtype == torch.uint8
    assert torch.equal(mirrored.masks, whole.masks.flip(1))
    x0, y0, x1, y1 = record.boxes_xyxy[0] / np.array([record.width, record.height] * 2) * size
    inside = whole.masks[round(y0) + 1 : round(y1) - 1, round(x0) + 1 : round(x1) - 1]
    assert (inside == FOREGROUND).all()
    assert whole.masks.unique().tolist() == [BACKGROUND, FOREGROUND]


def test_the_other_branches_are_taught_as_in_spg(split, quick):
    params = changed(quick, spg__warmup_epochs=0)
    torch.manual_seed(0)
    network = METHOD.network(Backbone(params.backbone), 3, params)
    objective = METHOD.objective(network, params).eval()
    size = params.input.size
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    labels, masks = torch.tensor([0, 2]), torch.zeros(2, size, size, dtype=torch.uint8)
    maps = network.guided(images)
    taught = objective.taught(maps, Taught(labels, masks), size)
    own = super(type(objective), objective).taught(maps, Taught(labels, masks), size)
    assert torch.equal(taught["c"], masks) and not torch.equal(own["c"], masks)
    assert all(torch.equal(taught[name], own[name]) for name in ("b1", "b2"))
    terms = objective(images, Taught(labels, masks), 0)
    expected = masked_cross_entropy(upsample(maps.c, size, align_corners=False), masks)
    torch.testing.assert_close(terms["c"], expected)


def test_an_image_without_a_box_is_named(split, annotate):
    bare = replace(split[0], boxes_xyxy=np.zeros((0, 4), np.float32))
    with pytest.raises(InputError, match=f"image {bare.id} .* no box.*spg_oracle off the list"):
        annotate(0, bare, Window())


def test_without_branch_c_there_is_nothing_to_teach(quick):
    with pytest.raises(InputError, match="spg.with_c"):
        METHOD.network(Backbone(quick.backbone), 3, changed(quick, spg__with_c=False))
