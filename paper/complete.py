"""All ten tables on the data of params.yaml, with every method switched on: `make complete`."""

import sys

from paper.execution import WAY_BACK, run
from paper.experiment import Experiment, switched
from paper.report import FOLDER, combined
from paper.settings import FURTHER, Value
from pipeline.errors import InputError
from pipeline.methods.registry import MODELS
from pipeline.params import load
from pipeline.reporting.catalogue import TABLES
from pipeline.reporting.tables import write_tables
from stages import PARAMS

NAME = "complete"
ABLATED = "spg-4"
"""The table beside which SPG Sec. 4.3 gives the errors of its ablations."""


def _ablation(variant: str, key: str, row: str) -> Experiment:
    """SPG without one of its parts (SPG Sec. 4.3)."""
    return Experiment(NAME, variant, ("spg",), {key: (False, "SPG Sec. 4.3")}, {"SPG": row})


_ALWAYS = tuple(name for name, model in MODELS.items() if model.entry.listed is None)
_CLASSIFIERS: dict[str, tuple[Value, str]] = {
    "ranking.classifiers": (["tf_efficientnet_lite0"], "the network whose weights are a package")
}
EXPERIMENTS = (
    Experiment(NAME, "all", _ALWAYS, switched(FURTHER) | _CLASSIFIERS, {}, tuple(FURTHER)),
    _ablation("no-cascade", "spg.cascade", "SPG, both B from the attention seeds (Sec. 4.3)"),
    _ablation("not-shared", "spg.share_b", "SPG, B1 and B2 not shared (Sec. 4.3)"),
    _ablation("no-c", "spg.with_c", "SPG without C (Sec. 4.3)"),
)


def main() -> None:
    """Run the experiments and write reports/paper/complete; errors end in one message."""
    try:
        failed = run(EXPERIMENTS, load(PARAMS))
        write()
    except InputError as error:
        sys.exit(f"complete: {error}")
    except KeyboardInterrupt:
        sys.exit("\ncomplete: interrupted; run it again to go on. Complete runs are kept.")
    print(f"{FOLDER / NAME}\n{WAY_BACK}")
    if failed:
        sys.exit(f"complete: failed: {', '.join(failed)}; mend what is told above, run it again")


def write() -> None:
    """Write the ten tables of the runs that are kept; the ablations stand in SPG Table 4 alone."""
    runs = {ABLATED: EXPERIMENTS}
    write_tables(
        [combined(table, runs.get(table.id, EXPERIMENTS[:1]), []) for table in TABLES],
        FOLDER / NAME,
    )


if __name__ == "__main__":
    main()
