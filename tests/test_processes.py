"""The number of processes: what affinity, control groups and shared memory leave of a machine."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import processes
from pipeline.processes import granted_cores, workers

MIB = 2**20
Member = Callable[..., None]
Free = Callable[[int], None]


@pytest.fixture(autouse=True)
def _eight_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(processes, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


@pytest.fixture
def member(tmp_path: Path) -> Member:
    """Put this process in control groups, whose folders have these files."""

    def put(*groups: str, **files: dict[str, str]) -> None:
        (tmp_path / "membership").write_text("".join(f"{group}\n" for group in groups))
        for folder, contents in files.items():
            path = tmp_path / "cgroup" / folder.replace("__", "/")
            path.mkdir(parents=True, exist_ok=True)
            for name, content in contents.items():
                (path / name).write_text(f"{content}\n")

    return put


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Free:
    """Let so many bytes of shared memory be free."""

    def let(size: int) -> None:
        memory = SimpleNamespace(f_bavail=size // 4096, f_frsize=4096)
        monkeypatch.setattr(os, "statvfs", lambda path: memory)

    return let


def test_every_core_of_the_affinity_may_work() -> None:
    assert granted_cores() == workers() == 8
    assert workers(busy=1) == 7


def test_this_process_is_given_what_the_system_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert (workers(), workers(busy=1)) == (1, 0)
    finally:
        os.sched_setaffinity(0, allowed)


def quota_v1(quota: int) -> dict[str, str]:
    return {"cpu.cfs_quota_us": str(quota), "cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    ("limit", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1)]
)
def test_a_quota_is_rounded_up_to_whole_cores(member: Member, limit: str, cores: int) -> None:
    member("0::/job", job={"cpu.max": limit})
    assert granted_cores() == cores


@pytest.mark.parametrize(
    "limit", ["max 100000", "1600000 100000"], ids=["none", "more than the affinity"]
)
def test_a_quota_above_the_affinity_takes_nothing(member: Member, limit: str) -> None:
    member("0::/job", job={"cpu.max": limit})
    assert granted_cores() == 8


def test_a_quota_of_the_first_version_counts(member: Member) -> None:
    groups = ("5:memory:/other", "4:cpu,cpuacct:/job", "1:name=systemd:/")
    member(*groups, cpu__job=quota_v1(300_000))
    assert granted_cores() == 3
    member(*groups, cpu__job=quota_v1(-1))
    assert granted_cores() == 8


def test_the_quotas_of_the_groups_above_count_too(member: Member) -> None:
    above = {"cpu.max": "300000 100000"}
    member("0::/pod/job", pod=above, pod__job={"cpu.max": "max 100000"})
    assert granted_cores() == 3
    member("4:cpu:/pod/job", cpu__pod=quota_v1(200_000), cpu__pod__job=quota_v1(400_000))
    assert granted_cores() == 2


@pytest.mark.parametrize("path", ["/", "/docker/3f2a", "/../../system.slice"])
def test_a_container_sees_its_own_group_at_the_root(member: Member, path: str) -> None:
    member(f"0::{path}", **{"": {"cpu.max": "400000 100000"}})
    assert granted_cores() == 4
    member(f"4:cpu,cpuacct:{path}", cpu=quota_v1(200_000))
    assert granted_cores() == 2


def test_groups_of_other_controllers_take_nothing(member: Member) -> None:
    member("3:cpuset:/job", "2:cpuacct:/job", cpu__job=quota_v1(100_000))
    assert granted_cores() == 8


def test_processes_of_a_distributed_training_share_the_machine(
    monkeypatch: pytest.MonkeyPatch, free: Free
) -> None:
    free(132 * MIB)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert granted_cores() == 4
    assert workers(busy=1, batch_bytes=3 * MIB) == 3
    assert workers(busy=1, batch_bytes=5 * MIB) == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert granted_cores() == 1


@pytest.mark.parametrize(
    ("size", "count"),
    [(1, 7), (1.5, 7), (2, 6), (4, 2), (6, 1), (7, 0), (100, 0)],
)
def test_batches_in_flight_fit_into_half_of_dockers_shared_memory(
    free: Free, size: float, count: int
) -> None:
    free(64 * MIB)
    found = workers(busy=1, batch_bytes=int(size * MIB))
    assert found == count
    assert found == 0 or (2 * found + 3) * size <= 32


def test_without_shared_memory_to_look_at_cores_alone_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "SHARED_MEMORY", tmp_path / "none")
    assert workers(busy=1, batch_bytes=100 * MIB) == 7
