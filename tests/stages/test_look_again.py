"""That DVC notices other files outside the repository, and reruns what their content decides."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY

ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    **{
        f"GIT_{who}_{what}": "test@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}
READERS = {
    # What stand for `preprocess` and `pretrain` here.
    "pack": ("cp -r data/raw packed", "data/raw", "packed"),
    "start": ("cp data/files/pretrain.file.json start", "data/files/pretrain.file.json", "start"),
}
STAGES = {
    "download": {
        "cmd": "sh stages/run download",
        "deps": ["data/cutouts/cutouts.zip"],
        "params": ["data.multi", "data.single", "pretrain.source", "pretrain.file"],
        "outs": [
            "data/raw",
            "data/files",
            {"data/seen.json": {"persist": True}},
            {"data/outside.txt": {"cache": False}},
        ],
    },
    "look_again": {
        "cmd": "sh -c 'grep -qx nothing data/outside.txt || echo again >> data/outside.txt'",
        "deps": ["data/outside.txt"],
    },
    **{name: {"cmd": c, "deps": [d], "outs": [o]} for name, (c, d, o) in READERS.items()},
}


def call(folder: Path, *command: str) -> str:
    """Run a command in `folder`, which must succeed; return what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def dvc(folder: Path, *arguments: str) -> list[str]:
    """Run DVC; return the stages that it ran."""
    printed = call(folder, sys.executable, "-m", "dvc", *arguments)
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the embedded data, up to date."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("pipeline", "stages", "data/cutouts", ".dvc"):
        unwanted = shutil.ignore_patterns("__pycache__", "tmp", "cache")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=unwanted)
    for name in ("params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    YAML().dump({"stages": STAGES}, folder / "dvc.yaml")
    call(folder, "git", "init", "--quiet")
    dvc(folder, "repro")
    call(folder, "git", "add", "--all")
    call(folder, "git", "commit", "--quiet", "--message", "All")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of that checkout."""
    return Path(shutil.copytree(made, tmp_path / "project"))


def choose(project: Path, key: str, value: str) -> None:
    """Set a parameter `section.name`."""
    yaml = YAML()
    content = yaml.load(project / "params.yaml")
    section, name = key.split(".")
    content[section][name] = value
    yaml.dump(content, project / "params.yaml")


@pytest.fixture
def weights(project: Path) -> Path:
    """The file of weights that `project` starts from, with everything up to date."""
    file = project.parent / "weights.pth"
    file.write_bytes(b"one")
    choose(project, "pretrain.source", "file")
    choose(project, "pretrain.file", str(file))
    assert dvc(project, "repro") == ["download", "look_again", "start"]
    return file


def test_with_the_embedded_data_there_is_nothing_to_look_at_again(project: Path) -> None:
    assert "up to date" in call(project, sys.executable, "-m", "dvc", "status")
    assert dvc(project, "repro") == []


def test_other_weights_under_the_same_name_are_noticed(project: Path, weights: Path) -> None:
    lock = (project / "dvc.lock").read_bytes()
    assert dvc(project, "repro") == ["download", "look_again"]
    assert (project / "dvc.lock").read_bytes() == lock
    weights.write_bytes(b"two")
    assert dvc(project, "repro") == ["download", "look_again", "start"]


def test_the_same_weights_written_anew_rerun_nothing(project: Path, weights: Path) -> None:
    shutil.copyfile(weights, weights.with_name("copy"))
    weights.with_name("copy").replace(weights)
    assert dvc(project, "repro") == ["download", "look_again"]


def test_back_at_the_embedded_data_all_is_quiet(project: Path, weights: Path) -> None:
    choose(project, "pretrain.source", "package")
    dvc(project, "repro")
    assert "up to date" in call(project, sys.executable, "-m", "dvc", "status")


def test_another_photograph_of_the_same_size_is_noticed(
    project: Path, tiny_voc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "VOC_ROOT", str(tiny_voc))
    choose(project, "data.multi", "voc2007")
    assert dvc(project, "repro") == ["download", "look_again", "pack"]
    assert dvc(project, "repro") == ["download", "look_again"]
    picture = tiny_voc / "VOCdevkit/VOC2007/JPEGImages/000001.jpg"
    picture.write_bytes(bytes(picture.stat().st_size))
    assert dvc(project, "repro") == ["download", "look_again", "pack"]


def test_a_temporary_copy_finds_relative_paths_of_its_checkout(
    project: Path, weights: Path
) -> None:
    shutil.copy(weights, project / "data/mine.pth")
    call(project, "git", "commit", "--quiet", "--all", "--message", "Weights")
    run = dvc(project, "exp", "run", "--temp", "-S", "pretrain.file=data/mine.pth")
    assert run == ["download", "look_again", "start"]
