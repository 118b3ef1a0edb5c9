"""What the training loop costs beside the steps themselves, and methods beside their twins.

    python -m benchmarks.loop_overhead
    python -m benchmarks.loop_overhead --network vgg16 --models spn_multi --rounds 5 --steps 4

Trains from random weights on the images that stage `preprocess` has packed. Rounds alternate, so
that other work on the machine hits both sides; a ratio is the median over rounds.

    loop            images/s of `train`, reading its images, by those of a bare loop over the same
                    batches in memory: forward, backward, clipping, SGD
    input           images/s that the loader makes, with nothing else to do, by those of the bare
                    loop: below 1 the loop waits for images
    twin            seconds of a bare step by those of the twin's
    operations      floating-point operations of a step by those of the twin's
    deterministic   seconds of a bare step with `deterministic: true` by those with false
    checkpoint      seconds of one, by those from one to the next within an epoch
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD

from benchmarks.training_speed import (
    SLOW,
    Repeated,
    class_count,
    keep_variance,
    machine,
    setting,
    window_rates,
)
from paper import cost
from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.device import compute_device, repeat_exactly
from pipeline.packed.pictures import ClassTargets
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, TrainParams, load
from pipeline.training.batches import training_batches
from pipeline.training.checkpoints import SHARE, USUAL_MINUTES, Checkpoints
from pipeline.training.loop import learning_rates, train
from pipeline.training.progress import Progress
from stages import PARAMS
from stages.paths import split_folder

TWINS = {"spn_multi": "cam_multi", "spg": "spg_plain"}
GUIDED = 10**6
"""An epoch after any warm-up."""


class Training:
    """One model, its images and its schedule, of one endless epoch."""

    def __init__(self, model: str, given: argparse.Namespace) -> None:
        params = load(PARAMS)
        if given.network:
            params = setting(given.network, model, params)
        self.params = _after_warm_up(params)
        self.model, self.steps = model, given.steps
        plain = cost.schedule(model, params)
        size = given.batch_size or plain.batch_size
        update: dict[str, Any] = {"epochs": 1, "batch_size": size, "decay_epochs": [], **SLOW}
        self.schedule: TrainParams = plain.model_copy(update=update)
        folder = split_folder(registry.MODELS[model].track, "train")
        # Two steps more: the first ones set things up.
        self.images: Any = Repeated(PackedSplit(folder), (given.steps + 2) * size)
        self.classes = (
            class_count(model, params) if given.network else len(PackedSplit(folder).classes)
        )

    def objective(self) -> nn.Module:
        """Return the objective with random weights."""
        method = registry.method(self.model)
        network = method.network(Backbone(self.params.backbone), self.classes, self.params)
        network.apply(keep_variance)
        return method.objective(network, self.params)

    def operations(self) -> int:
        """Return the floating-point operations of a step, as `paper.cost` counts them."""
        network = cost.meta_network(self.model, self.classes, self.params)
        return cost.step_flops(network, cost.meta_image(self.params))

    def loaded(self) -> float:
        """Return images per second of the loader alone."""
        size = self.schedule.batch_size
        loader, _ = training_batches(
            self.images, self.params.input, 0, size, ClassTargets(self.images)
        )
        starts = [perf_counter() for _ in loader]
        (rate,) = window_rates(starts[1:], self.steps, size)
        return rate

    def batches(self) -> list[tuple[Any, Any]]:
        """Return the batches of the epoch, on the device."""
        targets, size = ClassTargets(self.images), self.schedule.batch_size
        loader, _ = training_batches(self.images, self.params.input, 0, size, targets)
        device = compute_device()
        return [(images.to(device), labels.to(device)) for images, labels in loader]

    def looped(self) -> float:
        """Return images per second of the pipeline's loop."""
        starts: list[float] = []
        module = self.objective()
        module.register_forward_pre_hook(lambda *_: starts.append(perf_counter()))
        with tempfile.TemporaryDirectory() as folder:
            checkpoints, targets = Checkpoints(Path(folder) / "speed"), ClassTargets(self.images)
            train(module, self.images, self.params.input, self.schedule, 0, checkpoints, targets)
        (rate,) = window_rates(starts[1:], self.steps, self.schedule.batch_size)
        return rate

    def bare(self, batches: Sequence[tuple[Any, Any]]) -> float:
        """Return images per second of a bare loop over the batches."""
        module = self.objective().to(compute_device()).train()
        module = module.to(memory_format=torch.channels_last)
        optimizer = SGD(learning_rates(module, self.schedule), momentum=self.schedule.momentum)
        starts = []
        for images, targets in batches:
            starts.append(perf_counter())
            loss = torch.stack(list(module(images, targets, GUIDED).values())).sum()
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(module.parameters(), self.schedule.max_gradient_norm)
            optimizer.step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
        (rate,) = window_rates(starts[1:], self.steps, self.schedule.batch_size)
        return rate


def main() -> None:
    """Measure what is asked for, and print the ratios."""
    given = arguments()
    print(f"{machine()}; {torch.get_num_threads()} threads; {given.rounds} rounds")
    for model in given.models:
        training, twin = Training(model, given), Training(TWINS[model], given)
        own, others = training.batches(), twin.batches()
        bare, other = partial(training.bare, own), partial(twin.bare, others)
        show(f"{model} loop", given, training.looped, bare)
        show(f"{model} input", given, training.loaded, bare)
        show(f"{model} twin", given, other, bare)
        print(f"{model} operations: {training.operations() / twin.operations():.3f}")
        fast, exact = (partial(repeating, wanted, training, own) for wanted in (False, True))
        show(f"{model} deterministic", given, fast, exact)
        seconds = checkpoint(training)
        apart = max(60 * float(USUAL_MINUTES), seconds / SHARE)
        print(f"{model} checkpoint: {seconds:.2f} s, {seconds / apart:.2%} of the time")


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", help="at the papers' sizes; default: that of params.yaml")
    parser.add_argument("--models", nargs="+", default=list(TWINS), choices=list(TWINS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="steps of a round that are timed")
    parser.add_argument("--batch-size", type=int, help="default: that of the schedule")
    return parser.parse_args()


def show(
    name: str, given: argparse.Namespace, one: Callable[[], float], other: Callable[[], float]
) -> None:
    """Print the ratio of two rates: its median over alternating rounds, and its range."""
    ratios = sorted(one() / other() for _ in range(given.rounds))
    middle = f"{median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
    print(f"{name}: {middle}", flush=True)


def repeating(wanted: bool, training: Training, batches: Sequence[tuple[Any, Any]]) -> float:
    """Return the rate of a bare loop with or without deterministic operations."""
    repeat_exactly(wanted)
    return training.bare(batches)


def checkpoint(training: Training) -> float:
    """Return the seconds of a checkpoint."""
    module = training.objective()
    accelerator = Accelerator()
    accelerator.prepare(module, SGD(module.parameters(), lr=0.1, momentum=0.9))
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder) / "speed")
        began = perf_counter()
        checkpoints.save(accelerator, Progress())
        return perf_counter() - began


def _after_warm_up(params: Params) -> Params:
    return params.model_copy(update={"spg": params.spg.model_copy(update={"warmup_epochs": 0})})


if __name__ == "__main__":
    main()
