"""How far a training has come, and what it has seen on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor

History = list[dict[str, float]]


class NotFinite(Exception):
    """A loss of one of the steps that were looked at is NaN or infinite.

    Attributes:
        step: the first such step of the epoch, from 1.
        terms: the loss terms of this step.
    """

    def __init__(self, step: int, terms: Mapping[str, float]) -> None:
        super().__init__(step, terms)
        self.step, self.terms = step, terms


@dataclass
class Progress:
    """Where a training goes on, and the means of its loss terms.

    Losses stay on the device until `look`: to fetch each would make the device wait at each step.

    Attributes:
        history: a row per complete epoch.
        epoch: the epoch to go on with, from 0.
        step: the steps of it that are done.
        sums: sum and number of the values of each term in these steps.
        unseen: the terms of the last steps, on the device.
    """

    history: History = field(default_factory=list)
    epoch: int = 0
    step: int = 0
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    unseen: list[dict[str, Tensor]] = field(default_factory=list)

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Count a step with these loss terms, scalars."""
        self.unseen.append({name: term.detach().float() for name, term in terms.items()})
        self.step += 1

    def look(self, accelerator: Accelerator) -> None:
        """Fetch the terms that were not seen yet, all at once; means over the processes.

        Raises:
            NotFinite: one of them is not finite.
        """
        if not self.unseen:
            return
        terms = torch.stack([term for step in self.unseen for term in step.values()])
        values = iter(accelerator.reduce(terms, reduction="mean").tolist())
        steps = [{name: next(values) for name in step} for step in self.unseen]
        self.unseen = []
        for number, step in enumerate(steps, self.step - len(steps) + 1):
            if not torch.tensor(list(step.values())).isfinite().all():
                raise NotFinite(number, step)
            # One by one: the sums do not depend on when they were looked at.
            for name, value in step.items():
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = total + value, count + 1

    def end_epoch(self, watched: Mapping[str, float]) -> None:
        """Add the row of the epoch: its number from 1, the mean loss terms, and what was seen."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.history.append({"epoch": self.epoch + 1.0} | means | dict(watched))
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
