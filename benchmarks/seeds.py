"""Mean and standard deviation of the scores over seeds, of any setting, in a clone of its own.

    python -m benchmarks.seeds --seeds 0 1 2 --set data.multi=voc2007 --set input.size=256 \
        evaluate_cam@multi evaluate_spn@multi

Each seed is one `dvc exp run` of the named stages and all that they need, in a temporary clone of
the last commit; the checkout is left alone. It prints one row per score and a column per model.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pandas as pd

from paper.settings import FURTHER
from pipeline.reporting.tables import read_scores

REPOSITORY = Path(__file__).parents[1]


def main() -> None:
    """Run every seed and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("targets", nargs="+", help="stages of dvc.yaml, e.g. evaluate_spg")
    arguments.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
        runs = [run_seed(clone, seed, given.set, given.targets) for seed in given.seeds]
    scores = pd.concat(runs)
    print(table(scores).to_markdown())


def run_seed(clone: Path, seed: int, settings: list[str], targets: list[str]) -> pd.DataFrame:
    """Return the scores of one seed: columns model, score, value."""
    changes = [word for setting in [*settings, f"seed={seed}"] for word in ("-S", setting)]
    python = Path(sys.executable)
    # The clone has no .venv: let its stages find this interpreter.
    environment = os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [str(python), "-m", "dvc", "exp", "run", "--quiet", *changes, *targets]
    subprocess.run(command, cwd=clone, env=environment, check=True)
    further = {stage: name for name, stage in FURTHER.items()}
    names = [further.get(t, t.partition("_")[2].replace("@", "_")) for t in targets]
    scores = read_scores(clone / "data/scores" / f"{name}.json" for name in names)
    rows = [(model, name, value) for model, own in scores.items() for name, value in numbers(own)]
    return pd.DataFrame(rows, columns=["model", "score", "value"])


def numbers(scores: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield (dotted name, value) of every number in nested `scores`, without the intervals."""
    for name, value in scores.items():
        if isinstance(value, dict) and "value" in value:
            yield f"{prefix}{name}", float(value["value"])
        elif isinstance(value, dict):
            yield from numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and name != "seed":
            yield f"{prefix}{name}", float(value)


def table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a row per score and a column per model, cells `mean ± standard deviation`."""

    def cell(values: pd.Series) -> str:
        spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
        return f"{mean(values):.1f}{spread}"

    return scores.groupby(["score", "model"], sort=False)["value"].agg(cell).unstack(fill_value="")


if __name__ == "__main__":
    main()
