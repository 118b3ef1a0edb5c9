"""The README says what is so."""

import json
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def committed(path: str) -> str:
    """Return the committed text of a file: a run on another machine may have changed it since."""
    command = ["git", "show", f"HEAD:{path}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{path} is not committed here")
    return done.stdout


def test_every_figure_of_the_readme_is_that_of_the_committed_run() -> None:
    metrics = json.loads(committed("reports/metrics.json"))
    rows = re.findall(r"<!-- (\S+) -->.*\| ([+-]?\d[^|]*) \|$", committed("README.md"), re.M)
    assert len(rows) > 8
    for key, shown in rows:
        leaf = metrics
        for part in key.split("/"):
            leaf = leaf[part]
        sign = "+" if key.startswith("differences/") else ""
        value, low, high = (f"{leaf[name]:{sign}.1f}" for name in ("value", "low", "high"))
        assert shown == f"{value} [{low}, {high}]", key


def test_every_path_of_the_annotated_tree_exists() -> None:
    text = (REPOSITORY / "README.md").read_text()
    tree = text.split("## How it is built")[1].split("## Why")[0]
    parents = {0: REPOSITORY}
    lines = re.findall(r"^    ( *)([\w.]+(?:/[\w.]+)*/?(?:, [\w.]+)*)  +\S", tree, re.M)
    assert len(lines) > 15
    for indent, names in lines:
        for name in names.split(", "):
            path = parents[len(indent)] / name
            assert path.exists(), path
            parents[len(indent) + 2] = path
