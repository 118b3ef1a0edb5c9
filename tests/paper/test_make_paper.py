"""`make paper`: what is run, what is printed, what is left behind."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paper.__main__ import main
from paper.experiment import experiments
from paper.settings import load as load_settings
from pipeline.params import load
from tests.conftest import REPOSITORY

FOUND = load_settings()
PARAMS_TEXT = (REPOSITORY / "params.yaml").read_text()


def paper(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["paper", *words])
    main()


def calls(folder: Path, action: str = "run") -> list[dict]:
    """What the fake DVC was asked, and the params.yaml that it saw."""
    every = map(json.loads, (folder / "calls.jsonl").read_text().splitlines())
    return [call for call in every if call["words"][1] == action]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def changes(command: list[str]) -> dict[str, str]:
    """The -S settings of a command."""
    pairs = zip(command, command[1:], strict=False)
    return dict(word.split("=", 1) for flag, word in pairs if flag == "-S")


@pytest.mark.parametrize("table", list(FOUND.tables))
def test_a_dry_run_tells_everything_and_writes_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    before = snapshot(checkout)
    paper(monkeypatch, "--dry", table)
    assert snapshot(checkout) == before
    printed = capsys.readouterr().out
    every = experiments(FOUND, table)
    commands = [line.strip() for line in printed.splitlines() if line.startswith("  dvc exp run ")]
    assert [shlex.split(line) for line in commands] == [e.command() for e in every]
    for part in ("Parameters that differ from ", "Weights: ", " h = (", "10 TFLOP/s"):
        assert printed.count(part) >= len(every), part
    assert "[SP" in printed and " GPU hours (estimate)." in printed
    for part in ("Data sets (", "Disk space (estimate)", "  packed ", "  predictions "):
        assert printed.count(part) == 1, part
    assert all(f"- {note}" in printed for note in FOUND.tables[table].notes)


def test_a_dry_run_as_a_process_writes_no_bytecode(checkout: Path) -> None:
    for name in ("paper", "pipeline", "stages"):
        os.symlink(REPOSITORY / name, checkout / name)
    before = snapshot(REPOSITORY / "paper"), snapshot(checkout)
    command = [sys.executable, "-B", "-m", "paper", "--dry", "spn-1"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (snapshot(REPOSITORY / "paper"), snapshot(checkout)) == before


def test_a_printed_command_parses_back_into_the_same_parameters() -> None:
    base = load(REPOSITORY / "params.yaml").model_dump()
    for table in FOUND.tables:
        for experiment in experiments(FOUND, table):
            words = shlex.split(shlex.join(experiment.command()))
            for key, text in changes(words).items():
                text = text.replace("'", '"')  # words of lists, as hydra reads them
                *sections, last = key.split(".")
                block = base
                for section in sections:
                    block = block[section]
                value = text if isinstance(block[last], str) else json.loads(text)
                assert value == experiment.values[key][0], key


def test_another_rate_gives_other_hours(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper(monkeypatch, "--dry", "--tflops", "5", "spg-3")
    slow = capsys.readouterr().out
    paper(monkeypatch, "--dry", "--tflops", "50", "spg-3")
    fast = capsys.readouterr().out
    hours = [float(text.split("All of it: about ")[1].split()[0]) for text in (slow, fast)]
    assert hours[0] == pytest.approx(10 * hours[1], abs=1)


def test_later_runs_tell_what_differs_from_the_first(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper(monkeypatch, "--dry", "spg-4")
    *_, last = capsys.readouterr().out.split("Parameters that differ from spg-4-full:\n")
    changed = last.split("Weights: ")[0].splitlines()
    assert changed == ["  spg.with_c: True -> False  [SPG Sec. 4.3: SPG-C removed]"]
    paper(monkeypatch, "--dry", "spn-6")
    (coco,) = capsys.readouterr().out.split("== spn-6-coco2014 ==")[1:]
    assert "data.multi: cutouts -> coco2014" in coco and "spn.train_single" not in "".join(
        line for line in coco.splitlines() if "->" in line
    )


def test_data_sets_that_runs_share_are_told_once(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper(monkeypatch, "--dry", "spn-2")
    assert capsys.readouterr().out.count("VOCtest_06-Nov-2007.tar: 0.5 GB, downloaded") == 1


@pytest.mark.parametrize("rate", ["0", "-1", "fast"])
def test_a_rate_that_is_none_is_refused(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, rate: str
) -> None:
    with pytest.raises(SystemExit) as end:
        paper(monkeypatch, "--dry", "--tflops", rate, "spn-1")
    assert end.value.code == 2


def test_a_dry_run_tells_about_registration_and_missing_weights(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper(monkeypatch, "--dry", "spg-3")
    assert "ILSVRC2012_img_train.tar: 147.9 GB, to be fetched by you" in capsys.readouterr().out
    paper(monkeypatch, "--dry", "spn-2", "cnn_s")
    assert "set pretrain.file in params.yaml" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "told"), [([], "name a TABLE"), (["spn-7"], "TABLE=spn-7")])
def test_without_a_table_the_names_are_listed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as end:
        paper(monkeypatch, *words)
    assert told in str(end.value) and all(
        f"TABLE={name} " in str(end.value) for name in FOUND.tables
    )


def test_an_unknown_variant_lists_the_names(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="VARIANT=vgg is none of spn-2's: cnn_s, vgg16, googlenet"):
        paper(monkeypatch, "spn-2", "vgg")


def test_every_run_starts_from_the_same_params_yaml(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper(monkeypatch, "spg-4")
    runs = calls(checkout)
    assert [call["words"] for call in runs] == [
        e.command()[1:] for e in experiments(FOUND, "spg-4")
    ]
    assert {call["params"] for call in runs} == {PARAMS_TEXT}
    assert (checkout / "params.yaml").read_text() == PARAMS_TEXT


def test_the_command_is_printed_before_it_runs_and_the_table_after(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    paper(monkeypatch, "spn-1")
    printed = capfd.readouterr().out
    (experiment,) = experiments(FOUND, "spn-1")
    command, table = f"$ {shlex.join(experiment.command())}", "# SPN Table 1"
    assert (
        printed.index(command)
        < printed.index(table)
        < printed.index("git checkout HEAD -- dvc.lock")
    )
    assert "52.3 (−9.9)" in printed
    assert "52.3 (−9.9)" in (checkout / "reports/paper/spn-1.md").read_text()


def test_a_failed_variant_loses_nothing_of_the_others(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAIL", "no-cascade")
    with pytest.raises(SystemExit, match="spg-4: failed: no-cascade"):
        paper(monkeypatch, "spg-4")
    assert [call["words"][3] for call in calls(checkout)] == [
        e.name for e in experiments(FOUND, "spg-4")
    ]
    text = (checkout / "reports/paper/spg-4.md").read_text()
    assert "- Run no-cascade: no figures yet." in text and "- Run full: `dvc exp run" in text
    assert "spg-4-no-cascade: failed (status 1)" in capfd.readouterr().err
    assert (checkout / "params.yaml").read_text() == PARAMS_TEXT


def test_a_run_that_leaves_no_scores_counts_as_failed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SILENT", "vgg16")
    with pytest.raises(SystemExit, match="spn-1: failed: vgg16"):
        paper(monkeypatch, "spn-1")
    printed = capfd.readouterr()
    assert "spn_multi.json: not found" in printed.err
    assert "git checkout HEAD -- dvc.lock" in printed.out
    assert not (checkout / "reports/paper/spn-1.md").exists(), "nothing was measured"


def test_run_again_it_goes_on_and_adds_to_what_there_is(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper(monkeypatch, "spn-2", "vgg16")
    paper(monkeypatch, "spn-2", "vgg16", "googlenet")  # DVC refuses a name that is taken.
    assert [call["words"][2] for call in calls(checkout, "remove")] == ["spn-2-vgg16"]
    text = (checkout / "reports/paper/spn-2.md").read_text()
    assert "- Run vgg16: `dvc" in text and "- Run googlenet: `dvc" in text


def test_an_interruption_gives_params_yaml_back(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("paper.execution.keep", interrupt)
    with pytest.raises(SystemExit, match="paper: interrupted; run it again to go on"):
        paper(monkeypatch, "spn-3")
    assert len(calls(checkout)) == 1
    assert (checkout / "params.yaml").read_text() == PARAMS_TEXT


def test_an_interruption_waits_for_dvc_to_give_the_workspace_back(checkout: Path) -> None:
    for name in ("paper", "pipeline", "stages"):
        os.symlink(REPOSITORY / name, checkout / name)
    slow = {"SLOW": "voc2012", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "paper", "spn-3"],
        cwd=checkout,
        env=os.environ | slow,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (checkout / "busy").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert "paper: interrupted" in told and process.returncode == 1
    assert (checkout / "given back").exists()
    assert len(calls(checkout)) == 1
    assert (checkout / "params.yaml").read_text() == PARAMS_TEXT


@pytest.mark.parametrize(
    ("file", "told"), [("", "but it names none"), ("absent.pth", "'absent.pth' is no file")]
)
def test_weights_that_only_the_user_has_are_asked_for_before_anything_runs(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, file: str, told: str
) -> None:
    text = PARAMS_TEXT.replace("  file: ''", f"  file: '{file}'", 1)
    (checkout / "params.yaml").write_text(text)
    with pytest.raises(SystemExit, match="pretrain.file: cnn_s needs a file of weights") as end:
        paper(monkeypatch, "spn-2")
    assert told in str(end.value) and "VARIANT='vgg16 googlenet'" in str(end.value)
    assert not (checkout / "calls.jsonl").exists()
    (checkout / "absent.pth").write_bytes(b"")
    if file:
        paper(monkeypatch, "spn-2", "cnn_s")


def test_without_dvc_the_remedy_is_told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    with pytest.raises(SystemExit, match="dvc is not on PATH.*make paper"):
        paper(monkeypatch, "spn-1")


def test_make_passes_on_what_it_is_given() -> None:
    # -o: as if .venv were up to date; -n: nothing is run.
    make = ["make", "-n", "-o", ".venv/.ready", "paper"]
    # Not as part of the make that runs these tests.
    alone = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    for given, words in (
        (["TABLE=spn-2", "DRY=1", "TFLOPS=20"], ["--dry", "--tflops", "20", "spn-2"]),
        (["TABLE=spn-2", "VARIANT=vgg16 googlenet"], ["spn-2", "vgg16", "googlenet"]),
        ([], [""]),
    ):
        done = subprocess.run(
            [*make, *given], cwd=REPOSITORY, env=alone, capture_output=True, text=True
        )
        printed = shlex.split(done.stdout.replace("\\\n", " "))
        assert printed[printed.index("paper") + 1 :] == words, done.stderr
