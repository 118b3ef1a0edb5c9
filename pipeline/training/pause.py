"""What a training does between steps: look at its losses, save itself, end when it is asked to."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from pipeline.errors import InputError
from pipeline.signals import Request, obey
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.progress import NotFinite, Progress


def steps_to_a_look(device: torch.device) -> int:
    """Return after how many steps losses are fetched: a CPU has nothing to wait for."""
    return 1 if device.type == "cpu" else 20


class NonFiniteLoss(InputError):
    """The loss, or a weight, became NaN or infinite."""


@dataclass(frozen=True)
class Pause:
    """The pauses of one training, which all of its processes make at the same steps."""

    accelerator: Accelerator
    objective: nn.Module
    checkpoints: Checkpoints
    request: Request

    def after_step(self, progress: Progress) -> None:
        """Look and save if it is time for that, and end if a process was asked to."""
        if progress.step % steps_to_a_look(self.accelerator.device):
            return
        self.look(progress)
        number, due = self._agreed()
        if number or due:
            self._require_finite_weights(progress)
            self.checkpoints.save(self.accelerator, progress)
        _end_if_asked(number, progress)

    def after_steps(self, progress: Progress) -> None:
        """Look, and make sure that what the epoch's steps have made is sound."""
        self.look(progress)
        self._require_finite_weights(progress)

    def after_epoch(self, progress: Progress) -> None:
        """Save, and end if a process was asked to."""
        self.checkpoints.save(self.accelerator, progress)
        _end_if_asked(self._agreed()[0], progress)

    def look(self, progress: Progress) -> None:
        """Fetch the losses of the last steps; NonFiniteLoss if one is NaN or infinite."""
        try:
            progress.look(self.accelerator)
        except NotFinite as found:
            raise self._not_finite(progress.epoch, found.step, found.terms) from None

    def _agreed(self) -> tuple[int, bool]:
        """Return the signal that a process was sent, and whether the first one's time is up."""
        due = self.accelerator.is_main_process and self.checkpoints.due()
        if self.accelerator.num_processes == 1:
            return self.request.number, due
        own = torch.tensor([[self.request.number, due]], device=self.accelerator.device)
        number, due = self.accelerator.gather(own).amax(0).tolist()
        return number, bool(due)

    def _require_finite_weights(self, progress: Progress) -> None:
        if not all(parameter.isfinite().all() for parameter in self.objective.parameters()):
            raise self._not_finite(progress.epoch, progress.step, {})

    def _not_finite(self, epoch: int, step: int, terms: Mapping[str, float]) -> NonFiniteLoss:
        values = ", ".join(f"{name} {value:.4g}" for name, value in terms.items()) or "weights"
        last = self.checkpoints.last
        return NonFiniteLoss(
            f"the loss is not finite at epoch {epoch + 1}, step {step} ({values}); last good "
            f"checkpoint: {last.name if last else 'none'} in {self.checkpoints.folder}; lower the "
            "learning rates and run again"
        )


def _end_if_asked(number: int, progress: Progress) -> None:
    if number:
        obey(number, f"a checkpoint of epoch {progress.epoch + 1}, step {progress.step}")
