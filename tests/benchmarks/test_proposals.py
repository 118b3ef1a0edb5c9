"""The methods of SPN Table 1 are timed on the pipeline's own code, beside the paper's times."""

import sys

import pytest

from benchmarks import proposals
from benchmarks.proposals import time_table
from tests.conftest import REPOSITORY


def called(monkeypatch, words):
    monkeypatch.setattr(sys, "argv", ["proposals", *words.split()])
    proposals.main()


def test_every_method_of_the_table_is_timed(workspace, monkeypatch, capsys):
    text = (REPOSITORY / "params.yaml").read_text()
    small = text.replace("name: tf_efficientnet_lite0", "name: test_efficientnet")
    (workspace / "params.yaml").write_text(small.replace("size: 192", "size: 64"))
    called(monkeypatch, "--images 3")
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:7]]
    assert {row[0]: row[3] for row in cells} == {
        "Selective Search": "2000",
        "EdgeBoxes": "200",
        "RPN: network and proposals": "10.5",
        "SPN: network": "–",
        "SPN: Soft Proposal alone": "0.9",
    }
    assert all(float(row[1]) >= 0 for row in cells)


def test_the_table_gives_median_and_quartiles_in_milliseconds():
    line = time_table({"EdgeBoxes": [0.004, 0.001, 0.002, 0.003, 0.005]}).splitlines()[-1]
    assert line == "| EdgeBoxes | 3.0 | 2.0 – 4.0 | 200 |"


def test_one_image_has_no_spread(monkeypatch):
    with pytest.raises(SystemExit):
        called(monkeypatch, "--images 1")
