"""Predictions beside the records of their images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.pairs import StoredPairs
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from stages.paths import split_folder


def predict(record: Record) -> Prediction:
    return Prediction(record.id, "test", np.zeros(3), np.arange(3), np.zeros((3, 2, 2)))


@pytest.fixture
def split(workspace: Path) -> PackedSplit:
    return PackedSplit(split_folder("multi", "test"))


def test_pairs_can_be_read_again_and_again(split: PackedSplit) -> None:
    pairs = StoredPairs(lambda: map(predict, split), split)
    assert len(split) == 4
    for _ in range(2):
        assert [(p.id, r.id) for p, r in pairs] == [(r.id, r.id) for r in split]


def test_predictions_of_other_images_are_refused(split: PackedSplit) -> None:
    found = [predict(record) for record in split]
    last = found[-1].id
    for foreign, expected in [
        (found[:-1], f"image {last} expected, got none"),
        ([*found, found[0]], f"image none expected, got {found[0].id}"),
        ([*found[:-1], replace(found[-1], id="other")], f"image {last} expected, got other"),
    ]:
        with pytest.raises(InputError, match=expected):
            list(StoredPairs(lambda values=foreign: values, split))
