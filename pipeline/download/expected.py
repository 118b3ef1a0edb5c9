"""What a file that is to be fetched must be."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.checksum import CorruptFile, record, record_file, recorded, verify
from pipeline.progress import say


@dataclass(frozen=True)
class Expected:
    """Its place, its size in bytes, its published checksum ("md5:<hex>", "sha256:<hex>" or "")."""

    target: Path
    size: int | None
    published: str

    @property
    def checksum(self) -> str:
        """The published checksum, or the one recorded on first download, or ""."""
        return self.published or recorded(self.target)

    def check(self, path: Path) -> None:
        """Compare `path` with what is known; record its checksum if none is.

        Raises:
            CorruptFile: another size or checksum.
        """
        size = path.stat().st_size
        if self.size not in (None, size):
            raise CorruptFile(f"{path}: has {size} bytes, expected {self.size}")
        if self.published:
            verify(path, self.published)
        elif self.checksum:
            self._compare_with_record(path)
        else:
            self._record(path)

    def _compare_with_record(self, path: Path) -> None:
        try:
            verify(path, self.checksum)
        except CorruptFile as error:
            raise CorruptFile(
                f"{error} (expected is what {record_file(self.target)} recorded; remove that if "
                "the publisher has changed the file)"
            ) from None

    def _record(self, path: Path) -> None:
        digest = record(path, self.target)
        say(
            f"{self.target}: no checksum is published; recorded on first download in "
            f"{record_file(self.target)}: sha256 {digest}"
        )

    def set_aside(self, path: Path) -> Path:
        """Move a corrupt `path` to `<target>.corrupt`, over an older one; return that."""
        return path.replace(self.target.with_name(f"{self.target.name}.corrupt"))
