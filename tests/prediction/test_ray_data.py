"""Prediction on Ray Data gives what `pipeline.predict` gives, with two workers."""

import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import pytest

import pipeline
from pipeline import predict_ray as command


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> str | int | None:
    monkeypatch.setattr(sys, "argv", ["predict_ray", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rows_are_those_of_predict_and_bad_pictures_are_told(
    models: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ray = pytest.importorskip("ray", reason="pip install '.[ray]' brings it")
    pytest.importorskip("ray.data", reason="pip install '.[ray]' brings it")
    (photos / "bad.png").write_bytes(b"")
    (photos / "notes.txt").touch()
    ray.init(
        num_cpus=4, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False
    )
    monkeypatch.chdir(models)
    words = ("--model", "spg", "--networks", "2", "--batch-size", "2")
    assert run(monkeypatch, str(photos), "--out", str(tmp_path / "boxes"), *words) == 1
    out, err = capsys.readouterr()
    assert f"7 pictures: {tmp_path / 'boxes'}" in out
    assert "bad.png: unreadable image (the file is empty)" in err
    rows = {row["path"]: row for row in pads.dataset(tmp_path / "boxes").to_table().to_pylist()}
    assert set(rows) == {str(path) for path in photos.rglob("*.png")}
    fine = [path for path, row in rows.items() if not row["fault"]]
    for path, own in zip(fine, pipeline.load(models / "spg").boxes(fine), strict=True):
        assert (rows[path]["width"], rows[path]["height"]) == (48, 40)
        assert rows[path]["classes"] == list(own.classes)
        np.testing.assert_allclose(rows[path]["scores"], own.scores, rtol=1e-5)
        assert rows[path]["boxes_xyxy"] == own.boxes_xyxy.tolist()
    told = run(monkeypatch, str(photos), "--out", str(tmp_path / "boxes"), *words)
    assert "boxes: not empty; name a new folder with --out" in str(told)
    told = run(monkeypatch, str(photos), "--out", "nowhere://boxes", *words)
    assert "nowhere://boxes: cannot be used (ArrowInvalid" in str(told)


def test_without_ray_the_remedy_is_told(
    models: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    told = run(
        monkeypatch, str(photos), "--model", str(models / "spg"), "--out", str(tmp_path / "boxes")
    )
    assert "package ray is not installed" in str(told) and ".[ray]" in str(told)
