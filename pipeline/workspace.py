"""Where the files are that git does not know, also for a run in one of DVC's copies."""

from pathlib import Path

_COPIES = (".dvc", "tmp", "exps")


def checkout() -> Path:
    """Return the checkout of this run, absolute if the current folder is a copy of it.

    `dvc exp run --temp` and `--queue` run in copies below the checkout's .dvc/tmp/exps, which have
    only the files that git knows.
    """
    parts = Path.cwd().parts
    for start in range(len(parts) - len(_COPIES)):
        if parts[start : start + len(_COPIES)] == _COPIES:
            return Path(*parts[:start])
    return Path()


def located(path: str | Path) -> Path:
    """Return where the user's file or folder is: below the current folder, or the checkout."""
    return Path(path) if Path(path).exists() else checkout() / path
