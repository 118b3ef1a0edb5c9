"""What the runs of a table will do and take, in words, without doing any of it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from paper import cost
from paper.cost import Cost
from paper.experiment import Experiment, differences
from paper.settings import Settings
from pipeline.params import Params
from pipeline.reporting.catalogue import TABLES
from pipeline.reporting.tables import heading

TFLOPS = 10.0
"""Assumed sustained rate, TFLOP/s: half the peak of an A100 in float32, 19.5."""


@dataclass(frozen=True)
class PlannedRun:
    """A run, the parameters that it makes of params.yaml, and the cost of its models."""

    experiment: Experiment
    params: Params
    costs: list[Cost]


def plan(chosen: tuple[Experiment, ...], settings: Settings, params: Params, tflops: float) -> str:
    """Return what each of the experiments of one table does, and what all of them take."""
    table = next(table for table in TABLES if table.id == chosen[0].table)
    runs = [_planned(experiment, settings, params) for experiment in chosen]
    first = runs[0]
    bases = [("params.yaml", params), *[(first.experiment.name, first.params)] * (len(runs) - 1)]
    parts = [
        heading(table),
        *(
            "\n".join([*_changes(run, *base), *_time(run, settings, tflops)])
            for run, base in zip(runs, bases, strict=True)
        ),
        "\n".join(_data_sets_and_disk(runs, settings)),
        "\n".join(["Notes:", *(f"- {note}" for note in settings.tables[table.id].notes)]),
        f"All of it: about {_hours(sum(_gpu_hours(run, tflops) for run in runs))} GPU hours "
        "(estimate).",
    ]
    return "\n\n".join(parts)


def _planned(experiment: Experiment, settings: Settings, params: Params) -> PlannedRun:
    applied = experiment.applied(params)
    return PlannedRun(experiment, applied, list(cost.costs(experiment, settings, applied)))


def _gpu_hours(run: PlannedRun, tflops: float) -> float:
    return sum(each.hours(tflops) for each in run.costs)


def _changes(run: PlannedRun, base: str, before: Params) -> Iterator[str]:
    """The run's command and weights, and its own values that differ from those of `base`."""
    yield f"== {run.experiment.name} =="
    yield "Command:"
    yield f"  {shlex.join(run.experiment.command())}"
    yield f"Parameters that differ from {base}:"
    for key, old, new in differences(before, run.params):
        if key in run.experiment.values:
            yield f"  {key}: {old} -> {new}  [{run.experiment.values[key][1]}]"
    yield f"Weights: {_weights(run.params)}"


def _weights(params: Params) -> str:
    """Where the first weights come from."""
    name = params.backbone.name
    if params.pretrain.source == "file":
        given = params.pretrain.file or "not named yet: set pretrain.file in params.yaml"
        return f"{name}, from a file of yours, since none are published for torch; {given}"
    size = cost.weights_bytes(name) / 1e6
    return f"{name}, the published ImageNet weights: {size:,.0f} MB, downloaded"


def _time(run: PlannedRun, settings: Settings, tflops: float) -> Iterator[str]:
    if run.experiment.further:
        yield f"Besides, in no estimate: {', '.join(run.experiment.further)}"
    yield f"GPU time (estimate at a sustained {tflops:g} TFLOP/s; TFLOPS=... for another):"
    for each in run.costs:
        images = settings.data_sets[cost.data_set(each.model, run.params)]
        epochs = cost.schedule(each.model, run.params).epochs
        yield (
            f"  {each.model}: {_hours(each.hours(tflops))} h = ({each.step / 1e9:,.1f} GFLOP "
            f"forward and backward x {images.train:,} images x {epochs} epochs, and evaluation "
            f"{each.evaluation / 1e12:,.0f} TFLOP) / rate"
        )


def _data_sets_and_disk(runs: list[PlannedRun], settings: Settings) -> Iterator[str]:
    """What all the runs need together: they share data sets."""
    found = [d for run in runs for d in cost.distributions(run.experiment.models, run.params)]
    yield "Data sets (README tells how to name a copy of yours):"
    for distribution in dict.fromkeys(found):
        images = settings.data_sets[distribution.name]
        yield (
            f"  {distribution.name}: {images.train:,} training and {images.test:,} test images, "
            f"{images.classes:,} classes; {distribution.note}"
        )
        for archive in distribution.archives:
            size = _bytes(archive.size) if archive.size else "size not published"
            source = "downloaded" if archive.mirrors else "to be fetched by you, after registration"
            yield f"    {archive.name}: {size}, {source}"
    short_side = runs[0].params.data.short_side
    space = cost.disk(found, settings, short_side, [each for run in runs for each in run.costs])
    yield f"Disk space (estimate): at most {_bytes(space.most)}"
    yield f"  download {_bytes(space.download)}, unpacked at most {_bytes(space.unpacked)}"
    yield (
        f"  packed {_bytes(space.packed)}: images x {short_side} px squared x 4/3 "
        f"x {cost.PACKED_BYTES_PER_PIXEL} bytes per pixel"
    )
    yield f"  predictions {_bytes(space.predictions)}: images x kept maps x cells x 4 bytes"
    yield "  DVC's cache shares the last two by links; without any they take the same once more."


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 1 else f"{hours:.2f}"


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
