"""The one training loop."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from itertools import chain, islice
from typing import Any

import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.data import DataLoader
from tqdm import tqdm

from pipeline.distributed import join, process_index
from pipeline.models.device import compute_device
from pipeline.packed.pictures import Annotate
from pipeline.packed.store import PackedSplit
from pipeline.params import InputParams, TrainParams
from pipeline.signals import deferred
from pipeline.training.accumulation import Accumulation
from pipeline.training.batches import training_batches
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.pause import Pause
from pipeline.training.precision import computing
from pipeline.training.progress import History, Progress

Watch = Callable[[nn.Module, int], dict[str, float]]
"""The objective, in evaluation mode, and the epoch from 0 -> figures by name."""


def unwatched(objective: nn.Module, epoch: int) -> dict[str, float]:
    """Return no figures."""
    return {}


def train(
    objective: nn.Module,
    split: PackedSplit,
    images: InputParams,
    params: TrainParams,
    seed: int,
    checkpoints: Checkpoints,
    targets: Annotate,
    watch: Watch = unwatched,
) -> History:
    """Train `objective.network` on `split` and return the mean of each loss term per epoch.

    Args:
        objective: module (images, targets, epoch) -> dict of scalar loss terms, with the network
            in its attribute `network`, whose `backbone` learns at the lower rate.
        params: the schedule; `batch_size` is global, shared out over the processes. Their losses
            and gradients are averaged: exact where a loss is a mean over images, whereas of one
            that is a mean over chosen pixels or boxes (SPG's branches, RPN) it is the mean of each
            process's own mean.
        checkpoints: where an interrupted training resumes from, in the middle of an epoch too, and
            saves to; the caller removes them once the result is safe.
        targets: gives what the objective learns from, for each record of `split`.
        watch: gives further figures for the history after each epoch.

    Raises:
        NonFiniteLoss: names the epoch, the step and the last good checkpoint.
        InputError: another process trains the same thing, or a checkpoint cannot be written.
        KeyboardInterrupt, Terminated: the process was asked to end; a checkpoint is written.
    """
    # Each process drops out other units.
    set_seed(seed + process_index())
    device = compute_device()
    join()
    # SPG's branches take no part in the warm-up.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    # Unless it is told so, it takes several processes without a GPU for one each.
    accelerator = Accelerator(
        cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[unused]
    )
    loader, keys = training_batches(split, images, seed, params.batch_size, targets)
    optimizer = SGD(
        learning_rates(objective, params),
        momentum=params.momentum,
        weight_decay=params.weight_decay,
        nesterov=params.nesterov,
    )
    scheduler = MultiStepLR(optimizer, params.decay_epochs, params.decay_factor)
    backbone = objective.get_submodule("network.backbone")
    objective = objective.to(memory_format=torch.channels_last)
    objective, optimizer = accelerator.prepare(objective, optimizer)
    # Its batches are shares already.
    batches = prepare_data_loader(loader, accelerator.device, 1, 0, put_on_device=True)
    accelerator.register_for_checkpointing(scheduler)
    # One lock for all the processes of a training.
    lock = checkpoints.locked() if accelerator.is_main_process else nullcontext()
    with lock, deferred() as request, computing(backbone, params, device):
        progress = checkpoints.restore(accelerator)
        pause = Pause(accelerator, objective, checkpoints, request)
        while progress.epoch < params.epochs:
            keys.epoch = progress.epoch
            objective.train()
            shown = tqdm(
                remaining(batches, progress.step),
                f"epoch {progress.epoch + 1}/{params.epochs}",
                total=len(batches),
                initial=progress.step,
                # None: a line of progress on a terminal only.
                disable=None if accelerator.is_main_process else True,
            )
            run_epoch(
                accelerator, objective, optimizer, shown, progress, keys.weight, params, pause
            )
            module = accelerator.unwrap_model(objective)
            progress.end_epoch(watched(module, watch, progress.epoch))
            scheduler.step()
            pause.after_epoch(progress)
    return progress.history


def watched(objective: nn.Module, watch: Watch, epoch: int) -> dict[str, float]:
    """Return what `watch` sees of the objective; the training goes on as if nobody had looked."""
    objective.eval()
    # A loader draws a seed from the generator that dropout draws from.
    with torch.random.fork_rng(devices=[]):
        return watch(objective, epoch)


def remaining(batches: DataLoader[Any], done: int) -> Iterator[Any]:
    """Yield the batches of an epoch but for the first `done`, which are not made."""
    if not done:
        yield from batches
        return
    rest = iter(skip_first_batches(batches, done))
    # The seed that a loader draws for its processes was drawn when the epoch began.
    with torch.random.fork_rng(devices=[]):
        following = list(islice(rest, 1))
    yield from chain(following, rest)


def run_epoch(
    accelerator: Accelerator,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Any]],
    progress: Progress,
    weight: Callable[[int], float],
    params: TrainParams,
    pause: Pause,
) -> None:
    """Take one step per batch; note the loss terms and their sum `loss`.

    Args:
        weight: step, from 0 -> what this process's losses count in the mean over the processes.
    """
    steps = Accumulation(accelerator, objective, optimizer)
    for images, targets in batches:
        terms = steps.gradients(images, targets, progress.epoch, weight(progress.step))
        accelerator.clip_grad_norm_(objective.parameters(), params.max_gradient_norm)
        optimizer.step()
        progress.add(terms)
        pause.after_step(progress)
    pause.after_steps(progress)


def learning_rates(objective: nn.Module, params: TrainParams) -> list[dict[str, object]]:
    """Return four parameter groups: weights and biases of the backbone, then of added layers.

    Biases, those of batch normalisation too, learn at `bias_rate` times the rate of the weights.
    """
    backbone = set(objective.get_submodule("network.backbone").parameters())
    learning = [(name, p) for name, p in objective.named_parameters() if p.requires_grad]

    def group(own: bool, bias: bool) -> list[nn.Parameter]:
        return [p for n, p in learning if (p in backbone, n.endswith("bias")) == (own, bias)]

    rates = ((True, params.learning_rate), (False, params.added_learning_rate))
    factors = ((False, 1.0), (True, params.bias_rate))
    return [
        {"params": group(own, bias), "lr": rate * factor}
        for own, rate in rates
        for bias, factor in factors
    ]
