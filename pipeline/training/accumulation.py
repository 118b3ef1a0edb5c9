"""Gradients of a batch, taken in parts where memory is short."""

from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import slice_tensors
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.progress import say


class Accumulation:
    """Takes a batch whole; when memory runs out, in parts of half the size from then on.

    The gradients of the parts are added, each weighted by its share of the images: that is the
    gradient of a loss that is a mean over images. Of one that is a mean over chosen pixels or boxes
    (SPG's branches, RPN) it is that of the mean of the parts' means; statistics of batch
    normalisation, where they are learnt, are those of a part.
    """

    def __init__(
        self, accelerator: Accelerator, objective: nn.Module, optimizer: torch.optim.Optimizer
    ) -> None:
        self.accelerator, self.objective, self.optimizer = accelerator, objective, optimizer
        self.parts = 1

    def gradients(
        self, images: Tensor, targets: Any, epoch: int, weight: float
    ) -> dict[str, Tensor]:
        """Leave the gradients of a batch in the parameters; return its loss terms and `loss`.

        Args:
            weight: factor of all terms.

        Raises:
            InputError: memory does not suffice for one image, or for one of several processes,
                which cannot take a smaller part without the others.
        """
        while True:
            self.optimizer.zero_grad()
            try:
                return self._added(images, targets, epoch, weight)
            except torch.OutOfMemoryError as error:
                if self.accelerator.num_processes > 1 or self.parts >= len(images):
                    raise InputError(
                        f"memory does not suffice for {-(-len(images) // self.parts)} image(s) at "
                        "once; start more processes (LAUNCH), or lower batch_size or input.size"
                    ) from error
            self.parts *= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            say(f"memory is short: batches are taken in {self.parts} parts from now on")

    def _added(self, images: Tensor, targets: Any, epoch: int, weight: float) -> dict[str, Tensor]:
        size = -(-len(images) // self.parts)
        total: dict[str, Tensor] = {}
        for first in range(0, len(images), size):
            part = slice(first, first + size)
            share = weight * len(images[part]) / len(images)
            found = self.objective(images[part], slice_tensors(targets, part), epoch)
            terms = {name: value * share for name, value in found.items()}
            terms = {"loss": torch.stack(list(terms.values())).sum()} | terms
            self.accelerator.backward(terms["loss"])
            for name, value in terms.items():
                total[name] = total.get(name, 0.0) + value.detach()
        return total
