"""The clock of the evaluation adds up, and the stage that it measures is the pipeline's own."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.evaluate_share import PARTS, Clock, images_of, measure, row
from benchmarks.packing import table
from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.interface import WEIGHTS, Method
from pipeline.models.weights import save_weights
from pipeline.params import Params
from stages.paths import model_folder
from tests.parameters import changed


class Ticks:
    """A time that moves by `spend` alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


def test_a_part_does_not_count_what_runs_inside_it() -> None:
    ticks = Ticks()
    clock = Clock(ticks)
    forward = clock.timed("forward", ticks.spend)
    with clock.within("scoring"):
        ticks.spend(1)
        forward(10)
        ticks.spend(2)
    ticks.spend(4)
    with clock.within("rest"):
        ticks.spend(8)
    used = {part: seconds for part, seconds in clock.seconds.items() if seconds}
    assert used == {"scoring": 3, "forward": 10, "rest": 12}


def test_items_are_counted_while_they_are_made_and_not_while_they_are_used() -> None:
    ticks = Ticks()
    clock = Clock(ticks)

    def items() -> Iterator[int]:
        for number in range(3):
            ticks.spend(5)
            yield number

    with clock.within("writing"):
        for _ in clock.each("maps", items()):
            ticks.spend(1)
    assert (clock.seconds["maps"], clock.seconds["writing"]) == (15, 3)


@pytest.mark.parametrize("model", ["cam_multi", "spg"])
def test_every_part_of_the_stage_is_found(
    workspace: Path, quick: Params, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    few = changed(quick, evaluate__resamples=5)
    torch.manual_seed(0)
    network = registry.method(model).network(Backbone(few.backbone), 3, few)
    model_folder(model).mkdir(parents=True)
    save_weights(network, model_folder(model) / WEIGHTS)
    seconds = measure(model, few, time.time() - 2)
    assert set(seconds) == set(PARTS)
    assert all(own > 0 for own in seconds.values())
    assert seconds["start"] >= 2
    # In a temporary folder: the checkout's own outs are not touched.
    assert Path.cwd() == workspace
    assert not (workspace / "data/scores").exists()
    assert Method.trained.__module__ == Method.__module__


def test_the_table_gives_shares_of_the_wall_time(workspace: Path) -> None:
    seconds = dict.fromkeys(PARTS, 0.0) | {"forward": 7.5, "start": 2.5}
    line = row("spg", images_of("spg"), seconds)
    assert images_of("spg") == 8 and images_of("cam_multi") == 18
    assert (line["Wall, s"], line["forward, %"], line["start, %"]) == ("10.0", "75.0", "25.0")
    assert table([line]).splitlines()[-1].startswith("| spg | 8 | 10.0 | 75.0 | 0.0 |")
