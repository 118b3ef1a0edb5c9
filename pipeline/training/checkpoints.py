"""Checkpoints of an unfinished training, in a scratch folder that belongs to one configuration.

They are no outs: a training that ends removes its own. The folder's name is a hash of all that
decides the result, so a changed parameter, data set or line of code starts afresh.

    <scratch>/<name>-<hash>/
        epoch-0002-step-000120/   120 steps of the second epoch are done
            progress.json         where to go on, the history, sums of the losses
            checksums.json        of all other files here, written last
            ...                   model, optimizer, schedule and random states, by accelerate
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError

from pipeline.disk import no_room, refusals_told, require_room
from pipeline.errors import InputError
from pipeline.locks import locked
from pipeline.progress import say
from pipeline.training.progress import Progress

MINUTES = "WSOL_CHECKPOINT_MINUTES"
"""Environment variable: minutes between checkpoints within an epoch."""
USUAL_MINUTES = "10"
SHARE = 0.01
"""Of the time, what checkpoints within an epoch may take: slow disks get fewer."""
KEPT = 2
_FULL = ("os error 28", "os error 122", "inline_container")
"""What safetensors, and torch's own writer, make of a full disk or a quota."""
_PROGRESS, _CHECKSUMS = "progress.json", "checksums.json"


class Checkpoints:
    """The last good states of one training, the newest to be restored at the start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._saved, self._took = monotonic(), 0.0

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder; raise InputError while another process trains the same thing."""
        return locked(self.folder.with_name(f"{self.folder.name}.lock"), "this training")

    @property
    def last(self) -> Path | None:
        """Folder of the last complete checkpoint."""
        return max(self._whole(), default=None)

    def due(self) -> bool:
        """Whether it is time for a checkpoint within an epoch."""
        return monotonic() - self._saved >= max(_seconds(), self._took / SHARE)

    def save(self, accelerator: Accelerator, progress: Progress) -> None:
        """Save the state of a training; all but the newest go once it is complete."""
        began, part = monotonic(), self.folder / "part"
        if accelerator.is_main_process:
            shutil.rmtree(part, ignore_errors=True)
            require_room(self.folder, _bytes(self.last), "a checkpoint")
        accelerator.wait_for_everyone()
        try:
            with _refusals_told(part):
                accelerator.save_state(str(part))
                # Each process writes the state of its own random numbers.
                accelerator.wait_for_everyone()
                if accelerator.is_main_process:
                    self._complete(part, progress)
        finally:
            if accelerator.is_main_process:
                shutil.rmtree(part, ignore_errors=True)
        self._saved = monotonic()
        self._took = self._saved - began

    def _complete(self, part: Path, progress: Progress) -> None:
        """Write what only the main process knows; rename it, and remove old ones."""
        stored = {k: v for k, v in vars(progress).items() if k != "unseen"}
        (part / _PROGRESS).write_text(json.dumps(stored))
        (part / _CHECKSUMS).write_text(json.dumps(_digests(part)))
        for path in part.iterdir():
            _to_disk(path)
        complete = self.folder / f"epoch-{progress.epoch + 1:04d}-step-{progress.step:06d}"
        if not complete.exists():  # as when restored, and asked to end before another step
            os.rename(part, complete)
        for earlier in self._whole()[:-KEPT]:
            shutil.rmtree(earlier)

    def restore(self, accelerator: Accelerator) -> Progress:
        """Load the newest checkpoint that is whole, if any; return where to go on."""
        found = [self._newest_whole() if accelerator.is_main_process else None]
        (folder,) = broadcast_object_list(found)
        if folder is None:
            return Progress()
        accelerator.load_state(str(folder))
        stored = json.loads((folder / _PROGRESS).read_text())
        sums = {name: (total, count) for name, (total, count) in stored.pop("sums").items()}
        return Progress(**stored, sums=sums)

    def _newest_whole(self) -> Path | None:
        """Return the newest checkpoint that is whole; remove, and name, those that are not."""
        complete = self._whole()
        for folder in reversed(complete):
            damage = _damage(folder)
            if not damage:
                say(f"goes on after the checkpoint {folder}")
                return folder
            say(f"{folder}: damaged checkpoint ({damage}); taking the one before it")
            shutil.rmtree(folder)
        if complete:
            say(f"{self.folder}: no whole checkpoint is left; training starts from the beginning")
        return None

    def _whole(self) -> list[Path]:
        """The folders of complete checkpoints, the newest last."""
        return sorted(self.folder.glob("epoch-*-step-*"))

    def remove(self) -> None:
        """Delete the checkpoints of a finished training."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _seconds() -> float:
    given = os.environ.get(MINUTES) or USUAL_MINUTES
    try:
        return 60 * float(given)
    except ValueError:
        raise InputError(f"{MINUTES} is {given!r}, no number of minutes") from None


def _digests(folder: Path) -> Mapping[str, str]:
    """The sha256 of each file in `folder`."""
    digests = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _damage(folder: Path) -> str:
    """What is wrong with a checkpoint; "" if it is as it was written."""
    try:
        expected = json.loads((folder / _CHECKSUMS).read_text())
        found = {name: d for name, d in _digests(folder).items() if name != _CHECKSUMS}
    except (OSError, ValueError) as error:
        return f"{_CHECKSUMS}: {error}"
    if not isinstance(expected, dict):
        return f"{_CHECKSUMS}: not a list of checksums"
    names = sorted({*expected, *found})
    wrong = [name for name in names if expected.get(name) != found.get(name)]
    return f"{', '.join(wrong)}: other content than was written" if wrong else ""


def _bytes(folder: Path | None) -> int:
    """The bytes of a checkpoint, which the next one of the same training takes too."""
    return sum(path.stat().st_size for path in folder.iterdir()) if folder else 0


@contextmanager
def _refusals_told(part: Path) -> Iterator[None]:
    try:
        with refusals_told(part, part):
            yield
    except (RuntimeError, SafetensorError) as error:
        if not any(sign in str(error) for sign in _FULL):
            raise
        raise no_room(part, part) from None


def _to_disk(path: Path) -> None:
    """Wait until the system has written a file: a power cut must not empty what a rename kept."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
