"""Training what a study asks for: each experiment and seed in a clone of its own."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paper.experiment import switched, target, written
from pipeline.errors import InputError
from pipeline.methods.registry import MODELS
from studies.study import Row, Settings

REPOSITORY = Path(__file__).parents[1]
CLONES = REPOSITORY / ".scratch/studies"


@contextmanager
def trained(name: str, settings: Settings, rows: list[Row], seed: int) -> Iterator[Path]:
    """Yield a clone of the last commit in which the models of `rows` have been trained and judged.

    It shares DVC's cache with this repository: what has been done before is fetched from there, so
    that an interrupted study goes on where it was. The clone is gone afterwards.

    Raises:
        InputError: a stage failed; its message stands above.
    """
    clone = CLONES / f"{name}-{seed}"
    shutil.rmtree(clone, ignore_errors=True)
    _call(REPOSITORY, "git", "clone", "--quiet", "--shared", str(REPOSITORY), str(clone))
    try:
        _dvc(clone, "config", "--quiet", "--local", "cache.dir", str(REPOSITORY / ".dvc/cache"))
        # The stages' own intervals, over images alone, are not used.
        changes = {**settings, "seed": seed, "evaluate.resamples": 1, **lists(rows)}
        flags = [
            word for key, value in changes.items() for word in ("-S", f"{key}={written(value)}")
        ]
        stages = dict.fromkeys(target(row.model) for row in rows)
        _dvc(clone, "exp", "run", "--quiet", *flags, *stages)
        yield clone
    finally:
        shutil.rmtree(clone, ignore_errors=True)


def lists(rows: list[Row]) -> Settings:
    """Return the lists of params.yaml that hold the methods of `rows`, and no others."""
    return {
        key: value for key, (value, _) in switched(MODELS[r.model].method for r in rows).items()
    }


def _dvc(clone: Path, *words: str) -> None:
    _call(clone, sys.executable, "-m", "dvc", *words)


def _call(folder: Path, *command: str) -> None:
    # The clone has no .venv: let its stages find this interpreter.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}).returncode:
        raise InputError(f"failed, see above: {shlex.join(command)}")
