"""The parts of an unfinished packing on disk, which the next run of the same packing keeps.

A packing of data/packed/multi works in data/packed/.multi.parts, so that all is on one disk:

    <hash>/packed/<split>/       the shards of the parts, as they will lie in data/packed/multi
    <hash>/complete/             a file per complete part, written after its shards
    replaced/                    the folder that stood in the place of the finished one

The hash stands for all that decides the records. A track has at most one unfinished packing: a
packing of other records removes the parts of the one before it, and a finished one all of them.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipeline.errors import InputError
from pipeline.files import atomic_path
from pipeline.packed.record import Dataset, Split
from pipeline.packed.shards import Shard
from pipeline.packed.store import Index

SIZE = 256
"""Keys of a part: few enough to keep every worker busy, enough to load a picture library for."""


class Packed(BaseModel, frozen=True, extra="forbid"):
    """What a complete part has become; the content of the file that makes it complete.

    Attributes:
        skipped: why each image that was left out could not be read.
    """

    shards: tuple[Shard, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A fixed range of the keys of a split, which one worker packs."""

    split: str
    number: int
    keys: range

    @property
    def stem(self) -> str:
        """What the names of its shards begin with."""
        return f"{self.number:05}"

    def __len__(self) -> int:
        return len(self.keys)


def parts_of(name: str, split: Split) -> list[Part]:
    """Return the parts of the split called `name`, in order."""
    count = len(split)
    starts = enumerate(range(0, count, SIZE))
    return [Part(name, n, range(start, min(start + SIZE, count))) for n, start in starts]


@dataclass(frozen=True)
class Unfinished:
    """One packing on its way to `target`; `key` is the hash of all that decides its records."""

    target: Path
    key: str

    def folder(self, split: str) -> Path:
        """Where the shards of a split are written."""
        return self._packed / split

    def remove_others(self) -> None:
        """Remove what other packings to the same target have left."""
        if self._root.is_dir():
            for path in self._root.iterdir():
                if path.name != self.key:
                    shutil.rmtree(path)

    def add(self, part: Part, packed: Packed) -> None:
        """Declare a part complete."""
        with atomic_path(self._note(part)) as temporary:
            temporary.write_text(packed.model_dump_json())

    def __contains__(self, part: Part) -> bool:
        """Whether a part is complete."""
        try:
            for shard in self.packed(part).shards:
                shard.check(self.folder(part.split))
        except (FileNotFoundError, ValidationError, InputError):
            return False
        return True

    def finish(self, dataset: Dataset) -> None:
        """Write the index of every split, put the folder in the place of `target`, and clean up.

        All parts must be complete. A process killed here leaves the old target, the new one, or
        none and all parts.
        """
        for name, split in dataset.splits.items():
            self._index(dataset, name, [self.packed(part) for part in parts_of(name, split)])
        if self.target.exists():
            self.target.rename(self._root / "replaced")
        self._packed.rename(self.target)
        shutil.rmtree(self._root)

    def _index(self, dataset: Dataset, split: str, parts: Sequence[Packed]) -> None:
        """Write the index of a split; remove what a killed process left beside its shards."""
        shards = tuple(shard for part in parts for shard in part.shards)
        folder = self.folder(split)
        folder.mkdir(parents=True, exist_ok=True)
        for stray in {path.name for path in folder.iterdir()} - {shard.file for shard in shards}:
            (folder / stray).unlink()
        Index(
            name=dataset.name,
            task=dataset.task,
            classes=dataset.classes,
            split=split,
            shards=shards,
            short_side=dataset.short_side,
            skipped=tuple(line for part in parts for line in part.skipped),
        ).write(folder)

    def packed(self, part: Part) -> Packed:
        """Return what a complete part has become."""
        return Packed.model_validate_json(self._note(part).read_bytes())

    def _note(self, part: Part) -> Path:
        return self._root / self.key / "complete" / f"{part.split}-{part.stem}.json"

    @property
    def _packed(self) -> Path:
        return self._root / self.key / "packed"

    @property
    def _root(self) -> Path:
        return self.target.with_name(f".{self.target.name}.parts")
