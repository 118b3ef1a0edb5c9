import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from pipeline import locks
from pipeline.models.device import free_gpu, keep_freed_memory
from tests.conftest import REPOSITORY

ROUNDS = 16
FLOATS = 2**24
"""A block of 64 MiB, which glibc returns to the system unless told otherwise."""


def pages_got() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(ROUNDS):
        torch.ones(FLOATS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_blocks_that_were_freed_are_used_again_without_new_pages() -> None:
    if not keep_freed_memory():
        return  # Another C library: nothing is promised.
    pages_got()
    assert pages_got() < 4 * FLOATS // resource.getpagesize()


HOLDER = """
import sys
from pipeline.models.device import free_gpu
print(free_gpu(["a", "b"]), flush=True)
sys.stdin.read()
"""


def holder() -> subprocess.Popen[str]:
    """Start another process that takes one of two GPUs and keeps it until its stdin ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", HOLDER], cwd=REPOSITORY, text=True, **pipes)


def test_each_run_has_a_gpu_of_its_own_and_waits_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(locks, "_kept", [])
    other = holder()
    assert other.stdin and other.stdout
    assert other.stdout.readline() == "0\n"
    assert free_gpu(["a", "b"]) == 1
    # Now both are taken, until the other process ends.
    naps: list[float] = []

    def end_other(seconds: float) -> None:
        naps.append(seconds)
        other.communicate()

    monkeypatch.setattr(time, "sleep", end_other)
    assert free_gpu(["a", "b"]) == 0
    assert len(naps) == 1
    assert "every GPU is in use (2); waiting for one" in capsys.readouterr().err
    for lock in locks._kept:
        lock.close()
