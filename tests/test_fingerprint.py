"""A fingerprint follows all that decides a result, and nothing else."""

from pathlib import Path

import pytest

import pipeline
from pipeline.fingerprint import fingerprint


def test_the_fingerprint_follows_settings_and_content(tmp_path: Path) -> None:
    file = tmp_path / "split"
    file.write_text("one")
    first = fingerprint({"lr": 0.1, "seed": 0}, [file])
    assert fingerprint({"seed": 0, "lr": 0.1}, [file]) == first
    assert fingerprint({"lr": 0.2, "seed": 0}, [file]) != first
    (tmp_path / "moved").write_text("one")
    assert fingerprint({"lr": 0.1, "seed": 0}, [tmp_path / "moved"]) == first
    file.write_text("two")
    assert fingerprint({"lr": 0.1, "seed": 0}, [file]) != first


def test_the_fingerprint_follows_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "__file__", str(tmp_path / "__init__.py"))
    first = fingerprint({}, [])
    (tmp_path / "models").mkdir()
    (tmp_path / "models/spn.py").write_text("epsilon = 0.15")
    assert fingerprint({}, []) != first
