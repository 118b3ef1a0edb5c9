"""The part of a file that earlier attempts have brought."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipeline.files import atomic_path


class Origin(BaseModel, frozen=True):
    """Which file a part belongs to: its address, version (ETag or date) and size in bytes."""

    address: str
    version: str
    total: int | None


class Partial:
    """`<target>.part`, with its origin beside it in `<target>.part.json`."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._origin_file = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def origin(self) -> Origin | None:
        """Where the part is from; None if that was never written or is unreadable."""
        try:
            return Origin.model_validate_json(self._origin_file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    @property
    def total(self) -> int | None:
        """The size of the whole file by the server that the part is from."""
        return self.origin.total if self.origin else None

    def conditions(self, address: str, checksum: str) -> dict[str, str]:
        """Headers that ask `address` for the rest; none if it might be the rest of another file.

        The version vouches for the same file at the same address; elsewhere, or without a version,
        the checksum that the whole is compared with.
        """
        rest = {"Range": f"bytes={self.size}-"}
        if not self.size:
            return {}
        if self.origin and self.origin.address == address and self.origin.version:
            return rest | {"If-Range": self.origin.version}
        return rest if checksum else {}

    def restart(self, origin: Origin) -> None:
        """Begin anew with a file of `origin`."""
        # Emptied first: a kill in between must not leave old bytes under the new origin.
        self.path.write_bytes(b"")
        with atomic_path(self._origin_file) as temporary:
            temporary.write_text(origin.model_dump_json())

    @contextmanager
    def appending(self) -> Iterator[Callable[[bytes], None]]:
        """Yield a function that appends a block; a killed process loses none it has returned from.

        On a full disk, too, what was written before stays.
        """
        with self.path.open("ab", buffering=0) as file:

            def append(block: bytes) -> None:
                while block:
                    block = block[file.write(block) :]

            yield append

    def discard(self) -> None:
        """Remove the part."""
        self.path.unlink(missing_ok=True)
        self._origin_file.unlink(missing_ok=True)

    def promote(self) -> None:
        """Make the part the target."""
        self.path.replace(self.target)
        self._origin_file.unlink(missing_ok=True)
