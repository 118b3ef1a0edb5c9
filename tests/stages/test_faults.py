"""A training that loses a process, is asked to end, or has no room: one line, and it goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from pipeline.params import Params
from tests.conftest import REPOSITORY
from tests.parameters import changed

SMALL = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
"""A system call away from a file system of our own."""
TRAIN = [sys.executable, "-m", "stages.train", "cam_single"]


@pytest.fixture
def long(workspace: Path, quick: Params) -> Path:
    """A folder with all that a training of thousands of epochs needs."""
    params = changed(quick, spn__train_single__epochs=9999)
    (workspace / "params.yaml").write_text(yaml.safe_dump(params.model_dump()))
    return workspace


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}


@contextmanager
def training() -> Iterator[subprocess.Popen[str]]:
    """A training as the leader of a group of processes."""
    process = subprocess.Popen(
        TRAIN, env=environment(), text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def epochs() -> list[str]:
    return sorted(path.name for path in Path(".scratch").glob("cam_single-*/epoch-*"))


def children(process: subprocess.Popen[str]) -> list[int]:
    return list(
        map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    )


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core loads its own batches")
def test_a_lost_worker_and_sigterm_to_all_processes_end_in_one_line_each(long: Path) -> None:
    with training() as process:
        wait_for(epochs)
        while process.poll() is None:
            for child in children(process):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        told = process.communicate()[1]
    assert process.returncode == 1
    assert told.startswith("train: the system ended a process that makes batches") and "(" in told
    assert told.count("\n") == 1
    before = epochs()[-1]
    with training() as process:
        wait_for(lambda: epochs()[-1] > before)
        os.killpg(process.pid, signal.SIGTERM)
        told = process.communicate()[1]
    assert process.returncode == 143
    first, last = told.splitlines()
    assert first.startswith("goes on after the checkpoint .scratch/cam_single-")
    assert first.endswith(before)
    assert last.startswith("train: ended by SIGTERM after a checkpoint of epoch ")
    assert last.endswith("; run it again to go on")


@pytest.mark.parametrize(
    ("options", "where", "told"),
    [
        ("size=48k", ".scratch", "no space left for part, which needs more than the"),
        ("ro", ".scratch", "cannot be written (Read-only file system); make it writable"),
        ("size=48k", "data/models", "weights.safetensors needs"),
        ("ro", "data/models", "cannot be written (Read-only file system); make it writable"),
    ],
)
def test_a_disk_that_refuses_is_named_in_one_line(
    long: Path, quick: Params, options: str, where: str, told: str
) -> None:
    params = changed(quick, spn__train_single__epochs=1)
    (long / "params.yaml").write_text(yaml.safe_dump(params.model_dump()))
    mount = f"mount -t tmpfs -o {options} tmpfs {where}"
    (long / where).mkdir(parents=True)
    if not shutil.which("unshare") or subprocess.run([*SMALL, mount], stderr=-1).returncode:
        pytest.skip("this system lets no user mount a file system")
    script = (
        f'{mount} && "$@"; status=$?; find {where} -type f -size +0 ! -name "*.lock"; exit $status'
    )
    command = [*SMALL, script, "sh", *TRAIN]
    done = subprocess.run(command, env=environment(), text=True, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith("train: ") and told in done.stderr and where in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""  # nothing half-written
