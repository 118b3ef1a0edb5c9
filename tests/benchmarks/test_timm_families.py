"""The families of timm are counted by models that there are."""

from dataclasses import dataclass

import pytest
import timm

from benchmarks.timm_families import SMALLEST, refusal, smallest
from pipeline.params import Params


def test_there_is_one_model_for_each_family() -> None:
    chosen = [smallest(family) for family in timm.list_modules()]
    assert sorted(chosen) == sorted(SMALLEST)


@pytest.mark.parametrize("name", ["test_mambaout", "test_vit", "densenet121", "tresnet_m"])
def test_channels_last_embeddings_and_fixed_strides_serve(params: Params, name: str) -> None:
    assert refusal(name, params.backbone) == ""


def test_a_refusal_is_one_line(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Broken:
        name: str

        def features(self, output_stride: int) -> None:
            raise ValueError("first\nsecond")

        features_and_head = features

    monkeypatch.setattr("pipeline.models.backbones.find", Broken)
    assert refusal("test_resnet", params.backbone) == (
        "ValueError, not told as an InputError: first"
    )
