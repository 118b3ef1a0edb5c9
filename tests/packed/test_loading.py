"""Loading batches: the same on any machine, and within its shared memory."""

import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler

from pipeline.packed.loading import loader
from tests.conftest import REPOSITORY


class Target(NamedTuple):
    """A target of two tensors."""

    number: Tensor
    boxes: Tensor


class Numbered(Dataset[tuple[Tensor, Target]]):
    """Images of 3 * 8 * 8 bytes with targets of 8 + 32 bytes."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: int) -> tuple[Tensor, Target]:
        image = torch.full((3, 8, 8), key, dtype=torch.uint8)
        return image, Target(torch.tensor(key), torch.zeros(2, 4))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """What `workers` is asked; it grants 40 processes."""
    given: list[dict[str, int]] = []
    monkeypatch.setattr(
        "pipeline.packed.loading.workers", lambda **words: given.append(words) or 40
    )
    return given


@pytest.mark.parametrize("keys", [None, SequentialSampler(range(10))])
def test_a_batch_is_counted_with_all_its_tensors(asked, keys):
    found = loader(Numbered(10), 4, keys)
    assert asked == [{"busy": 1, "batch_bytes": 4 * (192 + 8 + 32)}]
    assert found.num_workers == 16


def test_there_may_be_nothing_to_load(asked):
    assert len(loader(Numbered(0), 4)) == 0


@pytest.mark.parametrize("count", [0, 1, 3])
def test_batches_are_the_same_from_any_number_of_processes(monkeypatch, count):
    monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: count)
    batches = list(loader(Numbered(10), 4))
    assert [targets.number.tolist() for _, targets in batches] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    assert all((images[:, 0, 0, 0] == targets.number).all() for images, targets in batches)


SMALL = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
SCRIPT = """
import os, sys, torch
os.sched_getaffinity = lambda pid: set(range(8))
from pipeline.packed.loading import loader
found = loader([torch.zeros(int(sys.argv[1]), dtype=torch.uint8)] * 120, 4)
print(found.num_workers, sum(len(batch) for batch in found))
"""


@pytest.mark.parametrize(("item", "count"), [(2**17, 2), (2**19, 0)])
def test_eight_cores_with_eight_megabytes_of_shared_memory_load_everything(item, count):
    """Seven processes would want 17 batches of 0.5 or 2 MiB at a time."""
    mount = "mount -t tmpfs -o size=8m tmpfs /dev/shm"
    if not shutil.which("unshare") or subprocess.run([*SMALL, mount], stderr=-1).returncode:
        pytest.skip("this system lets no user mount a small /dev/shm")
    command = [*SMALL, f'{mount} && exec "$@"', "sh", sys.executable, "-c", SCRIPT, str(item)]
    done = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, timeout=120)
    assert done.stdout.split() == [str(count), "120"], done.stderr
