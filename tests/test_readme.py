"""The README's figures are those of the last run."""

import json
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_every_figure_of_the_readme_stands_in_metrics_json() -> None:
    metrics = json.loads((REPOSITORY / "reports/metrics.json").read_text())
    rows = re.findall(
        r"<!-- (\S+) -->.*\| ([\d.]+) \|$", (REPOSITORY / "README.md").read_text(), re.M
    )
    assert len(rows) > 8
    for key, shown in rows:
        leaf = metrics
        for part in key.split("/"):
            leaf = leaf[part]
        assert shown == f"{leaf['value']:.1f}", key


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
