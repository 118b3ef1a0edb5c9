"""How a stage ends on the command line."""

import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.params import Params
from stages import run
from stages.paths import download_folder
from tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_bad_input_ends_in_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    def stage(params: Params) -> None:
        raise InputError("a.xml: object 2 has no box")

    with pytest.raises(SystemExit) as raised:
        run(stage)
    assert raised.value.code == "stage: a.xml: object 2 has no box"  # printed, with status 1


@pytest.mark.parametrize(
    ("number", "name", "status"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)]
)
def test_a_stage_that_is_asked_to_end_says_so_in_one_line(
    capsys: pytest.CaptureFixture[str], number: signal.Signals, name: str, status: int
) -> None:
    def stage(params: Params) -> None:
        signal.raise_signal(number)

    with pytest.raises(SystemExit) as raised:
        run(stage)
    assert raised.value.code == status
    assert capsys.readouterr().err == f"stage: ended by {name}; run it again to go on\n"


def test_a_missing_argument_tells_the_usage() -> None:
    def stage(params: Params, track: str) -> None: ...

    with pytest.raises(SystemExit, match="usage: sh stages/run stage TRACK"):
        run(stage)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "data/downloads/cub"), ("", "data/downloads/cub"), ("/big", "/big/cub")],
)
def test_downloads_go_where_the_user_says(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str
) -> None:
    if value is None:
        monkeypatch.delenv("WSOL_DATA", raising=False)
    else:
        monkeypatch.setenv("WSOL_DATA", value)
    assert download_folder("cub") == Path(expected)


def test_every_stage_is_started_once_or_shares_its_work() -> None:
    """Several processes of a stage that does not share would write the same outs at once."""
    script = (REPOSITORY / "stages/run").read_text()
    (listed,) = re.findall(r"^    (.+)\) launch=python ;;$", script, re.M)
    shared = {
        name
        for row in (REPOSITORY / "docs/scale.md").read_text().splitlines()
        if row.startswith("| `") and "one process" not in row
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    modules = {path.stem for path in (REPOSITORY / "stages").glob("*.py")} - {"__init__", "paths"}
    assert set(listed.split(" | ")) == modules - shared
    assert len(shared) >= 7
