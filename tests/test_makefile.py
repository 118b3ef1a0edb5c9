"""`make` in what was downloaded as a ZIP, which is no git repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """A folder without .git that has a pipeline of one stage, and an environment with DVC."""
    for name in ("Makefile", "requirements.lock", ".gitignore"):
        shutil.copy(REPOSITORY / name, tmp_path)
    (tmp_path / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(REPOSITORY / ".dvc" / name, tmp_path / ".dvc")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  greet:\n    cmd: echo hello > greeting\n    outs: [greeting]\n"
    )
    dvc = tmp_path / ".venv/bin/dvc"
    dvc.parent.mkdir(parents=True)
    dvc.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dvc "$@"\n')
    dvc.chmod(0o755)
    (tmp_path / ".venv/.ready").touch()
    return tmp_path


def call(folder: Path, *command: str) -> str:
    """Run a command in `folder`, which must succeed; return what it printed."""
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_make_repro_makes_the_repository_that_dvc_needs(downloaded: Path) -> None:
    assert "making one of this folder" in call(downloaded, "make", "repro")
    assert (downloaded / "greeting").read_text() == "hello\n"
    assert call(downloaded, "git", "log", "--format=%s").split("\n")[0] == "As downloaded"
    assert ".venv" not in call(downloaded, "git", "ls-files")


def test_an_experiment_runs_in_it(downloaded: Path) -> None:
    call(downloaded, "make", "repro")
    assert "Ran experiment" in call(downloaded, ".venv/bin/dvc", "exp", "run", "--force")


def test_a_repository_is_left_as_it_is(downloaded: Path) -> None:
    call(downloaded, "git", "init", "--quiet")
    assert "making" not in call(downloaded, "make", "repro")
    assert not list((downloaded / ".git/refs/heads").iterdir())
