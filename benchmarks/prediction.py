"""Speed and memory of `pipeline.predict`, beside the bare network on decoded pictures.

    python -m benchmarks.prediction --model data/models/spg --pictures 5120 --rounds 4

Speed: in turns, the command on a folder of JPEG files and the network alone on the same pictures,
decoded and warped beforehand; the ratio of each pair is told, so that other load on the machine
weighs on both. That of the processor time is told as well, which other load hardly changes: where
the network keeps all cores busy the command cannot be faster than it says. Memory: the peak of
the command and of the largest of its other processes, for some numbers of files. These are 320 x
240 px, smoothed noise under fine noise; a few hundred are made and hard-linked to as many names as
are asked for.
"""

import argparse
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
import torch
from PIL import Image

from pipeline import predict as command
from pipeline.models.device import compute_device
from pipeline.models.interface import Localizer
from pipeline.prediction.model import BATCH_SIZE, TrainedModel, load
from pipeline.prediction.pictures import Pictures
from pipeline.processes import granted_cores

SIZE = (320, 240)
FILES = 400


def main() -> None:
    """Measure and print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", type=Path, required=True)
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--pictures", type=int, default=320, help="of a round")
    arguments.add_argument("--files", nargs="*", type=int, default=[1000, 10_000])
    arguments.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    logging.getLogger("timm").setLevel(logging.ERROR)
    if given.peak_of:
        run_command(load(given.model), given.peak_of, given.peak_of.with_name("out"))
        print(json.dumps(peaks()))
        return
    with tempfile.TemporaryDirectory() as name:
        photographs = draw_photographs(Path(name))
        print(speed(given.model, photographs, given.rounds, given.pictures))
        for count in given.files:
            print(memory(given.model, photographs, count))
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "pillow", "numpy"))
    print(
        f"Python {platform.python_version()}, {packages}; {granted_cores()} CPU(s), "
        f"{compute_device()}, {torch.get_num_threads()} thread(s) of torch, "
        f"{platform.system()} {platform.machine()}."
    )


def draw_photographs(folder: Path) -> list[Path]:
    """Write the JPEG files: coarse noise, enlarged, under fine noise."""
    paths = []
    for number in range(FILES):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        smooth = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), np.float32)
        pixels = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=90)
    return paths


def linked(photographs: Sequence[Path], folder: Path, count: int) -> Path:
    """Make a folder of `count` names for the photographs; return it."""
    folder.mkdir()
    for number in range(count):
        os.link(photographs[number % len(photographs)], folder / f"{number:07}.jpg")
    return folder


def run_command(model: TrainedModel, folder: Path, out: Path) -> None:
    """Do what `python -m pipeline.predict` does once the model is loaded."""
    words = [str(folder), "--model", "loaded", "--out", str(out)]
    if command.write(model, command.arguments().parse_args(words)):
        sys.exit("the benchmark's own pictures cannot be read")


def speed(path: Path, photographs: Sequence[Path], rounds: int, pictures: int) -> str:
    """Return the speed of both in turns, images/s, and the median of their ratios."""
    model = load(path)
    folder = linked(photographs, photographs[0].with_name("round"), pictures)
    out = folder.with_name("round-out")
    own = Pictures(sorted(folder.iterdir()), model.input.size, model.description.short_side)
    decoded = torch.stack([own[index].image for index in range(pictures)])
    network, whole = [], []
    for number in range(rounds + 1):
        both = timed(lambda: bare(model, decoded)), timed(lambda: run_command(model, folder, out))
        shutil.rmtree(out)
        if number:  # the first round compiles and fills caches
            network.append(both[0])
            whole.append(both[1])
    wall, processor = (
        sorted(one[kind] / other[kind] for one, other in zip(network, whole, strict=True))
        for kind in (0, 1)
    )
    alone, all_of_it = (pictures / median(took for took, _ in each) for each in (network, whole))
    return (
        f"{model.description.model}, {rounds} rounds of {pictures} pictures: network alone "
        f"{alone:.1f} images/s, predict {all_of_it:.1f} images/s; ratio {median(wall):.3f} "
        f"(median; {wall[0]:.3f} to {wall[-1]:.3f}), of processor time {median(processor):.3f} "
        f"({processor[0]:.3f} to {processor[-1]:.3f})"
    )


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds that `work` takes, and those of processors, its processes included."""
    start, before = time.perf_counter(), sum(os.times()[:4])
    work()
    return time.perf_counter() - start, sum(os.times()[:4]) - before


@torch.inference_mode()
def bare(model: TrainedModel, decoded: torch.Tensor) -> None:
    """Let the network look at decoded pictures."""
    device = compute_device()
    network = cast(Localizer, model.network.to(device))
    for batch in decoded.split(BATCH_SIZE):
        model.probabilities(network.localize(batch.to(device)).logits).cpu()


def memory(model: Path, photographs: Sequence[Path], count: int) -> str:
    """Return the peak of memory of the command on `count` files, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=photographs[0].parent) as name:
        folder = linked(photographs, Path(name) / "files", count)
        words = ["-m", "benchmarks.prediction", "--model", str(model), "--peak-of", str(folder)]
        start = time.perf_counter()
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
    own, largest = json.loads(done.stdout.splitlines()[-1])
    return (
        f"{count:,} files: peak {own:.0f} MiB, largest of its processes {largest:.0f} MiB, "
        f"{seconds:.0f} s"
    )


def peaks() -> tuple[float, float]:
    """Return the peaks of this process and of its largest child, MiB."""
    import resource

    # Not getrusage: it begins with the peak of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return int(status["VmHWM"].split()[0]) / 1024, largest / 1024  # both count KiB


if __name__ == "__main__":
    main()
