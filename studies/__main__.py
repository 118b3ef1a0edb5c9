"""Run a study and write its tables and figure: `python -m studies studies/spn-animals.yaml`.

It writes reports/studies/<name>.csv, .md and .webp. Interrupted, and called again, it goes on where
it was. Data sets are found as docs/data-sets.md tells.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.files import atomic_path
from stages.paths import history_file
from studies.judging import Part, judged
from studies.plots import draw
from studies.pooling import pool
from studies.results import markdown, table
from studies.runs import trained
from studies.study import Row, Study, read_study

REPORTS = Path("reports/studies")
RESAMPLES = 1000


def main() -> None:
    """Run what the command line names; errors end in one message."""
    parser = argparse.ArgumentParser(prog="studies", description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="train these only, for instance each on a machine"
    )
    given = parser.parse_args()
    try:
        study = read_study(given.study)
        found, histories = run(given.study.stem, study, given.seeds or study.seeds)
        if not given.seeds:
            write(given.study.stem, study, found, histories)
    except InputError as error:
        sys.exit(f"studies: {error}")


def run(
    name: str, study: Study, seeds: list[int]
) -> tuple[dict[str, list[list[Part]]], pd.DataFrame]:
    """Return the judged parts of each row and seed, and the histories that the study keeps."""
    found: dict[str, list[list[Part]]] = {row.row: [] for row in study.all_rows}
    histories = []
    for seed in seeds:
        for number, (settings, rows) in enumerate(study.experiments().values()):
            print(f"{name}: seed {seed}: {', '.join(row.row for row in rows)}", flush=True)
            with trained(f"{name}-{number}", settings, rows, seed) as clone:
                for row in rows:
                    found[row.row].append(judged(row, clone, study.judged_on))
                    if row.row in study.epochs:
                        histories.append(history(row, clone, seed, study.epochs[row.row]))
    return found, pd.concat(histories) if histories else pd.DataFrame()


def history(row: Row, clone: Path, seed: int, columns: list[str]) -> pd.DataFrame:
    """Return the columns of a training's history that the study keeps."""
    found = pd.read_csv(clone / history_file(row.model))
    if missing := set(columns) - set(found):
        raise InputError(f"the history of {row.row} has no {', '.join(sorted(missing))}")
    return found[["epoch", *columns]].assign(row=row.row, seed=seed)


def write(
    name: str, study: Study, found: dict[str, list[list[Part]]], histories: pd.DataFrame
) -> None:
    """Pool what was found and write it."""
    pooled = pool(found, [figure.key for figure in study.figures], RESAMPLES)
    images = {row: len(seeds[0][0].ids) for row, seeds in found.items()}
    REPORTS.mkdir(parents=True, exist_ok=True)
    results = table(study, pooled, images)
    _write(results, REPORTS / f"{name}.csv")
    with atomic_path(REPORTS / f"{name}.md") as temporary:
        temporary.write_text(markdown(study, results), encoding="utf-8")
    draw(REPORTS / f"{name}.webp", study, results)
    if len(histories):
        means = histories.groupby(["row", "epoch"], sort=False).mean().drop(columns="seed")
        _write(means.reset_index(), REPORTS / f"{name}-epochs.csv")


def _write(results: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        results.to_csv(temporary, index=False, float_format="%.2f", lineterminator="\n")


if __name__ == "__main__":
    main()
