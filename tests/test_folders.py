"""A folder is replaced whole or not at all, whatever ends the process that writes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.folders import atomic_folder
from tests.conftest import REPOSITORY

KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.folders import atomic_folder

def killed(self, target):
    if self.name.endswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(self, target)

rename, Path.rename = Path.rename, killed
with atomic_folder(Path(sys.argv[1])) as folder:
    (folder / "new").touch()
    if sys.argv[2] == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with an old file."""
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/old").touch()
    return tmp_path / "data/raw"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write(path: Path, name: str = "new") -> None:
    with atomic_folder(path) as folder:
        (folder / name).touch()


def kill(path: Path, at: str) -> None:
    """Let a process be killed that replaces `path`: at a rename, or while writing."""
    command = [sys.executable, "-c", KILLED, str(path), at]
    assert subprocess.run(command, cwd=REPOSITORY).returncode == -9


def test_the_new_folder_takes_the_place_of_the_old_one(raw: Path) -> None:
    write(raw)
    assert (names(raw), names(raw.parent)) == ({"new"}, {"raw"})


def test_a_folder_is_made_where_there_is_none(tmp_path: Path) -> None:
    write(tmp_path / "a/b")
    assert names(tmp_path / "a/b") == {"new"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_on_an_exception_the_old_folder_stays(raw: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), atomic_folder(raw):
        raise error
    assert (names(raw), names(raw.parent)) == ({"old"}, {"raw"})


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError("Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="Input/output error"):
        patched.setattr(Path, "rename", failing)
        write(raw)
    assert (names(raw), names(raw.parent)) == ({"old"}, {"raw"})


@pytest.mark.parametrize("at", ["writing", "raw", ".part"])
def test_what_a_killed_process_left_is_put_right_by_the_next_call(raw: Path, at: str) -> None:
    kill(raw, at)
    assert len(names(raw.parent)) == 2, "the kill was to leave something"
    with pytest.raises(ValueError, match="stop"), atomic_folder(raw):
        raise ValueError("stop")
    assert (names(raw), names(raw.parent)) == ({"old"}, {"raw"})


def test_a_killed_process_of_the_same_number_is_put_right(raw: Path) -> None:
    (raw.parent / f".raw.{os.getpid()}.part").mkdir()
    raw.rename(raw.parent / f".raw.{os.getpid()}.old")
    with pytest.raises(ValueError, match="stop"), atomic_folder(raw):
        raise ValueError("stop")
    assert (names(raw), names(raw.parent)) == ({"old"}, {"raw"})


def test_nothing_of_a_process_that_still_runs_or_of_another_folder_is_touched(raw: Path) -> None:
    others = {".raw.1.part", ".raw2.999999999.part", ".raw.lock", ".raw.x.part"}
    for other in others:
        (raw.parent / other).mkdir()
    write(raw)
    assert names(raw.parent) == {"raw", *others}
