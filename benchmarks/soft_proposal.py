"""Time and memory of the Soft Proposal beside what it is made of and what it replaces.

    python -m benchmarks.soft_proposal

For maps of 14 and 28 cells a side and 512 and 1024 channels it times, in turns:

- the batched product U U^T of all cells, the least that any distances between them cost;
- the closed form and the power solver of pipeline/methods/bases/spn/soft_proposal.py, as in the
  paper, and the closed form of the method `spn_corrected`: border-corrected and sharpened;
- the paper's Algorithm 1 as it is written: image by image, the difference of each pair of cells,
  all at once or cell by cell, and power iteration;

and a forward pass of VGG16 (torchvision, 224 px, random weights) on the same batch size. The
loops do one image a turn; their times are given for the whole batch. Features are rectified noise,
in the channels-last layout of the pipeline's training. Several processes take the turns, since what
a process has done before decides how its allocator serves it. Memory is the peak above that of the
features, each in a process of its own. On a GPU it uses the GPU's clock and memory counter, and
adds the time that reading the features once takes at the measured bandwidth.
"""

import argparse
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch
import torchvision
from torch import Tensor

from pipeline.methods.bases.spn.soft_proposal import SoftProposal
from pipeline.params import SpnParams, load
from stages import PARAMS

R = TypeVar("R")

BATCH = 16
SIDES = (14, 28)
CHANNELS = (512, 1024)
LARGE_SIDE, LARGE_BATCH = 56, 8
"""The map and the batch that memory is measured with."""
DIFFERENCES = 2**29
"""Elements beyond which the differences of all pairs are not held at once: 2 GiB of float32."""
CORRECTED = {"border_correction": True, "sharpness": 2.0}
"""What the corrected form is timed with, as `spn_corrected` has it."""
PAPERS_MS = 0.9
"""What SPN Sec. 1 gives for the Soft Proposal of an image, on a GPU of 2017."""

Readings = Mapping[str, Sequence[float]]
"""Seconds of each turn, by what was timed; those of the loops are of one image."""
Times = Mapping[tuple[int, int], Readings]
"""Readings by the side of the map and the number of channels."""


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="readings of each time in a process")
    parser.add_argument("--processes", type=int, default=5)
    given = parser.parse_args()
    params, device = load(PARAMS).spn, "cuda" if torch.cuda.is_available() else "cpu"
    own = partial(readings, params, given.turns, device)
    found, vgg16 = pooled([in_own_process(own) for _ in range(given.processes)])
    print(machine(), end="\n\n")
    print(time_table(found, vgg16), end="\n\n")
    memory = {
        (channels, name): in_own_process(partial(peak_bytes, channels, name, params, device))
        for channels, name in product(CHANNELS, PEAKS)
    }
    print(memory_table(memory))
    if device == "cuda":
        print(f"\n{bandwidth_table(found, bytes_per_second())}")


def readings(params: SpnParams, count: int, device: str) -> tuple[Times, list[float]]:
    """Return `count` readings of everything, and some of VGG16, in this process."""
    # First, as in training: it leaves the allocator of the CPU with memory to reuse.
    vgg16 = vgg16_seconds(max(2, count // 3), device)
    found = {
        (side, channels): turns(
            methods(noise(BATCH, channels, side, device), params), count, device
        )
        for side, channels in product(SIDES, CHANNELS)
    }
    return found, vgg16


def pooled(parts: Sequence[tuple[Times, list[float]]]) -> tuple[Times, list[float]]:
    """Return the readings of all processes as if they were of one."""
    first = parts[0][0]
    found = {
        size: {name: [t for own, _ in parts for t in own[size][name]] for name in first[size]}
        for size in first
    }
    return found, [t for _, vgg16 in parts for t in vgg16]


def methods(features: Tensor, params: SpnParams) -> dict[str, Callable[[], Tensor]]:
    """Return what is timed on features (B, K, H, W), by name; the loops do the first image."""
    cells = features.flatten(2).transpose(1, 2)
    loops = {
        name: partial(algorithm_1, features[0], params, distances)
        for name, distances in LOOPS.items()
        if distances is by_row or cells.shape[1] ** 2 * cells.shape[2] <= DIFFERENCES
    }
    return {
        "product U Uᵀ": lambda: torch.bmm(cells, cells.transpose(1, 2)),
        "closed form": partial(solver("stationary", params), features),
        "closed form, corrected": partial(
            solver("stationary", params.model_copy(update=CORRECTED)), features
        ),
        "power solver": partial(solver("power", params), features),
        **loops,
    }


def solver(name: str, params: SpnParams, through: bool = False) -> SoftProposal:
    """Return the Soft Proposal with a solver, and with or without a gradient through M."""
    update = {"solver": name, "differentiate_through_m": through}
    return SoftProposal(params.model_copy(update=update))


def algorithm_1(
    features: Tensor, params: SpnParams, distances: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return M (H, W) of one image (K, H, W) by the paper's Algorithm 1, as it is written."""
    _, height, width = features.shape
    cells = features.flatten(1).T.contiguous()
    place = torch.arange(len(cells), device=cells.device)
    places = torch.stack((place // width, place % width), 1)
    apart = (places[:, None] - places).square().sum(2)
    epsilon = SoftProposal(params).epsilon(height, width)
    walk = distances(cells) * torch.exp(-apart / (2 * epsilon**2))
    walk /= walk.sum(0)
    current = torch.full_like(cells[:, 0], 1 / len(cells))
    for _ in range(params.max_iterations):
        following = walk @ current
        following /= following.sum()
        moved = (following - current).norm()
        current = following
        if moved < params.tolerance:
            break
    return current.unflatten(0, (height, width))


def at_once(cells: Tensor) -> Tensor:
    """Return the distances (N, N) of cells (N, K) by all their differences, (N, N, K)."""
    return (cells[:, None] - cells).norm(dim=2)


def by_row(cells: Tensor) -> Tensor:
    """Return the same by the differences of one cell at a time, (N, K), which a cache can hold."""
    return torch.stack([(cell - cells).square().sum(1).sqrt() for cell in cells])


LOOPS = {"loop over images": at_once, "loop over images and cells": by_row}


def turns(
    work: Mapping[str, Callable[[], object]], count: int, device: str
) -> dict[str, list[float]]:
    """Return `count` readings of each piece of work, one of each in turn after one unmeasured."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(count + 1):
        for name, each in work.items():
            passed = seconds(each, device)
            if turn > 0:
                found[name].append(passed)
    return found


def seconds(work: Callable[[], object], device: str) -> float:
    """Return the time that `work` takes on the device."""
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1000
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def vgg16_seconds(count: int, device: str) -> list[float]:
    """Return readings of a forward pass of VGG16 on a batch."""
    network = torchvision.models.vgg16().to(device).eval()
    images = torch.rand(BATCH, 3, 224, 224, device=device)
    with torch.inference_mode():
        return turns({"vgg16": partial(network, images)}, count, device)["vgg16"]


def noise(batch: int, channels: int, side: int, device: str) -> Tensor:
    """Return rectified Gaussian features, made in place: their making leaves no peak of memory."""
    layout = torch.channels_last
    features = torch.empty(batch, channels, side, side, device=device, memory_format=layout)
    return features.normal_(generator=torch.Generator(device).manual_seed(0)).relu_()


def forward(features: Tensor, params: SpnParams) -> None:
    """Make M in closed form."""
    solver("stationary", params)(features)


def through(features: Tensor, params: SpnParams) -> None:
    """Make M in closed form, and its gradient with respect to the features."""
    maps = solver("stationary", params, through=True)(features.requires_grad_())
    maps.square().sum().backward()


def walk(features: Tensor, params: SpnParams) -> None:
    """Make M by the power solver."""
    solver("power", params)(features)


PEAKS: dict[str, Callable[[Tensor, SpnParams], None]] = {
    "closed form": forward,
    "closed form, and the gradient through M": through,
    "power solver": walk,
}


def peak_bytes(channels: int, name: str, params: SpnParams, device: str) -> int:
    """Return the peak of memory of PEAKS[name] on large maps, above that of the features."""
    PEAKS[name](noise(1, 8, 4, device), params)  # What is loaded once is not counted.
    features = noise(LARGE_BATCH, channels, LARGE_SIDE, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        PEAKS[name](features, params)
        return torch.cuda.max_memory_allocated() - before
    before = peak_resident_bytes()
    PEAKS[name](features, params)
    return peak_resident_bytes() - before


def peak_resident_bytes() -> int:
    """Return the most memory that this process has held, on Linux.

    getrusage would also count what its parent held when it started this process.
    """
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) * 1024


def in_own_process(work: Callable[[], R]) -> R:
    """Return what `work` returns in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
        return own.submit(work).result()


def bytes_per_second() -> float:
    """Return the GPU's bandwidth, read and written, when it copies 1 GiB."""
    source = torch.empty(2**28, device="cuda")
    target = torch.empty_like(source)
    work = {"copy": lambda: target.copy_(source)}
    return 2 * source.nbytes / median(turns(work, 10, "cuda")["copy"])


def time_table(found: Times, vgg16: Sequence[float]) -> str:
    """Return a Markdown table of the times of a batch, and their ratios."""
    lines = [
        f"| cells | K | batch of {BATCH} | median, ms | lowest – highest | × product "
        "| × closed form | % of VGG16 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (side, channels), readings in found.items():
        batches = {name: whole_batch(name, readings[name]) for name in readings}
        floor, closed = (median(batches[name]) for name in ("product U Uᵀ", "closed form"))
        for name, times in batches.items():
            middle = median(times)
            lines.append(
                f"| {side} × {side} | {channels} | {name} | {spread(times)} | "
                f"{middle / floor:.2f} | {middle / closed:.2f} | "
                f"{100 * middle / median(vgg16):.2f} |"
            )
    lines.append(f"| | | VGG16 forward, 224 px | {spread(vgg16)} | | | 100 |")
    return "\n".join(lines)


def whole_batch(name: str, times: Sequence[float]) -> list[float]:
    """Return times of a whole batch: the loops were timed on one image."""
    return [BATCH * each if name in LOOPS else each for each in times]


def spread(times: Sequence[float]) -> str:
    """Return the median and the range of times in seconds, as two cells in ms."""
    median_ms, lowest, highest = (1000 * each for each in (median(times), min(times), max(times)))
    return f"{median_ms:.2f} | {lowest:.2f} – {highest:.2f}"


def memory_table(peaks: Mapping[tuple[int, str], int]) -> str:
    """Return a Markdown table of peaks of memory, in bytes, by channels and what was run."""
    lines = [
        f"| K | {LARGE_SIDE} × {LARGE_SIDE} cells, batch of {LARGE_BATCH} | features, MiB "
        "| peak above them, MiB |",
        "|---|---|---|---|",
    ]
    for (channels, name), peak in peaks.items():
        features = 4 * LARGE_BATCH * channels * LARGE_SIDE**2
        lines.append(f"| {channels} | {name} | {features / 2**20:.0f} | {peak / 2**20:.0f} |")
    return "\n".join(lines)


def bandwidth_table(found: Times, bandwidth: float) -> str:
    """Return a Markdown table of the closed form against reading the features and the paper."""
    lines = [
        f"| cells | K | features read once at {bandwidth / 1e9:.0f} GB/s, ms | × that "
        f"| ms per image (paper: {PAPERS_MS}) |",
        "|---|---|---|---|---|",
    ]
    for (side, channels), readings in found.items():
        read = 4 * BATCH * channels * side**2 / bandwidth
        closed = median(readings["closed form"])
        lines.append(
            f"| {side} × {side} | {channels} | {1000 * read:.3f} | {closed / read:.1f} | "
            f"{1000 * closed / BATCH:.3f} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """Return versions, device and threads on one line."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return (
        f"{device}, {platform.system()}; {torch.get_num_threads()} CPU thread(s); "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}"
    )


if __name__ == "__main__":
    main()
