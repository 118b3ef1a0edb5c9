"""Checkpoints of an unfinished training, in a scratch folder that belongs to one configuration.

They are no outs: a training that ends removes its own. The folder's name is a hash of all that
decides the result, so a changed parameter, data set or line of code starts afresh.
"""

import json
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from accelerate import Accelerator

from pipeline.locks import locked

History = list[dict[str, float]]


class Checkpoints:
    """The last good state of one training, saved after each epoch and restored at the start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder; raise InputError while another process trains the same thing."""
        return locked(self.folder.with_name(f"{self.folder.name}.lock"), "this training")

    @property
    def last(self) -> Path | None:
        """Folder of the last complete checkpoint."""
        return max(self.folder.glob("epoch-????"), default=None)

    def save(self, accelerator: Accelerator, history: History, epoch: int) -> None:
        """Save the state after `epoch`; earlier ones go once this one is complete."""
        if accelerator.is_main_process:
            shutil.rmtree(self.folder / "part", ignore_errors=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(self.folder / "part"))
        # Each process writes the state of its own random numbers.
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (self.folder / "part" / "history.json").write_text(json.dumps(history))
            complete = self.folder / f"epoch-{epoch:04d}"
            os.rename(self.folder / "part", complete)
            for earlier in self.folder.glob("epoch-????"):
                if earlier != complete:
                    shutil.rmtree(earlier)

    def restore(self, accelerator: Accelerator) -> tuple[int, History]:
        """Load the last checkpoint, if any; return the epoch to begin and the history so far."""
        if self.last is None:
            return 0, []
        accelerator.load_state(str(self.last))
        history: History = json.loads((self.last / "history.json").read_text())
        return int(self.last.name[-4:]) + 1, history

    def remove(self) -> None:
        """Delete the checkpoints of a finished training."""
        shutil.rmtree(self.folder, ignore_errors=True)
