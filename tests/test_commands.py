"""Every command in the Markdown files, run as printed or in its dry form, on a tiny repository.

The shells get stand-ins for the programs, which tell what words reached them. What writes or trains
has a dry form. DVC's own dry run of `repro` and `exp run` does not look at the settings and stops
at the first stage whose inputs are absent, so theirs is made of its parts: DVC's parser, its writer
of `-S`, the schema of params.yaml, the graph, the networks.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
import torch
from dvc.cli import main as dvc_main
from dvc.cli import parse_args
from dvc.commands.checkout import CmdCheckout
from dvc.commands.dag import CmdDAG
from dvc.commands.experiments.apply import CmdExperimentsApply
from dvc.commands.experiments.run import CmdExperimentsRun
from dvc.commands.experiments.show import CmdExperimentsShow
from dvc.commands.metrics import CmdMetricsDiff
from dvc.commands.params import CmdParamsDiff
from dvc.commands.plots import CmdPlotsDiff, CmdPlotsShow
from dvc.commands.queue.start import CmdQueueStart
from dvc.commands.repro import CmdRepro
from dvc.commands.status import CmdDataStatus
from dvc.repo import Repo
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides, to_hydra_overrides

from paper.__main__ import main as paper
from pipeline.methods.registry import models
from pipeline.models import pretrained
from pipeline.models.backbones import Backbone, network_for
from pipeline.models.classifiers import check
from pipeline.params import Params, load
from studies.study import read_study
from tests.conftest import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    REPOSITORY / "benchmarks/RESULTS.md",
]
PROGRAMS = ("make", "dvc", "python", "sh", "git")
START = re.compile(rf"(?P<variables>(?:\w+=\S* )*)(?:(?:{'|'.join(PROGRAMS)})(?: |$)|export |\. )")
"""How a command begins."""
SHELLS = {
    "bash": ["bash"],
    # Brackets and stars that match no file end a command, as in zsh.
    "bash with failglob": ["bash", "-O", "failglob"],
    "zsh": ["zsh"],
}
READING = (CmdDAG, CmdDataStatus, CmdExperimentsShow, CmdMetricsDiff, CmdParamsDiff)
PARSED = (CmdCheckout, CmdExperimentsApply, CmdPlotsDiff, CmdPlotsShow, CmdQueueStart)
"""Commands of DVC that check out data, start processes or write a page."""


def blocks(text: str) -> list[list[str]]:
    """The lines of each indented code block; a continued line is one."""
    found = re.findall(r"(?<=\n\n)(?:    .*\n)+", text)
    return [re.sub(r"\\\n\s*", "", block).splitlines() for block in found]


def commands(page: Path) -> Iterator[str]:
    """The commands of a page: in code blocks and backticks, as a heading, as what is pasted."""
    text = page.read_text()
    lines = [line.strip() for block in blocks(text) for line in block]
    prose = re.sub(r"^(    .*|\S*```.*)\n", "", text, flags=re.M)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    settings = [f"dvc exp run {span}" for span in spans if span.startswith("-S ")]
    headings = re.findall(r"^#+ (.*)", prose, re.M) + re.findall(r"<!-- paste: (.*) -->", prose)
    yield from (each for each in lines + spans + settings + headings if START.match(each))


COMMANDS = {command: page.name for page in reversed(PAGES) for command in commands(page)}
every_command = pytest.mark.parametrize(
    "command", COMMANDS, ids=[f"{page}: {command}" for command, page in COMMANDS.items()]
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the graph, its parameters and results, with an experiment called NAME."""
    folder = tmp_path_factory.mktemp("tiny") / "repository"
    names = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "Makefile", "dvc.yaml")
    results = ("reports/metrics.json", "reports/tables/twins.csv")
    for name in (*names, *results, "params.yaml", "requirements.lock"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("bin/activate", ".ready"):
        (folder / ".venv" / name).touch()
    git(folder, "init", "--quiet")
    base = committed(folder)
    apply_overrides(folder / "params.yaml", ["spg.delta_h=0.6"])
    experiment = committed(folder)
    git(folder, "reset", "--quiet", "--hard", base)
    git(folder, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/NAME", experiment)
    return folder


def git(folder: Path, *words: str) -> str:
    """Run git in `folder`, which must succeed; return what it printed."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def committed(folder: Path) -> str:
    """Commit all of `folder`; return the revision."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Tiny")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of programs that print their words, each ended by NUL."""
    folder = tmp_path_factory.mktemp("programs")
    for name in PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\nprintf '%s\\0' {name} \"$@\"\n")
        (folder / name).chmod(0o755)
    return folder


def program_and_words(command: str) -> list[str]:
    """What a command starts: nothing if it is one of the shell's own."""
    start = START.match(command)
    assert start
    words = shlex.split(command[start.end("variables") :])
    return words if words[0] in PROGRAMS else []


def make(words: list[str], folder: Path) -> None:
    """Let make tell what it would run; `make paper` tells in turn what its table takes."""
    # Not as part of the make that runs these tests.
    alone = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-n", *words], cwd=folder, env=alone, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    if "paper" in words:
        recipe = shlex.split(done.stdout.replace("\\\n", " ").splitlines()[-1])
        sys.argv = ["paper", "--dry", *recipe[recipe.index("paper") + 1 :]]
        paper()


def dvc(words: list[str], folder: Path) -> None:
    """Run what reads; follow what runs stages; of what else changes things, read the words."""
    given = parse_args(words)
    if given.func is CmdExperimentsRun:
        follow(given.set_param, given.targets, folder, given.queue)
    elif given.func is CmdRepro:
        follow([], given.targets, folder)
    elif given.func in READING:
        assert dvc_main(words) == 0
    else:
        assert given.func in PARSED, "neither known to read nor to have a dry form"


def python(words: list[str], folder: Path) -> None:
    """Let a module read its arguments, and no more; of a study its file too."""
    flag, name, *arguments = words
    assert flag == "-m"
    module = import_module(name)
    if hasattr(module, "__path__"):
        module = import_module(f"{name}.__main__")
    read: list[argparse.Namespace] = []
    parse = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser) -> None:
        read.append(parse(parser))
        raise KeyboardInterrupt

    sys.argv = [name, *arguments]
    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        module.main()
    (given,) = read
    if "study" in given:
        read_study(REPOSITORY / given.study)


def follow(settings: list[str], targets: list[str], folder: Path, queue: bool = False) -> None:
    """Take settings as `dvc exp run -S` does, and find the targets in the graph that they give."""
    path = folder / "params.yaml"
    before, text = load(path), path.read_text()
    try:
        for file, overrides in to_path_overrides(settings).items():
            several = any(each.is_sweep_override() for each in to_hydra_overrides(overrides))
            assert queue or not several, "several values at once need --queue"
            apply_overrides(folder / file, overrides)
        params = load(path)
        for target in targets:
            assert Repo(str(folder)).stage.collect(target)
    finally:
        path.write_text(text)
    if any(getattr(params, key) != getattr(before, key) for key in NETWORKS):
        build(params)


NETWORKS = ("backbone", "pretrain", "ranking")
"""The sections that decide whether there are first weights, and networks that take them."""


def build(params: Params) -> None:
    """Build every network of a run, as if a hub gave what it has: sizes without numbers."""
    device = "meta" if params.pretrain.source == "hub" else "cpu"
    with pytest.MonkeyPatch.context() as patch, torch.device(device):
        patch.setattr(
            pretrained, "_published_state", lambda network: network.classifier().state_dict()
        )
        pretrained.imagenet_classifier(params.backbone, params.pretrain)
        check(params.ranking.classifiers, 7, params)
        network_for(params.backbone, params.input.size)
        for model in models(params):
            if model.entry.listed != "proposals":
                model.load().network(Backbone(params.backbone), 7, params)


def harmless_git(words: list[str], folder: Path) -> None:
    """Run a command of git that reads, or changes nothing where nothing differs from the commit."""
    assert words[0] in ("checkout", "diff"), "not known to read"
    git(folder, *words)


RUN: dict[str, Callable[[list[str], Path], None]] = {
    "make": make,
    "dvc": dvc,
    "python": python,
    "git": harmless_git,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_hold_commands_and_what_they_print_is_fenced(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"^```(.*)\n(?:.*\n)*?```\n", text, re.M)) <= {
        "text",
        "mermaid",
        "python",
    }
    for block in blocks(text):
        tree = page.name == "README.md" and block[0].startswith("    params.yaml ")
        assert tree or all(START.match(line.strip()) for line in block), block


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_every_shell_takes_a_command_for_the_same_words(
    shell: list[str], stand_ins: Path, tiny: Path
) -> None:
    program = shutil.which(shell[0])
    if program is None:
        pytest.skip(f"no {shell[0]} on this machine")
    for command in COMMANDS:
        done = subprocess.run(
            [program, *shell[1:], "-c", command],
            cwd=tiny,
            env=os.environ | {"PATH": str(stand_ins)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split("\0")[:-1] == program_and_words(command)


def test_the_variables_of_commands_are_read() -> None:
    folders = (REPOSITORY / name for name in ("pipeline", "stages"))
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    for command in COMMANDS:
        start = START.match(command)
        assert start
        own = start["variables"] or (command if command.startswith("export ") else "")
        for name in re.findall(r"(\w+)=", own):
            assert f'"{name}"' in sources or name == "OMP_NUM_THREADS", command


@every_command
def test_a_command_does_what_it_can_without_data(
    command: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    words = program_and_words(command)
    if words:
        RUN[words[0]](words[1:], tiny)
