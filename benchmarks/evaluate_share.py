"""Where the time of stage `evaluate` goes: the network's forward pass, and all else.

    python -m benchmarks.evaluate_share cam_multi spg

Evaluates networks that this checkout has trained, on the images that it has packed, in a temporary
folder and in a process of its own each. "pictures" is the time that the network waits for decoded
pictures: other processes decode them meanwhile. "start" is Python and its imports.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.metadata import version
from multiprocessing import get_context, get_start_method, set_start_method
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

import torch

from benchmarks.packing import table
from pipeline.evaluation import answers
from pipeline.evaluation.localization import inference
from pipeline.evaluation.metrics.bootstrap import Bootstrap
from pipeline.evaluation.protocol.scores import SCORED_SPLITS
from pipeline.methods import registry
from pipeline.models.interface import Method
from pipeline.packed.loading import loader
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, load
from pipeline.processes import granted_cores
from stages import PARAMS, evaluate
from stages.paths import split_folder

P = ParamSpec("P")
R = TypeVar("R")

PARTS = ("forward", "pictures", "maps", "writing", "scoring", "bootstrap", "rest", "start")
"""maps: from the device to predictions; rest: building the network, reading its weights."""


class Clock:
    """Seconds of each part of a run; a part does not count those that run inside it."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._now, self._parts, self._since = now, ["rest"], now()

    @contextmanager
    def within(self, part: str) -> Iterator[None]:
        """Count what happens inside to `part`."""
        self._lap()
        self._parts.append(part)
        try:
            yield
        finally:
            self._lap()
            self._parts.pop()

    def timed(self, part: str, work: Callable[P, R]) -> Callable[P, R]:
        """Return `work`, counted to `part`; what it started on a GPU too."""

        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.within(part):
                result = work(*args, **kwargs)
                if part == "forward" and torch.cuda.is_available():
                    torch.cuda.synchronize()
                return result

        return counted

    def each(self, part: str, items: Iterator[R]) -> Iterator[R]:
        """Yield `items`, the making of each counted to `part`."""
        following = self.timed(part, lambda: next(items, None))
        while (item := following()) is not None:
            yield item

    def _lap(self) -> None:
        now = self._now()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now


def main() -> None:
    """Measure every model and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("models", nargs="+", metavar="MODEL", choices=registry.MODELS)
    params = load(PARAMS)
    rows = []
    for model in arguments.parse_args().models:
        with ProcessPoolExecutor(1, get_context("spawn"), start_by, (get_start_method(),)) as own:
            seconds = own.submit(measure, model, params, time.time()).result()
        rows.append(row(model, images_of(model), seconds))
    print(table(rows))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(
        f"\nBackbone {params.backbone.name} at {params.input.size} px; Python "
        f"{platform.python_version()}, torch {version('torch')}, {torch.get_num_threads()} "
        f"thread(s) on {granted_cores()} CPU(s), {device}."
    )


def start_by(method: str) -> None:
    """Start processes that decode as in the stage: a spawned process would spawn its own."""
    set_start_method(method, force=True)


def measure(model: str, params: Params, started: float) -> dict[str, float]:
    """Return the seconds of each part of evaluating `model`; the process started at `started`."""
    start = time.time() - started
    checkout = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("data").mkdir()
            for name in ("packed", "models"):
                (Path("data") / name).symlink_to(checkout / "data" / name)
            clock = Clock()
            with patched(clock), clock.within("rest"):
                evaluate.evaluate(params, model)
        finally:
            os.chdir(checkout)
    return clock.seconds | {"start": start}


@contextmanager
def patched(clock: Clock) -> Iterator[None]:
    """Count the parts of stage `evaluate` while inside."""
    trained, predict = Method.trained, inference.predict

    def counted_network(*given: Any) -> torch.nn.Module:
        network = trained(*given)
        for name in ("localize", "forward"):
            setattr(network, name, clock.timed("forward", getattr(network, name)))
        return network

    def counted_loader(*given: Any) -> Iterator[Any]:
        return clock.each("pictures", iter(loader(*given)))

    patches: list[AbstractContextManager[Any]] = [
        patch.object(Method, "trained", counted_network),
        patch.object(inference, "loader", counted_loader),
        patch.object(answers, "predict", lambda *given: clock.each("maps", predict(*given))),
        *(
            patch.object(place, name, clock.timed(part, getattr(place, name)))
            for part, place, name in (
                ("writing", answers, "write_answers"),
                ("scoring", answers, "scores_of"),
                ("bootstrap", Bootstrap, "estimates"),
            )
        ),
    ]
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


def images_of(model: str) -> int:
    """Return how many images `model` is evaluated on."""
    track = registry.MODELS[model].track
    return sum(len(PackedSplit(split_folder(track, name))) for name in SCORED_SPLITS[track])


def row(model: str, images: int, seconds: dict[str, float]) -> dict[str, str]:
    """Return a row of the table: the wall time, and each part's share of it."""
    wall = sum(seconds.values())
    shares = {f"{part}, %": f"{100 * own / wall:.1f}" for part, own in seconds.items()}
    return {"Model": model, "Images": f"{images:,}", "Wall, s": f"{wall:.1f}"} | shares


if __name__ == "__main__":
    main()
