"""Images per second and memory of training each network with each method, at the papers' sizes.

    python -m benchmarks.training_speed --networks vgg16 resnet50 --models spn_multi spg

Trains from random weights, with the pipeline's own loop, on the training images that stage
`preprocess` has packed; downloads nothing. Batch, size and layers are those of the papers' tables
(paper/settings.yaml). It prints a Markdown table, and the hours that the papers' tables would take.
"""

import argparse
import platform
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, cast, get_args

import timm
import torch
from torch import nn

from paper import cost, settings
from paper.experiment import Experiment, experiments
from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.networks.registry import NETWORKS
from pipeline.packed.pictures import ClassTargets
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, Precision, load
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.loop import train
from stages import PARAMS
from stages.paths import split_folder

TIMM_STRIDE = 16
"""Output stride of networks that are not the papers'."""
SLOW = {"learning_rate": 1e-6, "added_learning_rate": 1e-6}


class Repeated(Sequence[Record]):
    """The images of a packed split, over and over, up to `length` of them."""

    def __init__(self, split: PackedSplit, length: int) -> None:
        self.split, self.length = split, length
        self.task, self.classes = split.task, split.classes

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Record:  # type: ignore[override]
        return self.split[index % len(self.split)]


@dataclass(frozen=True)
class Speed:
    """What one network and method was measured at.

    Attributes:
        computing: the precision, and whether the backbone was compiled.
        rates: images per second of each window of steps.
        memory: peak bytes on the GPU; None on a CPU.
        step: FLOPs of a forward and backward pass of one image.
    """

    network: str
    model: str
    computing: str
    batch_size: int
    size: int
    rates: list[float]
    memory: int | None
    step: int

    @property
    def rate(self) -> float:
        """The median over the windows."""
        return median(self.rates)


def main() -> None:
    """Measure what is asked for and print the tables."""
    given = arguments()
    print(machine())
    speeds = []
    for network in given.networks:
        for model, precision, compiled in product(given.models, given.precisions, given.compiled):
            speed = measure(network, model, {"precision": precision, "compile": compiled}, given)
            speeds.append(speed)
            print(f"{network} {model} {speed.computing}: {speed.rate:.1f} images/s", flush=True)
    print(f"\n{speed_table(speeds)}\n\n{hours_table(speeds, load(PARAMS))}")


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--networks", nargs="+", default=["vgg16", "googlenet", "inception_v3", "resnet50"]
    )
    parser.add_argument("--models", nargs="+", default=["cam_multi", "spn_multi", "spg"])
    parser.add_argument("--precisions", nargs="+", choices=get_args(Precision), default=["fp32"])
    parser.add_argument(
        "--compile",
        dest="compiled",
        action="store_const",
        const=[False, True],
        default=[False],
        help="with torch.compile as well",
    )
    parser.add_argument("--steps", type=int, default=220, help="steps of each training")
    parser.add_argument("--warmup", type=int, default=20, help="steps not timed")
    parser.add_argument("--window", type=int, default=20, help="steps per reading")
    parser.add_argument("--batch-size", type=int, help="default: the paper's")
    parser.add_argument("--size", type=int, help="px; default: the paper's")
    given = parser.parse_args()
    if given.steps <= given.warmup + given.window:
        parser.error("--steps must exceed --warmup and one --window")
    return given


def measure(
    network: str, model: str, computing: Mapping[str, Any], given: argparse.Namespace
) -> Speed:
    """Train `model` on `network` for some steps, with `computing` in its schedule."""
    params = setting(network, model, load(PARAMS))
    size = given.size or params.input.size
    params = params.model_copy(update={"input": params.input.model_copy(update={"size": size})})
    batch_size = given.batch_size or cost.schedule(model, params).batch_size
    classes = class_count(model, params)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    starts = step_starts(model, params, computing, batch_size, given.steps, classes)
    return Speed(
        network=network,
        model=model,
        computing=computing["precision"] + ", compiled" * computing["compile"],
        batch_size=batch_size,
        size=size,
        rates=list(window_rates(starts[given.warmup :], given.window, batch_size)),
        memory=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        step=cost.step_flops(cost.meta_network(model, classes, params), cost.meta_image(params)),
    )


def setting(network: str, model: str, params: Params) -> Params:
    """Return the parameters of the first table with `model`, on `network`."""
    every = [e for e in all_experiments() if model in e.models]
    own = [e for e in every if e.values["backbone.name"][0] == network]
    applied = (own or every)[0].applied(params)
    stride = NETWORKS[network].stages[-1].stride if network in NETWORKS else TIMM_STRIDE
    update = {"name": network, "output_stride": stride}
    return applied.model_copy(update={"backbone": applied.backbone.model_copy(update=update)})


def all_experiments() -> Iterator[Experiment]:
    """Yield every experiment of the papers' tables."""
    found = settings.load()
    for table in found.tables:
        yield from experiments(found, table)


def class_count(model: str, params: Params) -> int:
    """Return the paper's number of classes on the single-label track, else the packed images'."""
    track = registry.MODELS[model].track
    if track == "single":
        return settings.load().data_sets[cost.data_set(model, params)].classes
    return len(PackedSplit(split_folder(track, "train")).classes)


def step_starts(
    model: str,
    params: Params,
    computing: Mapping[str, Any],
    batch_size: int,
    steps: int,
    classes: int,
) -> list[float]:
    """Return when each step began, in seconds; the loop waits for the device in each."""
    split = PackedSplit(split_folder(registry.MODELS[model].track, "train"))
    images = cast(PackedSplit, Repeated(split, steps * batch_size))
    # Neither rate nor loss changes the time of a step; random weights must only stay finite.
    update = {"epochs": 1, "batch_size": batch_size, "decay_epochs": [], **SLOW, **computing}
    schedule = cost.schedule(model, params).model_copy(update=update)
    method = registry.method(model)
    network = method.network(Backbone(params.backbone), classes, params)
    network.apply(keep_variance)
    module = method.objective(network, params)
    starts: list[float] = []
    module.register_forward_pre_hook(lambda *_: starts.append(perf_counter()))
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder) / "speed")
        targets = ClassTargets(images)
        train(module, images, params.input, schedule, params.seed, checkpoints, targets)
    return starts


def keep_variance(module: nn.Module) -> None:
    """Give a convolution weights that keep activations finite without running statistics."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def window_rates(starts: Sequence[float], window: int, batch_size: int) -> Iterator[float]:
    """Yield the images per second of each whole window of steps."""
    for first in range(0, len(starts) - window, window):
        yield window * batch_size / (starts[first + window] - starts[first])


def speed_table(speeds: Iterable[Speed]) -> str:
    """Return a Markdown table of what was measured."""
    lines = [
        "| network | method | computing | batch | px | images/s | lowest – highest | TFLOP/s "
        "| peak memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for speed in speeds:
        memory = "CPU" if speed.memory is None else f"{speed.memory / 2**30:.1f} GiB"
        lines.append(
            f"| {speed.network} | {speed.model} | {speed.computing} | {speed.batch_size} | "
            f"{speed.size} | {speed.rate:.1f} | {min(speed.rates):.1f} – {max(speed.rates):.1f} | "
            f"{speed.rate * speed.step / 1e12:.2f} | {memory} |"
        )
    return "\n".join(lines)


def hours_table(speeds: Sequence[Speed], params: Params) -> str:
    """Return a Markdown table of the hours of training that the measured rates make of each run.

    Rates in another precision than fp32, compiled or at another size than the run's are left out;
    SPG's ablations count at its full rate.
    """
    data_sets = settings.load().data_sets
    rates = {
        (speed.network, speed.model, speed.size): speed.rate
        for speed in speeds
        if speed.computing == "fp32"
    }
    lines = ["| run | method | images | epochs | hours of training |", "|---|---|---|---|---|"]
    for experiment in all_experiments():
        applied = experiment.applied(params)
        for model in experiment.models:
            rate = rates.get((applied.backbone.name, model, applied.input.size))
            if rate:
                images = data_sets[cost.data_set(model, applied)].train
                epochs = cost.schedule(model, applied).epochs
                hours = images * epochs / rate / 3600
                lines.append(
                    f"| {experiment.name} | {model} | {images:,} | {epochs} | {hours:,.1f} |"
                )
    return "\n".join(lines)


def machine() -> str:
    """Return versions and device on one line."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return (
        f"{device}; Python {platform.python_version()}, torch {torch.__version__}, "
        f"timm {timm.__version__}"
    )


if __name__ == "__main__":
    main()
