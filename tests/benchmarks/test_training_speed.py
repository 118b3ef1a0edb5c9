"""The speed of training is measured on the pipeline's own loop."""

import sys
from pathlib import Path

import pytest

from benchmarks import training_speed
from benchmarks.training_speed import Repeated, Speed, hours_table, speed_table, window_rates
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from stages.paths import split_folder
from tests.conftest import REPOSITORY


def speed(**changed: object) -> Speed:
    values = {
        "network": "vgg16",
        "model": "spn_multi",
        "computing": "fp32",
        "batch_size": 16,
        "size": 224,
        "rates": [90.0, 100.0, 120.0],
        "memory": None,
        "step": 10**10,
    }
    return Speed(**(values | changed))


@pytest.mark.parametrize(("model", "precision"), [("spn_multi", "bf16"), ("spg", "fp32")])
def test_three_steps_are_measured(
    workspace: Path,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    model: str,
    precision: str,
) -> None:
    (workspace / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    words = "--networks test_efficientnet --steps 3 --warmup 0 --window 1 --size 64 --batch-size 2"
    chosen = ["--models", model, "--precisions", precision]
    monkeypatch.setattr(sys, "argv", ["training_speed", *words.split(), *chosen])
    training_speed.main()
    printed = capsys.readouterr().out
    assert f"| test_efficientnet | {model} | {precision} | 2 | 64 |" in printed
    assert printed.rstrip().endswith("|---|---|---|---|---|")  # No paper has that network.


def test_too_few_steps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["training_speed", "--steps", "30"])
    with pytest.raises(SystemExit):
        training_speed.arguments()


def test_windows_are_whole_and_rates_count_images() -> None:
    starts = [0.0, 1.0, 2.0, 4.0, 6.0, 7.0]
    assert list(window_rates(starts, window=2, batch_size=8)) == [8.0, 4.0]


def test_images_repeat_up_to_the_length(workspace: Path) -> None:
    split = PackedSplit(split_folder("multi", "train"))
    images = Repeated(split, 25)
    assert len(images) == 25
    assert images[10].id == images[20].id == split[0].id


def test_the_table_gives_median_spread_and_sustained_rate() -> None:
    line = speed_table([speed(memory=3 * 2**30)]).splitlines()[-1]
    assert line == "| vgg16 | spn_multi | fp32 | 16 | 224 | 100.0 | 90.0 – 120.0 | 1.00 | 3.0 GiB |"
    assert speed_table([speed()]).endswith("| CPU |")


def test_hours_are_images_times_epochs_over_the_measured_rate(params: Params) -> None:
    lines = hours_table([speed()], params).splitlines()
    assert "| spn-1-vgg16 | spn_multi | 5,011 | 20 | 0.3 |" in lines
    assert "| spn-3-coco2014 | spn_multi | 82,783 | 20 | 4.6 |" in lines
    assert not any("cam_multi" in line or "googlenet" in line for line in lines)


def test_a_rate_at_another_size_or_in_another_precision_gives_no_hours(params: Params) -> None:
    others = [speed(size=64), speed(computing="bf16"), speed(computing="fp32, compiled")]
    assert hours_table(others, params).splitlines()[2:] == []
