"""Drill: two experiments by two workers of `dvc queue`, shared over git and a local S3 server.

    pip install dvc-s3 'moto[s3,server]' 'aiobotocore[boto3]<3' s3fs==2026.9.0
    python -m benchmarks.queue_and_s3

In a temporary copy of the repository with tiny scenes it queues two trainings of SPN, lets two
workers run them at once, pushes them to a bare git repository and a bucket of moto's server, and
pulls them into a clone without a cache. It ends with an error unless the clone has the weights of
both, each its own.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from ruamel.yaml import YAML

CHECKOUT = Path(__file__).parents[1]
TARGET, MODEL = "train_spn@multi", "data/models/spn_multi"
RATES = ("0.001", "0.002")
TINY: Mapping[str, Any] = {
    "cutouts": {"scene_size": 64, "train_scenes": 24, "val_scenes": 12, "test_scenes": 16},
    "input": {"size": 64, "margin": 8},
    "spn": {"channels": 8, "groups": 2, "train_multi": {"epochs": 1}},
}
IDENTITY = {
    f"GIT_{who}_{what}": "drill@example.org"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}
KEYS = {"AWS_ACCESS_KEY_ID": "drill", "AWS_SECRET_ACCESS_KEY": "drill"}


def main() -> None:
    """Run the drill and tell how long its parts took."""
    with tempfile.TemporaryDirectory() as name, bucket("drill") as endpoint:
        root = Path(name)
        project = tiny_project(root / "project", endpoint)
        run(root, "git", "init", "--quiet", "--bare", "shared.git")
        run(project, "git", "remote", "add", "origin", str(root / "shared.git"))
        run(project, "git", "push", "--quiet", "origin", "HEAD:main")
        began = time.monotonic()
        for number, rate in enumerate(RATES):
            key = f"spn.train_multi.added_learning_rate={rate}"
            dvc(project, "exp", "run", "--queue", "--name", f"rate-{number}", "-S", key, TARGET)
        # The workers keep its output open.
        start = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", "2"]
        subprocess.run(start, cwd=project, env=environment(), check=True, stdout=subprocess.DEVNULL)
        most = watch_queue(project)
        print(f"{len(RATES)} experiments, {most} at once: {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        names = [f"rate-{number}" for number in range(len(RATES))]
        dvc(project, "exp", "push", "origin", *names)
        run(root, "git", "clone", "--quiet", "--branch", "main", "shared.git", "clone")
        dvc(root / "clone", "exp", "pull", "origin", *names)
        weights = [pulled(root / "clone", name) for name in names]
        assert weights[0] != weights[1]
        print(f"pushed and pulled, the weights of each: {time.monotonic() - began:.0f} s")


@contextmanager
def bucket(name: str) -> Iterator[str]:
    """Yield the address of a local S3 server that has this bucket."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                urlopen(Request(f"{address}/{name}", method="PUT")).close()
                break
            except URLError:
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait()


def tiny_project(folder: Path, endpoint: str) -> Path:
    """Return a git checkout of the tracked files with tiny parameters and a remote on S3."""
    listed = run(CHECKOUT, "git", "ls-files", "-z").split("\0")
    for name in filter(None, listed):
        if name != "dvc.lock" and (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)
    if (CHECKOUT / ".venv").exists():
        (folder / ".venv").symlink_to((CHECKOUT / ".venv").resolve())
    yaml = YAML()
    content = yaml.load(folder / "params.yaml")
    merge(content, TINY)
    yaml.dump(content, folder / "params.yaml")
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    dvc(folder, "remote", "add", "--default", "s3", "s3://drill/wsol")
    dvc(folder, "remote", "modify", "s3", "endpointurl", endpoint)
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "Tiny")
    return folder


def merge(target: Any, changes: Mapping[str, Any]) -> None:
    """Overwrite nested keys of `target`."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            merge(target[key], value)
        else:
            target[key] = value


def watch_queue(project: Path) -> int:
    """Wait until every experiment has ended; return the most that ran at once."""
    most = 0
    while True:
        most = max(most, copies(project))
        lines = dvc(project, "queue", "status").splitlines()
        states = [line.split()[-1] for line in lines if "rate-" in line]
        if "Failed" in states:
            raise SystemExit(dvc(project, "queue", "logs", "rate-0"))
        if states and set(states) == {"Success"}:
            return most
        time.sleep(1)


def copies(project: Path) -> int:
    """Return how many copies of the checkout DVC has: one for each experiment that runs."""
    return len(list((project / ".dvc/tmp/exps").glob("tmp*")))


def pulled(clone: Path, name: str) -> bytes:
    """Return the weights of an experiment that was pulled; its other stages were not run."""
    references = run(clone, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    (own,) = (each for each in references if each.endswith(f"/{name}"))
    run(clone, "git", "checkout", own, "--", "dvc.lock")
    dvc(clone, "checkout", "--force", TARGET)
    return (clone / MODEL / "weights.safetensors").read_bytes()


def dvc(folder: Path, *words: str) -> str:
    """Run DVC, which must succeed; return what it printed."""
    return run(folder, sys.executable, "-m", "dvc", *words)


def run(folder: Path, *command: str) -> str:
    """Run a command, which must succeed; return what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}")
    return done.stdout


def environment() -> dict[str, str]:
    """Return the environment of commands: workers of the queue call `dvc`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | IDENTITY | KEYS | {"PATH": path}


if __name__ == "__main__":
    main()
