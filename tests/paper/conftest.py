"""A workspace with params.yaml and a stand-in for DVC that records what it is asked to run."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from paper.settings import FURTHER
from tests.conftest import REPOSITORY

FAKE_DVC = f"""#!{sys.executable}
import json, os, pathlib, sys, time

MULTI = ("wsddn", "selective_search", "edge_boxes", "rpn")

def invented(name, scores):
    # Of a file of several models, those of one of them.
    of = {{"saliency_multi": "mwp_multi", "saliency_single": "mwp_single",
          "compare": "spg+resnet50"}}
    return scores[of.get(name, name)]

words = sys.argv[1:]
with open("calls.jsonl", "a") as file:
    seen = pathlib.Path("params.yaml").read_text()
    file.write(json.dumps({{"words": words, "params": seen}}) + "\\n")
known = pathlib.Path("experiments.txt")
names = known.read_text().split() if known.exists() else []
if words[:2] == ["exp", "list"]:
    print("\\n".join(names))
elif words[:2] == ["exp", "remove"]:
    known.write_text("\\n".join(name for name in names if name != words[2]))
elif words[:2] == ["exp", "run"]:
    # Like DVC, it leaves the settings of the experiment in params.yaml.
    pathlib.Path("params.yaml").write_text(f"changed by {{words[3]}}\\n")
    variant = words[3].split("-", 2)[2]
    if variant in os.environ.get("SLOW", "").split():
        # Ctrl-C reaches it too; it gives the workspace back, which takes time.
        try:
            pathlib.Path("busy").touch()
            time.sleep(60)
        finally:
            time.sleep(1)
            pathlib.Path("given back").touch()
    if variant in os.environ.get("FAIL", "").split():
        sys.exit(1)
    if words[3] in names:
        sys.exit("experiment exists")
    known.write_text("\\n".join([*names, words[3]]))
    scores = json.loads(pathlib.Path("scores.json").read_text())
    changes = dict(word.split("=", 1) for before, word in zip(words, words[1:]) if before == "-S")
    folder = pathlib.Path("data/scores")
    folder.mkdir(parents=True, exist_ok=True)
    further = {{stage: name for name, stage in {FURTHER!r}.items()}}
    for target in (word for word in words if word.startswith("evaluate_") or word in further):
        name = further.get(target, target.removeprefix("evaluate_").replace("@", "_"))
        content = invented(name, scores)
        track = "multi" if content["n"].get("pointing_all") or name in MULTI else "single"
        names = {{"voc2007": "VOC2007", "voc2012": "VOC2012", "coco2014": "COCO2014",
                 "cub": "CUB-200-2011", "ilsvrc": "ILSVRC"}}
        own = {{"dataset": names[changes[f"data.{{track}}"]], "backbone": changes["backbone.name"]}}
        scored = content | own
        if name == "compare":
            ranking = {{scored["model"]: scored}}
            scored = {{"differences": {{}}, "ranking": ranking, "sources": {{}}}}
        if variant not in os.environ.get("SILENT", "").split():
            (folder / f"{{name}}.json").write_text(json.dumps(scored))
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: params.yaml, a fake DVC first on PATH, invented scores for it."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    shutil.copy(REPOSITORY / "tests/reporting/scores.json", tmp_path)
    dvc = tmp_path / "bin/dvc"
    dvc.parent.mkdir()
    dvc.write_text(FAKE_DVC)
    dvc.chmod(dvc.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{dvc.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path
