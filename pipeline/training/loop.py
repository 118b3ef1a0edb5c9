"""The one training loop."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR
from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.models.device import prepare_cpu
from pipeline.packed.pictures import Annotate
from pipeline.packed.store import PackedSplit
from pipeline.params import InputParams, TrainParams
from pipeline.training.batches import training_batches
from pipeline.training.checkpoints import Checkpoints, History

Watch = Callable[[nn.Module, int], dict[str, float]]
"""The objective, in evaluation mode, and the epoch from 0 -> figures by name."""


def unwatched(objective: nn.Module, epoch: int) -> dict[str, float]:
    """Return no figures."""
    return {}


class NonFiniteLoss(InputError):
    """The loss, or a weight, became NaN or infinite."""


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
        params: the schedule; `batch_size` is global, shared out over the processes.
        checkpoints: where an interrupted training resumes from, and saves to after each epoch;
            the caller removes them once the result is safe.
        targets: gives what the objective learns from, for each record of `split`.
        watch: gives further figures for the history after each epoch.

    Raises:
        NonFiniteLoss: names the epoch, the step and the last good checkpoint.
    """
    set_seed(seed)
    prepare_cpu()
    # SPG's branches take no part in the warm-up.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(kwargs_handlers=[unused])
    batch_size = params.batch_size // accelerator.num_processes
    loader, keys = training_batches(split, images, seed, batch_size, targets)
    optimizer = SGD(
        learning_rates(objective, params),
        momentum=params.momentum,
        weight_decay=params.weight_decay,
        nesterov=params.nesterov,
    )
    scheduler = MultiStepLR(optimizer, params.decay_epochs, params.decay_factor)
    objective = objective.to(memory_format=torch.channels_last)
    objective, optimizer, batches = accelerator.prepare(objective, optimizer, loader)
    accelerator.register_for_checkpointing(scheduler)
    # One lock for all the processes of a training.
    with checkpoints.locked() if accelerator.is_main_process else nullcontext():
        first, history = checkpoints.restore(accelerator)
        for epoch in range(first, params.epochs):
            keys.epoch = epoch
            objective.train()
            progress = tqdm(
                batches,
                f"epoch {epoch + 1}/{params.epochs}",
                # None: a line of progress on a terminal only.
                disable=None if accelerator.is_main_process else True,
            )
            losses = run_epoch(
                accelerator, objective, optimizer, progress, epoch, params, checkpoints
            )
            if not all(parameter.isfinite().all() for parameter in objective.parameters()):
                raise NonFiniteLoss(_report(epoch, len(batches), {}, checkpoints))
            history.append(losses | watched(accelerator.unwrap_model(objective), watch, epoch))
            scheduler.step()
            checkpoints.save(accelerator, history, epoch)
    return history


def watched(objective: nn.Module, watch: Watch, epoch: int) -> dict[str, float]:
    """Return what `watch` sees of the objective; the training goes on as if nobody had looked."""
    objective.eval()
    # A loader draws a seed from the generator that dropout draws from.
    with torch.random.fork_rng(devices=[]):
        return watch(objective, epoch)


def run_epoch(
    accelerator: Accelerator,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Any]],
    epoch: int,
    params: TrainParams,
    checkpoints: Checkpoints,
) -> dict[str, float]:
    """Take one step per batch; return the mean loss terms, their sum `loss`, and the epoch."""
    values = defaultdict(list)
    for step, (images, targets) in enumerate(batches):
        terms = objective(images, targets, epoch)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise NonFiniteLoss(_report(epoch, step, terms, checkpoints))
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(objective.parameters(), params.max_gradient_norm)
        optimizer.step()
        for name, term in {"loss": loss, **terms}.items():
            values[name].append(accelerator.reduce(term.detach(), reduction="mean").item())
    return {"epoch": epoch + 1.0} | {name: float(np.mean(v)) for name, v in values.items()}


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


def _report(epoch: int, step: int, terms: dict[str, Tensor], checkpoints: Checkpoints) -> str:
    values = ", ".join(f"{name} {term.item():.4g}" for name, term in terms.items()) or "weights"
    last = checkpoints.last.name if checkpoints.last else "none"
    return (
        f"the loss is not finite at epoch {epoch + 1}, step {step + 1} ({values}); last good "
        f"checkpoint: {last} in {checkpoints.folder}; lower the learning rates and run again"
    )
