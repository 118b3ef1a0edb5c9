"""The benchmark of prediction measures the command itself, and both sides see the same pictures."""

import re
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import prediction
from tests.prediction.conftest import leave, models_once

__all__ = ["leave", "models_once"]


def test_speed_tells_both_and_their_ratio(
    models_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "FILES", 3)
    photographs = prediction.draw_photographs(tmp_path)
    assert [Image.open(path).size for path in photographs] == [(320, 240)] * 3
    told = prediction.speed(models_once / "spg", photographs, rounds=1, pictures=5)
    found = re.fullmatch(
        r"spg, 1 rounds of 5 pictures: network alone ([\d.]+) images/s, predict ([\d.]+) images/s; "
        r"ratio ([\d.]+) \(median; [\d.]+ to [\d.]+\), of processor time [\d.]+ "
        r"\([\d.]+ to [\d.]+\)",
        told,
    )
    assert found
    network, whole, ratio = map(float, found.groups())
    assert ratio == pytest.approx(whole / network, rel=0.1)
    assert len(list((tmp_path / "round").iterdir())) == 5
    assert not (tmp_path / "round-out").exists()
