"""Time and memory of packing photographs, by their number.

    python -m benchmarks.packing --images 1000 10000 100000

The photographs are 500 x 375 JPEG files of smoothed noise, made before the clock starts. A data
set of any size reads these few files again and again, as the readers of real photographs do:
decoded, reduced to a short side of 256 px and encoded anew. Each size runs in a process of its own,
so that its peak of memory is its own. 100,000 packed images take 3 GB below --folder, and are
removed.
"""

import argparse
import platform
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.datasets import photograph
from pipeline.datasets.packing import pack
from pipeline.packed.record import Dataset, Record, Split
from pipeline.packed.store import PackedSplit
from pipeline.processes import granted_cores, workers

SIZE = (500, 375)
FILES = 64
SHORT_SIDE = 256
READS = 1000


def main() -> None:
    """Measure every size and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--images", nargs="+", type=int, default=[1000, 10_000, 100_000])
    arguments.add_argument("--workers", type=int, default=workers())
    arguments.add_argument("--folder", type=Path, help="where to write; else the system's choice")
    given = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        draw_photographs(Path(name))
        for images in given.images:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
                rows.append(own.submit(measure, Path(name), images, given.workers).result())
    print(table(rows))
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "pillow", "numpy"))
    print(
        f"\nPython {platform.python_version()}, {packages}; {given.workers} worker(s) on "
        f"{granted_cores()} CPU(s), {platform.system()} {platform.machine()}."
    )


def draw_photographs(folder: Path) -> None:
    """Write the JPEG files: coarse noise, enlarged, under fine noise."""
    for number in range(FILES):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
        smooth = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), np.float32)
        pixels = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)


def read(folder: Path, numbers: Sequence[int]) -> Iterator[Record]:
    """The photographs of these numbers, each with one object."""
    for number in numbers:
        image, width, height = photograph.load(folder / f"{number % FILES}.jpg", SHORT_SIDE)
        yield Record(
            id=f"{number:09}",
            image=image,
            width=width,
            height=height,
            labels=(0,),
            boxes_xyxy=np.array([[10, 10, 200, 300]], np.float32),
            box_labels=np.zeros(1, np.int64),
            difficult=np.zeros(1, bool),
        )


def measure(folder: Path, images: int, workers: int) -> dict[str, str]:
    """Pack `images` photographs and read some of them; return a row of the table."""
    split = Split(partial(read, folder), range(images))
    dataset = Dataset("photographs", "single", ("noise",), {"train": split})
    with tempfile.TemporaryDirectory(dir=folder) as name:
        target = Path(name) / "single"
        packing, _ = timed(lambda: pack(dataset, target, "", workers))
        parent, worker = (
            resource.getrusage(who).ru_maxrss / 1024  # Linux counts KiB
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        opening, packed = timed(lambda: PackedSplit(target / "train"))
        chosen = random.Random(0).choices(range(images), k=READS)
        reading, _ = timed(lambda: [len(packed[index].image) for index in chosen])
        size = sum(path.stat().st_size for path in target.rglob("*.arrow"))
    return {
        "Images": f"{images:,}",
        "Time, s": f"{packing:.1f}",
        "Per image, ms": f"{1000 * packing / images:.2f}",
        "Peak of the parent, MiB": f"{parent:.0f}",
        "Peak of the largest worker, MiB": f"{worker:.0f}",
        "Packed, MB": f"{size / 1e6:.0f}",
        "Opening, ms": f"{1000 * opening:.1f}",
        "A random record, ms": f"{1000 * reading / READS:.3f}",
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that `work` takes, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def table(rows: list[dict[str, str]]) -> str:
    """Return `rows` in Markdown."""
    lines = [list(rows[0]), ["---:"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
