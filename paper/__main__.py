"""Run the experiments of one table of the papers: `make paper TABLE=spn-2`.

python -m paper [--dry] [--tflops N] TABLE [VARIANT ...]
"""

import argparse
import logging
import sys

from paper import settings
from paper.execution import WAY_BACK, refuse_missing_weights, run
from paper.experiment import chosen, experiments
from paper.plan import TFLOPS, plan
from paper.report import FOLDER, write
from paper.settings import Settings
from pipeline.errors import InputError
from pipeline.params import load
from stages import PARAMS


def main() -> None:
    """Run the table, or with --dry tell what that would take; errors end in one message."""
    logging.getLogger("timm").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(prog="paper", description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", default="")
    parser.add_argument("variants", nargs="*", metavar="variant")
    parser.add_argument("--dry", action="store_true", help="tell, and change nothing")
    parser.add_argument("--tflops", type=_rate, default=TFLOPS, help="sustained rate, TFLOP/s")
    given = parser.parse_args()
    try:
        if given.dry:
            tell(given.table, given.variants, given.tflops)
        else:
            fill(given.table, given.variants)
    except InputError as error:
        sys.exit(f"paper: {error}")
    except KeyboardInterrupt:
        sys.exit("\npaper: interrupted; run it again to go on. Complete runs are kept.")


def tell(table: str, variants: list[str], tflops: float) -> None:
    """Print what the runs of a table do, need and take."""
    found = settings.load()
    print(plan(chosen(found, table, variants), found, load(PARAMS), tflops))


def fill(table: str, variants: list[str]) -> None:
    """Run experiments of a table, then write and print it unless all of them have failed.

    Raises:
        InputError: no such table or variant, weights that the user must name, a failed run.
    """
    found, params = settings.load(), load(PARAMS)
    wanted = chosen(found, table, variants)
    refuse_missing_weights(wanted, params)
    failed = run(wanted, params)
    if len(failed) < len(wanted):
        print(f"\n{written(found, table)}\n{FOLDER / table}.md, {FOLDER / table}.csv")
    print(WAY_BACK)
    if failed:
        raise InputError(
            f"{table}: failed: {', '.join(failed)}; mend what is told above and run it again"
        )


def written(found: Settings, table: str) -> str:
    """Write the table with the figures of all its runs so far; return it."""
    return write(experiments(found, table), found.tables[table].notes)


def _rate(text: str) -> float:
    rate = float(text)
    if rate <= 0:
        raise ValueError("not above 0")
    return rate


if __name__ == "__main__":
    main()
