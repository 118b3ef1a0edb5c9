"""Packing with several processes: the same bytes, and nothing lost or half-written."""

import errno
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.datasets import parts
from pipeline.datasets.packing import pack
from pipeline.datasets.photograph import CorruptImage
from pipeline.errors import InputError
from pipeline.packed import shards
from pipeline.packed.record import Dataset, Record, Split
from pipeline.packed.store import PackedSplit
from tests.conftest import REPOSITORY
from tests.datasets import numbered
from tests.datasets.numbered import bad, calls, dataset, failing, killing, one_less, watched_in


@pytest.fixture(autouse=True)
def few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of four keys."""
    monkeypatch.setattr(parts, "SIZE", 4)


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below `folder`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def packed(folder: Path, data: Dataset, workers: int = 1, origin: str = "") -> dict[str, bytes]:
    """Pack into `folder` and return the bytes."""
    pack(data, folder, origin, workers)
    return content(folder)


def ids(folder: Path) -> list[str]:
    return [record.id for record in PackedSplit(folder)]


def images(*numbers: range) -> list[str]:
    return [f"image {number}" for each in numbers for number in each]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def refused(data: Dataset, folder: Path, told: str, workers: int = 1) -> InputError:
    """Pack, which must fail with one clear message; return the error."""
    with pytest.raises(InputError, match=told) as raised:
        pack(data, folder, "", workers)
    assert raised.value.__cause__ is None
    return raised.value


def test_every_split_is_packed_in_the_order_of_its_keys(tmp_path: Path) -> None:
    pack(dataset(train=10, val=3, test=4), tmp_path / "multi", "", workers=3)
    for split, count in {"train": 10, "val": 3, "test": 4}.items():
        found = PackedSplit(tmp_path / "multi" / split)
        assert [record.id for record in found] == images(range(count))
        assert (found.name, found.task, found.classes) == ("shapes", "multi", numbered.CLASSES)
        assert found.split == split
    shards = json.loads((tmp_path / "multi/train/index.json").read_text())["shards"]
    assert [(s["file"], s["rows"]) for s in shards] == [
        ("00000.arrow", 4),
        ("00001.arrow", 4),
        ("00002.arrow", 2),
    ]


@pytest.mark.parametrize("short_side", [None, 256])
def test_a_split_tells_how_its_photographs_are_stored(
    tmp_path: Path, short_side: int | None
) -> None:
    data = replace(dataset(train=1, test=1), short_side=short_side)
    pack(data, tmp_path / "multi", "", workers=1)
    assert PackedSplit(tmp_path / "multi/test").short_side == short_side


def test_what_is_packed_stands_alone(tmp_path: Path) -> None:
    pack(dataset(train=5, test=1), tmp_path / "multi", "", workers=2)
    assert names(tmp_path) == {"multi", ".multi.lock"}
    assert names(tmp_path / "multi/train") == {"index.json", "00000.arrow", "00001.arrow"}


@pytest.mark.parametrize("limit", [shards.LIMIT, 10_000])
def test_the_bytes_do_not_depend_on_the_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(shards, "LIMIT", limit)
    data = dataset(train=21, val=4, test=9)
    one, three = (packed(tmp_path / str(count), data, count) for count in (1, 3))
    assert one == three
    assert ids(tmp_path / "3/train") == images(range(21))


def pack_as(process: int, port: int, folder: Path, data: Dataset) -> None:
    """Pack as one of two processes that torchrun has started."""
    os.environ |= {"RANK": str(process), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    pack(data, folder, "", workers=1)


def test_processes_that_work_together_pack_the_same_bytes(tmp_path: Path) -> None:
    data = dataset(train=21, val=4, test=9)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=pack_as, args=(n, port, tmp_path / "two", data)) for n in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert content(tmp_path / "two") == packed(tmp_path / "one", data)


def test_a_part_that_outgrows_a_shard_goes_on_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LIMIT", 10_000)
    files = packed(tmp_path / "multi", dataset(train=9), workers=3)
    found = PackedSplit(tmp_path / "multi/train")
    assert [record.id for record in found] == images(range(9))
    assert sorted(files) == [
        "train/00000.arrow",
        "train/00000_001.arrow",
        "train/00001.arrow",
        "train/00001_001.arrow",
        "train/00002.arrow",
        "train/index.json",
    ]
    assert all(len(each) <= 10_000 for name, each in files.items() if name.endswith(".arrow"))


def test_workers_that_do_not_inherit_the_parents_memory_pack_the_same(tmp_path: Path) -> None:
    data = dataset(train=6, test=2)
    forked = packed(tmp_path / "forked", data)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        assert packed(tmp_path / "spawned", data) == forked
    finally:
        multiprocessing.set_start_method(None, force=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("empty", ["train", "test"])
def test_a_split_to_learn_or_score_on_must_not_be_empty(tmp_path: Path, empty: str) -> None:
    data = dataset(**{"train": 3, "val": 3, "test": 3, empty: 0})
    refused(data, tmp_path / "multi", f"shapes: split '{empty}' is empty; check the lists")
    assert names(tmp_path) == set()


def test_no_image_needs_to_be_held_out(tmp_path: Path) -> None:
    pack(dataset(train=3, val=0, test=3), tmp_path / "multi", "", workers=2)
    held_out = PackedSplit(tmp_path / "multi/val")
    assert (len(held_out), held_out.classes) == (0, numbered.CLASSES)
    assert names(tmp_path / "multi/val") == {"index.json"}


def test_a_reader_must_make_a_record_of_every_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        pack(dataset(one_less, train=6), tmp_path / "multi", "", workers=1)
    assert names(tmp_path) == {".multi.lock", ".multi.parts"}


def test_a_record_that_cannot_be_made_leaves_the_old_folder(tmp_path: Path) -> None:
    first = packed(tmp_path / "multi", dataset(train=3, test=1))
    told = "^image 5.jpg: unreadable image; restore the file$"
    refused(dataset(partial(bad, 5), train=9, test=1), tmp_path / "multi", told, workers=2)
    assert content(tmp_path / "multi") == first


def corrupt(numbers: Sequence[int], chosen: Sequence[int] = (5, 6, 11)) -> Iterator[Record]:
    """As a reader of photographs: it raises at a damaged one."""
    for number in numbers:
        if number in chosen:
            raise CorruptImage(f"{number}.jpg: unreadable image")
        yield from numbered.plain([number])


@pytest.mark.parametrize("workers", [1, 2])
def test_so_many_corrupt_images_may_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    data = dataset(corrupt, train=14, test=2)
    pack(data, tmp_path / "multi", "", workers, skip_corrupt=3)
    assert ids(tmp_path / "multi/train") == images(range(5), range(7, 11), range(12, 14))
    told = tuple(f"{number}.jpg: unreadable image" for number in (5, 6, 11))
    assert PackedSplit(tmp_path / "multi/train").skipped == told
    assert PackedSplit(tmp_path / "multi/test").skipped == ()
    assert all(f"left out: {line}" in capsys.readouterr().err for line in told[:1])


def test_one_corrupt_image_too_many_names_them_and_what_is_packed_stays(tmp_path: Path) -> None:
    data, folder = dataset(corrupt, train=14, test=2), tmp_path / "multi"
    with pytest.raises(InputError, match="3 images cannot be read, and .*skip_corrupt allows 2"):
        pack(data, folder, "", 1, skip_corrupt=2)
    assert not folder.exists()
    complete = len(list(tmp_path.glob(".multi.parts/*/complete/*")))
    pack(data, folder, "", 1, skip_corrupt=3)
    assert complete >= 4 and len(PackedSplit(folder / "train").skipped) == 3


def test_the_other_workers_stop_at_their_next_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SIZE", 1000)
    begun, ended = tmp_path / "begun", tmp_path / "ended"

    def reader(numbers: Sequence[int]) -> Iterator[Record]:
        """The first part is bad; the second would take a minute."""
        if numbers[0] == 0:
            wait_for(begun.exists)
            raise InputError("image 0 is bad")
        for record in numbered.plain(numbers):
            yield record
            begun.touch()
            time.sleep(0.06)
        ended.touch()

    refused(dataset(reader, train=2000), tmp_path / "multi", "image 0 is bad", workers=2)
    assert begun.exists() and not ended.exists()


def test_a_worker_that_the_system_kills_is_told_with_a_remedy(tmp_path: Path) -> None:
    data = dataset(partial(killing, 5), train=20)
    told = "the system ended a worker process, most often because memory ran out; free memory"
    error = refused(data, tmp_path / "multi", told, workers=2)
    assert "run `dvc repro preprocess` again: complete parts are kept" in str(error)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_a_remedy(tmp_path: Path, number: int) -> None:
    full = OSError(number, os.strerror(number))
    told = "multi: no space left; make room and run `dvc repro preprocess` again"
    refused(dataset(partial(failing, full), train=2), tmp_path / "multi", told)


def test_another_error_of_the_system_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    other = OSError(errno.EIO, "Input/output error")
    with pytest.raises(OSError, match="Input/output error"):
        pack(dataset(partial(failing, other), train=2), tmp_path / "multi", "", workers=1)


def test_a_repeated_call_makes_only_the_missing_parts(tmp_path: Path) -> None:
    whole = packed(tmp_path / "whole", dataset(train=14, test=2))
    refused(dataset(partial(bad, 9), train=14, test=2), tmp_path / "multi", "image 9.jpg")
    assert packed(tmp_path / "multi", dataset(watched_in(tmp_path), train=14, test=2)) == whole
    # Part 12 may have been complete before the fault in part 8 was known.
    assert calls(tmp_path) in ([8], [8, 12])


def test_the_smallest_split_is_packed_first(tmp_path: Path) -> None:
    reader = watched_in(tmp_path)
    splits = {"train": Split(reader, range(6)), "test": Split(reader, range(100, 103))}
    pack(Dataset("shapes", "multi", numbered.CLASSES, splits), tmp_path / "multi", "", workers=1)
    assert calls(tmp_path) == [100, 0, 4]


@pytest.mark.parametrize("damage", ["shorter", "missing", "note"])
def test_a_part_with_a_damaged_shard_is_made_again(tmp_path: Path, damage: str) -> None:
    refused(dataset(partial(bad, 9), train=10), tmp_path / "multi", "image 9.jpg")
    scratch = next((tmp_path / ".multi.parts").iterdir())
    shard, note = scratch / "packed/train/00001.arrow", scratch / "complete/train-00001.json"
    if damage == "missing":
        shard.unlink()
    else:
        (shard if damage == "shorter" else note).write_bytes(b"ARROW1")
    pack(dataset(watched_in(tmp_path), train=10), tmp_path / "multi", "", workers=1)
    assert calls(tmp_path) == [4, 8]
    assert ids(tmp_path / "multi/train") == images(range(10))


def test_what_a_killed_process_left_beside_the_shards_is_removed(tmp_path: Path) -> None:
    refused(dataset(partial(bad, 9), train=10), tmp_path / "multi", "image 9.jpg")
    (train,) = tmp_path.glob(".multi.parts/*/packed/train")
    (train / ".00002.arrow.123.part").write_bytes(b"half")
    (train / "00001_001.arrow").write_bytes(b"of a part that once was larger")
    pack(dataset(train=10), tmp_path / "multi", "", workers=1)
    assert names(tmp_path / "multi/train") == {
        "index.json",
        *(f"0000{number}.arrow" for number in range(3)),
    }


def renamed(data: Dataset) -> Dataset:
    return Dataset("forms", data.task, data.classes, data.splits)


def reclassed(data: Dataset) -> Dataset:
    return Dataset(data.name, data.task, ("a", "b", "d"), data.splits)


def rekeyed(data: Dataset) -> Dataset:
    split = Split(data.splits["train"].make, range(1, 11))
    return Dataset(data.name, data.task, data.classes, {"train": split})


@pytest.mark.parametrize("change", [renamed, reclassed, rekeyed, None])
def test_parts_of_another_data_set_or_origin_are_removed(
    tmp_path: Path, change: Callable[[Dataset], Dataset] | None
) -> None:
    refused(dataset(partial(bad, 9), train=10), tmp_path / "multi", "image 9.jpg")
    (old,) = (tmp_path / ".multi.parts").iterdir()
    broken = dataset(partial(bad, 9), train=10)
    with pytest.raises(InputError, match="image 9.jpg"):
        pack(change(broken) if change else broken, tmp_path / "multi", "" if change else "x", 1)
    (new,) = (tmp_path / ".multi.parts").iterdir()
    assert new != old
    data = dataset(watched_in(tmp_path), train=10)
    pack(data, tmp_path / "multi", "", workers=1)
    assert calls(tmp_path) == [0, 4, 8]


def test_a_process_killed_between_the_two_folders_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(dataset(train=4), tmp_path / "multi", "", workers=1)
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self.name == "packed":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", killed)
        pack(dataset(train=10), tmp_path / "multi", "", workers=1)
    pack(dataset(watched_in(tmp_path), train=10), tmp_path / "multi", "", workers=1)
    assert calls(tmp_path) == []
    assert ids(tmp_path / "multi/train") == images(range(10))
    assert names(tmp_path) == {"multi", ".multi.lock"}


SCRIPT = """
import sys
from pathlib import Path
from pipeline.datasets import parts
from pipeline.datasets.packing import pack
from tests.datasets.numbered import dataset, watched_in

parts.SIZE = 4
folder = Path(sys.argv[1])
pack(dataset(watched_in(folder), train=18, test=2), folder / "multi", "", int(sys.argv[2]))
"""


@contextmanager
def held_up(folder: Path, at: int, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that packs and is held up at the part that begins with number `at`."""
    (folder / "hold").write_text(str(at))
    command = [sys.executable, "-c", SCRIPT, str(folder), str(workers)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_for(lambda: at in calls(folder))
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)
        (folder / "hold").unlink()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for at most half a minute."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError


def gone_with_children(process: subprocess.Popen[bytes]) -> bytes:
    """Wait until nobody holds the ends of the pipes any more; return stderr."""
    return process.communicate(timeout=30)[1]


@pytest.mark.parametrize("count", [1, 2])
def test_a_killed_packing_goes_on_where_it_was(tmp_path: Path, count: int) -> None:
    whole = packed(tmp_path / "whole", dataset(train=18, test=2))
    with held_up(tmp_path, at=8, workers=count) as process:
        complete = 3 if count == 1 else 5  # a second worker does all the others of the six
        wait_for(lambda: len(list(tmp_path.glob(".multi.parts/*/complete/*.json"))) == complete)
        process.send_signal(signal.SIGKILL)
        gone_with_children(process)
    before = calls(tmp_path)
    assert not (tmp_path / "multi").exists()
    again = packed(tmp_path / "multi", dataset(watched_in(tmp_path), train=18, test=2), count)
    assert again == whole
    made = calls(tmp_path)[len(before) :]
    assert made == ([8, 12, 16] if count == 1 else [8])


def test_an_interrupted_packing_leaves_no_process_behind(tmp_path: Path) -> None:
    with held_up(tmp_path, at=8, workers=2) as process:
        process.send_signal(signal.SIGINT)
        (tmp_path / "hold").write_text("")
        assert b"KeyboardInterrupt" in gone_with_children(process)
    assert process.returncode != 0
    assert names(tmp_path) >= {".multi.parts"} and "multi" not in names(tmp_path)


def test_two_packings_of_one_track_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.locks.PATIENCE", 0)
    with held_up(tmp_path, at=8, workers=1) as process:
        told = "multi.lock: another process runs this packing; wait for it or end it"
        refused(dataset(train=3), tmp_path / "multi", told)
        pack(dataset(train=3), tmp_path / "single", "", workers=1)
        (tmp_path / "hold").write_text("")
        assert gone_with_children(process) == b""
    assert process.returncode == 0
    assert ids(tmp_path / "multi/train") == images(range(18))
    assert ids(tmp_path / "single/train") == images(range(3))


class Terminal:
    """A stderr that a person watches."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_progress_is_told_in_images_to_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(dataset(partial(bad, 9), train=10, test=2), tmp_path / "multi", "image 9.jpg")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    pack(dataset(train=10, test=2), tmp_path / "multi", "", workers=1)
    lines = [line.split("\r") for line in terminal.text.split("\n")]
    assert lines[0][-1].startswith("shapes, test: 100%") and "| 2/2 [" in lines[0][-1]
    assert "| 8/10 [" in lines[1][1]  # the parts that were there
    assert lines[1][-1].startswith("shapes, train: 100%") and " images/s]" in lines[1][-1]


def test_nothing_is_told_to_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pack(dataset(train=10), tmp_path / "multi", "", workers=2)
    assert capfd.readouterr() == ("", "")
