"""Facts of what a user sees while an archive is verified and unpacked."""

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.checksum import verify
from pipeline.download.unpack import unpack


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A zip of 3 MB."""
    path = tmp_path / "coco.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("noise", bytes(3_000_000))
    return path


def read_through(archive: Path) -> None:
    verify(archive, f"md5:{hashlib.md5(archive.read_bytes()).hexdigest()}")
    unpack(archive, archive.with_name("out"), limit=3_000_000)


def test_a_terminal_shows_how_far_verifying_and_unpacking_are(
    archive: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    read_through(archive)
    shown = capsys.readouterr().err
    assert "verifying coco.zip: 100%" in shown
    assert "unpacking coco.zip: 100%" in shown
    assert "3.00M/3.00M" in shown


def test_a_log_file_shows_no_bars(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_through(archive)
    assert capsys.readouterr().err == ""
