"""What an experiment will do and take, in words, without doing any of it."""

import shlex
from collections.abc import Iterator

from paper import cost
from paper.cost import Cost
from paper.experiment import Experiment, differences
from paper.settings import Settings
from pipeline.params import Params
from pipeline.reporting.catalogue import TABLES
from pipeline.reporting.tables import heading

TFLOPS = 10.0
"""Assumed sustained rate, TFLOP/s: half the peak of an A100 in float32, 19.5."""


def plan(chosen: tuple[Experiment, ...], settings: Settings, params: Params, tflops: float) -> str:
    """Return what each of the experiments of one table does, needs and takes."""
    table = next(table for table in TABLES if table.id == chosen[0].table)
    costs = [list(cost.costs(e, settings, e.applied(params))) for e in chosen]
    parts = [
        "\n".join(_experiment(e, settings, params, own, tflops))
        for e, own in zip(chosen, costs, strict=True)
    ]
    notes = [f"- {note}" for note in settings.tables[table.id].notes]
    hours = sum(each.hours(tflops) for own in costs for each in own)
    total = f"All of it: about {hours:,.1f} GPU hours (estimate)."
    return "\n\n".join([heading(table), *parts, "\n".join(["Notes:", *notes]), total])


def _experiment(
    experiment: Experiment, settings: Settings, params: Params, costs: list[Cost], tflops: float
) -> Iterator[str]:
    after = experiment.applied(params)
    yield f"== {experiment.name} =="
    yield "Command:"
    yield f"  {shlex.join(experiment.command())}"
    yield "Parameters that differ from params.yaml:"
    for key, old, new in differences(params, after):
        yield f"  {key}: {old} -> {new}  [{experiment.values[key][1]}]"
    yield "Data sets:"
    yield from _data_sets(experiment, settings, after)
    yield f"Weights: {_weights(after)}"
    yield "Disk space (estimate):"
    yield from _disk(experiment, settings, after, costs)
    yield f"GPU time (estimate at a sustained {tflops:g} TFLOP/s; TFLOPS=... for another):"
    yield from (_time(each, after, settings, tflops) for each in costs)


def _data_sets(experiment: Experiment, settings: Settings, params: Params) -> Iterator[str]:
    for distribution in cost.distributions(experiment, params):
        images = settings.data_sets[distribution.name]
        yield (
            f"  {distribution.name}: {images.train:,} training and {images.test:,} test images, "
            f"{images.classes:,} classes; {distribution.note}"
        )
        for archive in distribution.archives:
            size = _bytes(archive.size) if archive.size else "size not published"
            source = "downloaded" if archive.mirrors else "to be fetched by you, after registration"
            yield f"    {archive.name}: {size}, {source}"


def _weights(params: Params) -> str:
    """Where the first weights come from."""
    name = params.backbone.name
    if params.pretrain.source == "file":
        given = params.pretrain.file or "not named yet: set pretrain.file in params.yaml"
        return f"{name}, from a file of yours, since none are published for torch; {given}"
    return f"{name}, the published ImageNet weights, fetched by timm or torchvision"


def _disk(
    experiment: Experiment, settings: Settings, params: Params, costs: list[Cost]
) -> Iterator[str]:
    space = cost.disk(experiment, settings, params, costs)
    yield f"  download {_bytes(space.download)}, unpacked at most {_bytes(space.unpacked)}"
    yield (
        f"  packed {_bytes(space.packed)}: images x {params.data.short_side} px squared x 4/3 "
        f"x {cost.PACKED_BYTES_PER_PIXEL} bytes per pixel"
    )
    yield f"  predictions {_bytes(space.predictions)}: images x kept maps x cells x 4 bytes"
    yield "  Packed data and predictions once more in DVC's cache, unless the disk has reflinks."


def _time(each: Cost, params: Params, settings: Settings, tflops: float) -> str:
    images = settings.data_sets[cost.data_set(each.model, params)]
    epochs = cost.schedule(each.model, params).epochs
    return (
        f"  {each.model}: {each.hours(tflops):,.1f} h = ({each.step / 1e9:,.1f} GFLOP forward and "
        f"backward x {images.train:,} images x {epochs} epochs, and evaluation "
        f"{each.evaluation / 1e15:,.1f} PFLOP) / rate"
    )


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
