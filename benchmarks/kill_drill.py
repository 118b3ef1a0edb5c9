"""Kill `dvc repro` at random moments: does it end with the same bytes as a run left alone?

    python -m benchmarks.kill_drill --kills 20
    python -m benchmarks.kill_drill --kills 20 --each 5 train_cam@multi

Works in copies of the committed repository in a temporary folder, on a few tiny scenes, with all
stages or those that are named. One copy is left alone. Each other one is killed `--each` times, at
moments drawn from the time that the first one took, and then run to its end; `dvc.lock`, which has
a checksum of every out, and `reports/metrics.json` must then say what those of the first say (DVC
lists stages in the order in which they ended).

SIGKILL hits, in turn, all processes of the run, or DVC alone: the stage then goes on without it,
and the next run is refused until the stage has ended. A file of DVC's own that a kill left empty is
removed, as its message says, and counted.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.training.checkpoints import MINUTES

TINY: dict[str, Any] = {
    "cutouts": {"scene_size": 64, "train_scenes": 48, "val_scenes": 12, "test_scenes": 16},
    "input": {"size": 64, "margin": 8},
    "spn": {
        "channels": 8,
        "groups": 2,
        "train_multi": {"epochs": 2, "batch_size": 4},
        "train_single": {"epochs": 2, "batch_size": 4},
    },
    "spg": {
        "channels": 8,
        "guidance_channels": 8,
        "warmup_epochs": 1,
        "train": {"epochs": 2, "batch_size": 4},
    },
    "evaluate": {"ten_crop": False, "resamples": 20},
}
COMPARED = ("dvc.lock", "reports/metrics.json")
DAMAGED = "Unable to read RWLock-file"
REFUSALS = ("another process", "Unable to acquire lock", DAMAGED)
"""What a run that comes too early is told, by the stage or by DVC."""
MOST_REFUSED = 100
PAUSE = 5.0
"""Seconds before a run that was refused is tried again."""


def main() -> None:
    """Run the drill; the exit status is 1 if a run ended with other bytes."""
    given = arguments()
    repository = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        alone = copy(repository, Path(folder) / "alone")
        began = time.monotonic()
        refused = finish(alone, given.stages)
        took = time.monotonic() - began
        print(f"undisturbed: {took:.0f} s", flush=True)
        rng, different, kills = random.Random(given.seed), 0, 0
        while kills < given.kills:
            killed = copy(repository, Path(folder) / "killed")
            for _ in range(min(given.each, given.kills - kills)):
                kill(killed, given.stages, rng.uniform(0, took / given.each), alone=kills % 2 == 1)
                kills += 1
            refused += finish(killed, given.stages)
            differs = [
                f"{name}: {difference}"
                for name in COMPARED
                for difference in differences(content(alone, name), content(killed, name))
            ]
            different += bool(differs)
            print("\n".join([f"{kills} kills: {len(differs)} differences", *differs]), flush=True)
            shutil.rmtree(killed)
    reasons = ", ".join(f"{reason}: {count}" for reason, count in refused.items()) or "none"
    print(f"{kills} kills; refused meanwhile: {reasons}; {different} ends differ")
    sys.exit(different > 0)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", help="stages to run; default: all")
    parser.add_argument("--kills", type=int, default=20, help="in all")
    parser.add_argument("--each", type=int, default=1, help="kills of one run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    return parser.parse_args()


def copy(repository: Path, folder: Path) -> Path:
    """Clone what is committed, with tiny parameters, and without what was run before."""
    subprocess.run(["git", "clone", "--quiet", repository, folder], check=True)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    for name in COMPARED:
        (folder / name).unlink(missing_ok=True)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    merge(params, TINY)
    yaml.dump(params, folder / "params.yaml")
    return folder


def merge(target: dict[str, Any], changes: dict[str, Any]) -> None:
    """Overwrite nested keys of `target`."""
    for key, value in changes.items():
        if isinstance(value, dict):
            merge(target[key], value)
        else:
            target[key] = value


def repro(folder: Path, stages: Sequence[str]) -> subprocess.Popen[str]:
    """Start `dvc repro` as the leader of a group of processes."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", *stages],
        cwd=folder,
        # Checkpoints within the epochs, which are short.
        env=os.environ | {MINUTES: "0.005"},
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def kill(folder: Path, stages: Sequence[str], after: float, alone: bool) -> None:
    """Start a run and kill it, or DVC alone, after so many seconds."""
    process = repro(folder, stages)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()


def finish(folder: Path, stages: Sequence[str]) -> Counter[str]:
    """Run to the end; return how often that was refused, by reason."""
    refused: Counter[str] = Counter()
    while refused.total() < MOST_REFUSED:
        process = repro(folder, stages)
        told, _ = process.communicate()
        if process.returncode == 0:
            return refused
        reason = next((reason for reason in REFUSALS if reason in told), None)
        if reason is None:
            sys.exit(f"dvc repro failed:\n{told}")
        refused[reason] += 1
        if reason == DAMAGED:
            (folder / ".dvc/tmp/rwlock").unlink()
        time.sleep(PAUSE)
    sys.exit(f"dvc repro is refused again and again: {refused}")


def content(folder: Path, name: str) -> Any:
    """What a YAML or JSON file says; None if it is not there."""
    path = folder / name
    return YAML(typ="safe").load(path) if path.exists() else None


def differences(one: Any, other: Any, key: str = "") -> Iterator[str]:
    """Yield what differs in two nested values, a line each."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from differences(one.get(name), other.get(name), f"{key} {name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{key} {number}")
    elif one != other:
        yield f"{key}: {one} or {other}"


if __name__ == "__main__":
    main()
