"""The whole pipeline under DVC, on a few tiny scenes: what runs, what is rerun, what is refused."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.errors import InputError
from pipeline.methods.registry import listed
from pipeline.params import load
from pipeline.reporting.catalogue import TABLES
from tests.pictures import draw
from tests.warm_python import warm_python

REPOSITORY = Path(__file__).parents[1]
TINY = {
    "cutouts": {"scene_size": 64, "train_scenes": 24, "val_scenes": 12, "test_scenes": 16},
    "input": {"size": 64, "margin": 8},
    "spn": {
        "channels": 8,
        "groups": 2,
        "train_multi": {"epochs": 1},
        "train_single": {"epochs": 1},
    },
    "spg": {
        "channels": 8,
        "guidance_channels": 8,
        "warmup_epochs": 0,
        "train": {"epochs": 1},
    },
    "evaluate": {"ten_crop": False, "resamples": 20},
}
LAST = ["compare", "illustrate", "tabulate"]
"""The stages that run after any that trains or evaluates."""

ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    **{
        f"GIT_{who}_{what}": "test@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`; stderr is part of stdout."""
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def dvc(folder: Path, *arguments: str) -> str:
    """Run DVC, which must succeed; return what it printed."""
    done = call(folder, sys.executable, "-m", "dvc", *arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


def stages_run(printed: str) -> list[str]:
    """Return the stages that DVC says it ran."""
    lines = [line for line in printed.splitlines() if line.startswith("Running stage")]
    return [line.split("'")[1] for line in lines]


def merge(target: dict, changes: dict) -> None:
    """Overwrite nested keys of `target`."""
    for key, value in changes.items():
        if isinstance(value, dict):
            merge(target[key], value)
        else:
            target[key] = value


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the repository as a git checkout of its own, with tiny parameters, reproduced."""
    folder = tmp_path_factory.mktemp("project")
    listed = call(REPOSITORY, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith(("reports/", "dvc.lock")) and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    yaml = YAML()
    content = yaml.load(folder / "params.yaml")
    merge(content, TINY)
    yaml.dump(content, folder / "params.yaml")
    call(folder, "git", "init", "--quiet")
    with warm_python(folder / ".venv/bin/python"):
        dvc(folder, "repro", "--quiet")
        call(folder, "git", "add", "--all")
        call(folder, "git", "commit", "--quiet", "--message", "Tiny")
        yield folder


def test_everything_is_up_to_date_afterwards(project: Path) -> None:
    assert "up to date" in dvc(project, "status")
    assert stages_run(dvc(project, "repro")) == []


def test_the_tables_of_both_papers_are_there(project: Path) -> None:
    names = {f"{paper}-{n}" for paper, last in (("spn", 6), ("spg", 4)) for n in range(1, last + 1)}
    folder = project / "reports/tables"
    assert {path.stem for path in folder.glob("*.csv")} == names | {"per-class", "twins"}
    assert {path.stem for path in folder.glob("*.md")} == names | {"twins"}


def test_the_figures_of_both_papers_are_plots_of_dvc(project: Path) -> None:
    names = {f"spn-{name}" for name in ("3", "4", "5", "6a", "6b", "7", "8")} | {"spg-3", "spg-4"}
    assert {path.stem for path in (project / "reports/illustrations").iterdir()} == names
    dvc(project, "plots", "show", "--out", "shown")
    page = (project / "shown/index.html").read_text()
    assert [name for name in names if f"illustrations_{name}." not in page] == []
    assert "object_energy" in page
    shutil.rmtree(project / "shown")


def test_headline_metrics_fit_a_screen(project: Path) -> None:
    metrics = json.loads((project / "reports/metrics.json").read_text())
    assert 12 <= len(metrics) <= 24
    assert all(round(value, 1) == value for value in metrics.values())
    shown = dvc(project, "metrics", "show", "--md")
    assert all(name in shown for name in metrics)


def test_what_is_not_listed_leaves_no_trace(project: Path) -> None:
    names = {*listed("methods"), *listed("proposals")}
    outs = {
        p.stem
        for f in ("models", "predictions", "scores")
        for p in (project / "data" / f).iterdir()
    }
    assert outs & names == set()
    lock = (project / "dvc.lock").read_text()
    assert [name for name in names if f"@{name}:" in lock] == []


def edited(project: Path, path: str) -> set[str]:
    """The stages that DVC would run after a comment is added to the file `path`."""
    file = project / path
    text = file.read_text()
    file.write_text(f"{text}# A remark.\n")
    try:
        found = json.loads(dvc(project, "status", "--json"))
    finally:
        file.write_text(text)
    return set(found)


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("pipeline/methods/bases/spg/network.py", {"train_spg", "evaluate_spg", "illustrate"}),
        (
            "pipeline/methods/bases/spn/soft_proposal.py",
            {
                f"{verb}_spn@{track}"
                for verb in ("train", "evaluate")
                for track in ("multi", "single")
            }
            | {"illustrate"},
        ),
        ("pipeline/methods/has.py", set()),
        ("pipeline/params.py", set()),
        ("pipeline/reporting/page/page.html.j2", {"illustrate", "tabulate"}),
    ],
)
def test_a_remark_reruns_what_the_file_decides(project: Path, path: str, stages: set[str]) -> None:
    assert edited(project, path) == stages


def test_no_out_holds_a_path_of_the_machine(project: Path) -> None:
    outs = [p for f in ("data", "reports") for p in (project / f).rglob("*") if p.is_file()]
    assert len(outs) > 40
    assert [p.name for p in outs if str(project).encode() in p.read_bytes()] == []


def test_a_run_from_clean_gives_the_same_lock(project: Path, tmp_path: Path) -> None:
    call(tmp_path, "git", "clone", "--quiet", str(project), "again")
    (tmp_path / ".venv").symlink_to(project / ".venv")
    (tmp_path / "again/dvc.lock").unlink()
    dvc(tmp_path / "again", "repro", "--quiet")
    assert (tmp_path / "again/dvc.lock").read_text() == (project / "dvc.lock").read_text()


def test_an_experiment_reruns_only_what_depends_on_its_parameter(project: Path) -> None:
    printed = dvc(project, "exp", "run", "--name", "lower", "-S", "spg.delta_h=0.6")
    assert sorted(stages_run(printed)) == sorted(["train_spg", "evaluate_spg", *LAST])
    assert "lower" in dvc(project, "exp", "show", "--md")
    changed = json.loads(dvc(project, "params", "diff", "--json"))
    (difference,) = changed["params.yaml"].items()
    assert (difference[0], difference[1]["old"], difference[1]["new"]) == ("spg.delta_h", 0.7, 0.6)
    dvc(project, "metrics", "diff")
    back(project)


def back(project: Path) -> None:
    """Return to the last commit."""
    call(project, "git", "checkout", "--", ".")
    dvc(project, "checkout", "--quiet")


def test_every_listed_method_is_run_and_shown(project: Path) -> None:
    names = {kind: listed(kind) for kind in ("methods", "proposals")}
    settings = [f"{kind}=[{','.join(own)}]" for kind, own in names.items()]
    settings.append("ranking.classifiers=[tf_efficientnet_lite0]")
    printed = dvc(project, "exp", "run", *(w for setting in settings for w in ("-S", setting)))
    run = stages_run(printed)
    expected = [
        f"{verb}_method@{name}" for name in names["methods"] for verb in ("train", "evaluate")
    ]
    expected += [f"evaluate_proposals@{name}" for name in names["proposals"]]
    assert sorted(run) == sorted(["download", *expected, "classify@tf_efficientnet_lite0", *LAST])
    tables = {path.stem: path.read_text() for path in (project / "reports/tables").glob("*.md")}
    for table in TABLES:
        measured = tables[table.id].split("## Published")[0]
        rows = {line.row for line in table.measured if "{" not in line.row}
        assert [row for row in rows if f"| {row} |" not in measured] == [], table.id
    assert len(json.loads((project / "reports/metrics.json").read_text())) <= 24
    # Taken off the list again, their files stay and neither appear nor disturb.
    call(project, "git", "checkout", "--", "params.yaml")
    dvc(project, "repro", "--quiet")
    assert (project / "data/scores/has.json").exists()
    assert call(project, "git", "diff", "--quiet", "--", "reports").returncode == 0
    assert "up to date" in dvc(project, "status")
    assert stages_run(dvc(project, "repro")) == []
    back(project)
    assert "up to date" in dvc(project, "status")


def test_methods_run_in_a_copy_and_in_the_queue(project: Path) -> None:
    # No run before had this size: DVC would take the model from its cache of runs.
    settings = ("-S", "methods=[has]", "-S", "has.patch=16")
    printed = dvc(project, "exp", "run", "--temp", "--name", "copy", *settings)
    ours = [name for name in stages_run(printed) if name not in ("download",)]
    assert sorted(ours) == sorted(["train_method@has", "evaluate_method@has", *LAST])
    assert not (project / "data/models/has").exists()
    dvc(project, "exp", "run", "--queue", "--name", "queued", "-S", "spg.delta_h=0.65")
    dvc(project, "exp", "run", "--run-all")
    assert {"copy", "queued"} <= set(dvc(project, "exp", "list", "--name-only").split())
    assert "up to date" in dvc(project, "status")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("spg.delta_h=1.6", ["spg.delta_h", "1.6", "less than 1"]),
        ("spg.dleta_h=0.6", ["Could not override 'spg.dleta_h'"]),  # by DVC itself
        ("+spg.dleta_h=0.6", ["spg.dleta_h", "not permitted"]),
        ("spg.delta_l=0.8", ["delta_l 0.8 must be below delta_h 0.7"]),
        ("input.flip=on", ["input.flip", "valid boolean"]),
        ("+epochs=3", ["epochs", "not permitted"]),
        ("methods=[hass]", ["methods", "hass is none of has, acol"]),
        ("methods=[has,has]", ["methods", "has is listed 2 times"]),
        ("saliency.methods.single=[]", ["saliency.methods.single", "at least 1 item"]),
    ],
)
def test_a_bad_parameter_fails_naming_it(project: Path, setting: str, told: Sequence[str]) -> None:
    done = call(project, sys.executable, "-m", "dvc", "exp", "run", "-S", setting)
    back(project)
    assert done.returncode != 0
    assert [words for words in told if words not in done.stdout] == []


@pytest.mark.parametrize(
    "setting",
    [
        "spn.train_multi.learning_rate=1e-5",
        "spn.train_multi.learning_rate=2",
        "spn.train_multi.decay_epochs=[1,2]",
    ],
)
def test_what_dvc_writes_for_a_setting_is_read_back(project: Path, setting: str) -> None:
    dvc(project, "exp", "run", "-S", setting, "download")
    params = load(project / "params.yaml")
    call(project, "git", "checkout", "--", ".")
    key, _, value = setting.rpartition("=")
    assert getattr(params.spn.train_multi, key.rpartition(".")[2]) == json.loads(value)


def test_a_stage_before_its_inputs_names_the_stage_to_run(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns("cache"))
    shutil.rmtree(tmp_path / "copy/data/packed")
    done = call(tmp_path / "copy", "sh", "stages/run", "train", "spg")
    assert done.returncode == 1
    assert "dvc repro preprocess" in done.stdout


def test_a_bad_list_of_keys_is_reported_whole(project: Path, tmp_path: Path) -> None:
    text = (project / "params.yaml").read_text()
    bad = text.replace("seed: 0", "seed: -1").replace("delta_h: 0.7", "delta_h: 7", 1)
    (tmp_path / "params.yaml").write_text(bad + "unknown: 1\n")
    with pytest.raises(InputError) as raised:
        load(tmp_path / "params.yaml")
    assert all(key in str(raised.value) for key in ("seed", "spg.delta_h", "unknown"))


TRAIN = "FOLDER_ROOT=pictures dvc exp run"
PREDICT = "python -m pipeline.predict photos"
EXPORT = "python -m pipeline.export"


def documented(page: str, start: str) -> str:
    """Return the only command of a page, in a code block or a table, that begins like that."""
    command = rf"^(?:    |\| `)({re.escape(start)}[^`\n]*)"
    (found,) = set(re.findall(command, (REPOSITORY / page).read_text(), re.MULTILINE))
    return str(found)


def test_the_page_on_own_pictures_has_the_commands_of_the_readme() -> None:
    page = "docs/own-data.md"
    train = documented(page, "FOLDER_ROOT=/data/pictures dvc exp run -S data.single=folder train")
    assert train.replace("/data/pictures", "pictures") == documented("README.md", TRAIN)
    assert documented(page, PREDICT) == documented("README.md", PREDICT)


# The last test of this file: it leaves the project with another data set.
def test_from_ones_own_pictures_to_boxes_by_the_commands_of_the_readme(project: Path) -> None:
    for number in range(24):
        for name, colour in (("cat", "lime"), ("dog", "blue")):
            draw(project / f"pictures/{name}/{number}.jpg", (60, 40), [(colour, [9, 5, 40, 30])])
    (project / "photos").mkdir()
    for name in ("cat", "dog"):
        shutil.copy(project / f"pictures/{name}/0.jpg", project / f"photos/{name}.jpg")
    for start in (TRAIN, PREDICT, EXPORT):
        done = call(project, "bash", "-c", documented("README.md", start))
        assert done.returncode == 0, done.stdout
        if start == PREDICT:
            assert "spg: boxes surround in attention+b, the largest part from 0.5" in done.stdout
    found = json.loads((project / "predictions/predictions.json").read_text())
    assert [image["file_name"] for image in found["images"]] == ["cat.jpg", "dog.jpg"]
    assert [each["name"] for each in found["categories"]] == ["cat", "dog"]
    assert len(found["annotations"]) == 2
    assert (project / "predictions/overlays/dog.jpg").exists()
    assert (project / "spg.onnx").exists()
