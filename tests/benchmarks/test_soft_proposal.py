"""The pieces that are timed side by side compute the same, and their figures are printed."""

import sys

import pytest
import torch

from benchmarks import soft_proposal
from benchmarks.soft_proposal import (
    LOOPS,
    PEAKS,
    algorithm_1,
    at_once,
    bandwidth_table,
    in_own_process,
    memory_table,
    methods,
    noise,
    peak_resident_bytes,
    time_table,
)
from pipeline.methods.bases.spn.soft_proposal import SoftProposal
from pipeline.params import Params
from tests.parameters import changed

READINGS = {
    "product U Uᵀ": [0.004, 0.002, 0.006],
    "closed form": [0.005],
    "closed form, corrected": [0.0051],
    "power solver": [0.02],
    "loop over images": [0.05],
    "loop over images and cells": [0.03],
}


def test_the_timed_pieces_compute_the_same_map(params: Params) -> None:
    features = noise(3, 8, 6, "cpu")
    spn = params.spn.model_copy(update={"max_iterations": 200, "tolerance": 0.0})
    results = {name: work() for name, work in methods(features, spn).items()}
    torch.testing.assert_close(results["power solver"], results["closed form"])
    corrected = changed(params, spn__border_correction=True, spn__sharpness=2.0).spn
    torch.testing.assert_close(results["closed form, corrected"], SoftProposal(corrected)(features))
    for loop in LOOPS:
        torch.testing.assert_close(results[loop], results["closed form"][0])
    cells = features.flatten(2)
    torch.testing.assert_close(results["product U Uᵀ"], cells.transpose(1, 2) @ cells)


def test_the_loop_ends_where_the_power_solver_ends(params: Params) -> None:
    features = noise(1, 8, 6, "cpu")
    spn = params.spn.model_copy(update={"max_iterations": 3, "tolerance": 0.0})
    expected = methods(features, spn)["power solver"]()
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(algorithm_1(features[0], spn, at_once), expected[0])


def test_differences_too_many_to_hold_are_not_timed(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soft_proposal, "DIFFERENCES", 36**2 * 8)
    assert "loop over images" in methods(noise(1, 8, 6, "cpu"), params.spn)
    assert "loop over images" not in methods(noise(1, 9, 6, "cpu"), params.spn)


def held_for_a_moment() -> int:
    before = peak_resident_bytes()
    torch.ones(2**24)
    return peak_resident_bytes() - before


def test_the_peak_of_memory_is_that_of_the_process_itself() -> None:
    assert in_own_process(held_for_a_moment) == pytest.approx(2**26, rel=0.05)


def test_ratios_are_of_medians_and_a_loop_counts_for_the_batch() -> None:
    lines = time_table({(14, 512): READINGS}, [0.5]).splitlines()
    assert "| 14 × 14 | 512 | product U Uᵀ | 4.00 | 2.00 – 6.00 | 1.00 | 0.80 | 0.80 |" in lines
    assert "| 14 × 14 | 512 | closed form | 5.00 | 5.00 – 5.00 | 1.25 | 1.00 | 1.00 |" in lines
    assert any(
        "| loop over images | 800.00 | 800.00 – 800.00 | 200.00 | 160.00 |" in x for x in lines
    )


def test_memory_stands_beside_that_of_the_features() -> None:
    assert memory_table({(512, "closed form"): 2**26}).endswith("| 512 | closed form | 49 | 64 |")


def test_bandwidth_is_that_of_one_reading() -> None:
    line = bandwidth_table({(14, 512): READINGS}, 6.422528e9).splitlines()[-1]
    assert line == "| 14 × 14 | 512 | 1.000 | 5.0 | 0.312 |"


def test_all_is_measured_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"SIDES": (2, 3), "CHANNELS": (4,), "BATCH": 2, "LARGE_SIDE": 4, "LARGE_BATCH": 1}
    for name, value in small.items():
        monkeypatch.setattr(soft_proposal, name, value)
    monkeypatch.setattr(soft_proposal, "vgg16_seconds", lambda count, device: [1.0] * count)
    monkeypatch.setattr(soft_proposal, "in_own_process", lambda work: work())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["soft_proposal", "--turns", "1"])
    soft_proposal.main()
    printed = capsys.readouterr().out
    for side in (2, 3):
        for name in READINGS:
            assert f"| {side} × {side} | 4 | {name} |" in printed
    for name in PEAKS:
        assert f"| 4 | {name} |" in printed
    assert f"torch {torch.__version__}" in printed
