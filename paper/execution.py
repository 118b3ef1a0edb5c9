"""Running the experiments of a table with DVC, one after the other."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paper.experiment import Experiment
from paper.report import keep
from pipeline.errors import InputError
from pipeline.files import atomic_path
from pipeline.params import Params
from stages import PARAMS

WAY_BACK = (
    "params.yaml is as it was. To bring dvc.lock and data/ back to your last commit:\n"
    "  git checkout HEAD -- dvc.lock && dvc checkout"
)


def run(experiments: tuple[Experiment, ...], params: Params) -> list[str]:
    """Run each of `experiments` on params.yaml as it is now; return the variants that failed.

    What a run gave is kept as soon as it ends, so that neither a later failure nor an
    interruption loses it. DVC skips what has been done before.

    Raises:
        InputError: there is no DVC.
    """
    if shutil.which("dvc") is None:
        raise InputError("dvc is not on PATH; use `make paper`, or activate .venv")
    with restored(PARAMS) as restore:
        failed = []
        for experiment in experiments:
            restore()
            if not _run(experiment, params):
                failed.append(experiment.variant)
    return failed


def refuse_missing_weights(experiments: tuple[Experiment, ...], params: Params) -> None:
    """Raise InputError if experiments need a file of weights that params.yaml does not name."""
    pretrain = {e.variant: e.applied(params).pretrain for e in experiments}
    lacking = [
        variant
        for variant, own in pretrain.items()
        if own.source == "file" and not (own.file and Path(own.file).is_file())
    ]
    if not lacking:
        return
    others = " ".join(variant for variant in pretrain if variant not in lacking)
    found = f"{params.pretrain.file!r} is no file" if params.pretrain.file else "it names none"
    remedy = f", or run the others: VARIANT={shlex.quote(others)}" if others else ""
    raise InputError(
        f"params.yaml: pretrain.file: {', '.join(lacking)} needs a file of weights, since none are "
        f"published for torch, but {found}; name a .safetensors or torch file{remedy}"
    )


@contextmanager
def restored(path: Path) -> Iterator[Callable[[], None]]:
    """Yield a function that gives `path` its present text again; it is also called at the end."""
    text = path.read_bytes()

    def restore() -> None:
        if path.read_bytes() != text:
            with atomic_path(path) as temporary:
                temporary.write_bytes(text)

    try:
        yield restore
    finally:
        restore()


def _run(experiment: Experiment, params: Params) -> bool:
    """Run one experiment and keep its scores; tell whether that worked."""
    _forget(experiment.name)
    command = experiment.command()
    print(f"\n$ {shlex.join(command)}", flush=True)
    status = _status(command)
    if status:
        print(f"{experiment.name}: failed (status {status}), see above", file=sys.stderr)
        return False
    try:
        keep(experiment, experiment.applied(params))
    except InputError as error:
        print(f"{experiment.name}: {error}", file=sys.stderr)
        return False
    return True


def _status(command: list[str]) -> int:
    """Run `command` and return its exit status; an interruption waits for it to end.

    Ctrl-C reaches DVC as well, which needs seconds to give the workspace back: killed before, it
    leaves locks and a staged params.yaml behind.
    """
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def _forget(name: str) -> None:
    """Remove an earlier experiment of that name, which DVC refuses to replace; not its results."""
    listed = subprocess.run(["dvc", "exp", "list", "--name-only"], capture_output=True, text=True)
    if name in listed.stdout.split():
        command = ["dvc", "exp", "remove", name]
        print(f"\n$ {shlex.join(command)}", flush=True)
        subprocess.run(command)
