"""Packing a data set into the store with several processes, on one machine or more.

Each worker makes the records of one part after the other and writes them to shards of its own;
what the parts are does not depend on the workers, nor then do the bytes. Processes that work
together (`pipeline.distributed`) have workers each, and pack every so many-th part.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from ctypes import c_bool
from dataclasses import dataclass
from itertools import chain
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.datasets import parts
from pipeline.datasets.parts import Packed, Part, Unfinished, parts_of
from pipeline.datasets.photograph import CorruptImage
from pipeline.disk import FULL, NoRoom
from pipeline.distributed import gathered, is_main, process_count, process_index
from pipeline.errors import InputError
from pipeline.locks import locked
from pipeline.packed import shards
from pipeline.packed.record import Dataset, Record
from pipeline.packed.shards import write_shards
from pipeline.progress import say

_AGAIN = "and run `dvc repro preprocess` again: complete parts are kept"


def pack(dataset: Dataset, folder: Path, origin: str, workers: int, skip_corrupt: int = 0) -> None:
    """Pack each split of `dataset` into <folder>/<split>; all replace the old folder at once.

    Memory does not grow with the number of records. A call that was cut off, repeated, makes only
    the parts that were not complete; see `pipeline.datasets.parts`.

    Args:
        origin: a hash of what decides the records besides the data set's own description:
            parameters, code, which files there are. What changes within pictures and annotations
            while a packing is unfinished is not noticed in the parts that are complete.
        workers: number of processes; the bytes do not depend on it.
        skip_corrupt: images of all splits that may be left out, as they cannot be read.

    Raises:
        InputError: a split that must not be empty is, a record cannot be made, another process
            packs into `folder`, or the system ended a worker or has no room left; the old folder
            is not touched.
    """
    _refuse_empty(dataset)
    unfinished = Unfinished(folder, _key(dataset, origin))
    skipped = _Skipped(skip_corrupt)
    lock = locked(folder.with_name(f".{folder.name}.lock"), "this packing")
    with lock if is_main() else nullcontext():
        if is_main():
            unfinished.remove_others()
        with _pool(dataset, unfinished, workers, skip_corrupt) as pool:
            gathered(None)
            # The smallest first: a bad annotation shows before the hours that training images take.
            for name in sorted(dataset.splits, key=lambda name: len(dataset.splits[name])):
                # Twice as many tasks as workers: none waits, and the queue stays short.
                _pack_split(dataset, name, unfinished, pool, 2 * workers, skipped)
        everywhere = gathered(skipped.lines)
        if is_main():
            skipped = _Skipped(skip_corrupt)
            skipped.add(chain.from_iterable(everywhere))
            unfinished.finish(dataset)
            skipped.tell()


class _Skipped:
    """Images that cannot be read and are left out, up to `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.lines: list[str] = []

    def add(self, lines: Iterable[str]) -> None:
        """Count some more; InputError if these are too many."""
        self.lines += lines
        if len(self.lines) > self.most:
            raise InputError(
                f"{len(self.lines)} images cannot be read, and data.skip_corrupt allows "
                f"{self.most}; restore the files, or raise it:\n" + "\n".join(self.lines)
            )

    def tell(self) -> None:
        """Tell what was left out."""
        for line in self.lines:
            say(f"left out: {line}")


def _refuse_empty(dataset: Dataset) -> None:
    """Only val may have no images: data.val_fraction can hold out none."""
    for name, split in dataset.splits.items():
        if name != "val" and not len(split):
            raise InputError(
                f"{dataset.name}: split {name!r} is empty; check the lists of images and data.*"
            )


def _key(dataset: Dataset, origin: str) -> str:
    """Return a hash of all that decides the records and the shards; keys differ by their repr."""
    described = [origin, dataset.name, dataset.task, dataset.classes, parts.SIZE, shards.LIMIT]
    digest = hashlib.sha256(json.dumps(described).encode())
    for name, split in dataset.splits.items():
        digest.update(f"\n{name}".encode())
        for key in split.keys:
            digest.update(f"\n{key!r}".encode())
    return digest.hexdigest()[:16]


def _pack_split(
    dataset: Dataset,
    name: str,
    unfinished: Unfinished,
    pool: ProcessPoolExecutor,
    ahead: int,
    skipped: _Skipped,
) -> None:
    """Pack this process's parts of a split, with a line of progress on stderr.

    Those that are complete stay as they are.
    """
    split = dataset.splits[name]
    own = parts_of(name, split)[process_index() :: process_count()]
    missing = [part for part in own if part not in unfinished]
    complete = [part for part in own if part not in missing]
    for part in complete:
        skipped.add(unfinished.packed(part).skipped)
    total, done = (sum(map(len, parts)) for parts in (own, complete))
    tasks = ((part, split.keys[part.keys.start : part.keys.stop]) for part in missing)
    title = f"{dataset.name}, {name}"
    silent = None if is_main() else True  # None: unless stderr is a terminal
    with tqdm(total=total, initial=done, desc=title, unit=" images", disable=silent) as bar:
        for count, left_out in _results(pool, tasks, ahead):
            skipped.add(left_out)
            bar.update(count)


def _results(
    pool: ProcessPoolExecutor, tasks: Iterable[tuple[Part, Sequence[Any]]], ahead: int
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield what `_pack_part` returns, part by part; at most `ahead` parts wait."""
    waiting: set[Future[tuple[int, tuple[str, ...]]]] = set()
    for task in tasks:
        waiting.add(pool.submit(_pack_part, *task))
        if len(waiting) >= ahead:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    yield from (future.result() for future in as_completed(waiting))


@contextmanager
def _pool(
    dataset: Dataset, unfinished: Unfinished, workers: int, skip_corrupt: int
) -> Iterator[ProcessPoolExecutor]:
    """Yield worker processes; on any error they stop at their next record and are gone."""
    makes = {name: split.make for name, split in dataset.splits.items()}
    work = _Work(makes, unfinished, skip_corrupt, RawValue(c_bool, False))
    pool = ProcessPoolExecutor(workers, initializer=_begin, initargs=(work,))
    try:
        pool.submit(int).result()  # forks before a line of progress brings a thread
        yield pool
    except (NoRoom, OSError) as error:
        if isinstance(error, OSError) and error.errno not in FULL:
            raise
        raise InputError(
            f"{unfinished.target}: no space left; make room {_AGAIN} ({error})"
        ) from None
    except InputError as error:
        raise error from None  # not the worker's traceback
    except BrokenProcessPool:
        raise InputError(
            "the system ended a worker process, most often because memory ran out; free memory, "
            f"or allow fewer cores (taskset --cpu-list 0,1), {_AGAIN}"
        ) from None
    finally:
        work.stop.value = True
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Work:
    """What each worker is told once.

    Attributes:
        makes: for each split the function that makes records from keys.
        skip_corrupt: images that may be left out.
        stop: true when the workers are to give up; without a lock that a killed one could hold.
    """

    makes: Mapping[str, Callable[[Sequence[Any]], Iterator[Record]]]
    unfinished: Unfinished
    skip_corrupt: int
    stop: c_bool


_work: _Work


def _begin(work: _Work) -> None:
    """Prepare a worker process: it stops when the parent says so or is gone."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker of a killed parent would wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _pack_part(part: Part, keys: Sequence[Any]) -> tuple[int, tuple[str, ...]]:
    """Write a part, in a worker process; return its size and what was left out."""
    skipped: list[str] = []
    records = _until_stopped(_readable(keys, _work.makes[part.split], skipped))
    shards = write_shards(_work.unfinished.folder(part.split), part.stem, records)
    packed = Packed(shards=tuple(shards), skipped=tuple(skipped))
    _work.unfinished.add(part, packed)
    return len(keys), packed.skipped


def _readable(
    keys: Sequence[Any], make: Callable[[Sequence[Any]], Iterator[Record]], skipped: list[str]
) -> Iterator[Record]:
    """Yield the records, one for each key but those of corrupt images, which go to `skipped`."""
    done = 0
    while done < len(keys):
        try:
            for _, record in zip(keys[done:], make(keys[done:]), strict=True):
                yield record
                done += 1
        except CorruptImage as error:
            if len(skipped) >= _work.skip_corrupt:
                raise
            skipped.append(str(error))
            done += 1


def _until_stopped(records: Iterable[Record]) -> Iterator[Record]:
    for record in records:
        if _work.stop.value:
            raise CancelledError
        yield record
