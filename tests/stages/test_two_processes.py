"""Two processes that share a stage's work leave what one process leaves."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.models.backbones import Backbone
from pipeline.params import Params
from stages.evaluate import evaluate
from stages.evaluate_proposals import evaluate_proposals
from stages.evaluate_saliency import evaluate_saliency
from stages.paths import BACKBONE, classifier_file
from stages.train import train
from tests.conftest import REPOSITORY
from tests.parameters import asking, changed
from tests.warm_python import warm_python

TWO = f"sh {REPOSITORY / 'tests/two_processes.sh'}"
STAGES = {
    (evaluate, "spn_multi"): ["predictions/spn_multi.arrow", "scores/spn_multi.json"],
    (evaluate, "rpn"): ["predictions/rpn.arrow", "scores/rpn.json"],
    (evaluate, "cam_multi"): ["predictions/cam_multi.arrow", "scores/cam_multi.json"],
    (evaluate_saliency, "multi"): ["scores/saliency_multi.json"],
    (evaluate_proposals, "edge_boxes"): ["predictions/edge_boxes.arrow", "scores/edge_boxes.json"],
}
"""Stages that share out their work, and what they write below data/; saliency looks at CAM."""


@pytest.fixture(scope="module")
def few(quick: Params) -> Params:
    """Batches that two processes cannot share evenly."""
    return changed(
        quick,
        methods=["rpn"],
        proposals=["edge_boxes"],
        saliency__tracks=["multi"],
        saliency__methods=asking(["gradient", "grad_cam", "c_mwp"]),
        evaluate__batch_size=3,
    )


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    furnished: Callable[[Path], Path],
) -> Iterator[Path]:
    """A folder in which stages can be run, with packed images, first weights and a warm Python."""
    folder = furnished(tmp_path_factory.mktemp("place"))
    for name in ("pipeline", "stages"):
        (folder / name).symlink_to(REPOSITORY / name)
    with warm_python(folder / ".venv/bin/python"):
        yield folder


def write_params(folder: Path, params: Params) -> None:
    content = json.loads(params.model_dump_json())
    (folder / "params.yaml").write_text(yaml.safe_dump(content))


def stage(folder: Path, *words: str) -> None:
    """Run a stage by two processes, which must succeed."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    done = subprocess.run(
        ["sh", "stages/run", *words],
        cwd=folder,
        env=os.environ | {"LAUNCH": TWO, "MASTER_PORT": port, "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("work", "subject"), STAGES, ids=[f"{work.__name__}-{subject}" for work, subject in STAGES]
)
def test_two_processes_leave_the_bytes_that_one_leaves(
    place: Path,
    few: Params,
    leave_network: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Params, str], None],
    subject: str,
) -> None:
    monkeypatch.chdir(place)
    write_params(place, few)
    if work is evaluate:
        leave_network(subject)
    work(few, subject)
    outs = [Path("data") / name for name in STAGES[work, subject]]
    alone = [out.read_bytes() for out in outs]
    for out in outs:
        out.unlink()
    stage(place, work.__name__, subject)
    assert [out.read_bytes() for out in outs] == alone
    assert not [path for path in Path(".scratch").rglob("*.arrow")]


def test_two_processes_train_as_one_does(
    place: Path, few: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses and weights differ by rounding, for gradients are added in another order."""
    monkeypatch.chdir(place)
    # Each process drops out other units and, where statistics are learnt, learns its own.
    calm = changed(few, spn__dropout=0.0, backbone__standardise=False)
    write_params(place, calm)
    found = []
    for work in (partial(train, calm), partial(stage, place, "train")):
        work("spn_multi")
        folder = Path("data/models/spn_multi")
        found.append(
            (pd.read_csv(folder / "history.csv"), load_file(folder / "weights.safetensors"))
        )
        shutil.rmtree(folder)
    (curve, weights), (shared_curve, shared_weights) = found
    pd.testing.assert_frame_equal(shared_curve, curve, rtol=1e-4)
    assert weights.keys() == shared_weights.keys()
    for name, value in weights.items():
        np.testing.assert_allclose(shared_weights[name], value, rtol=1e-3, atol=1e-5)


def test_two_processes_pretrain_and_classify(
    place: Path, few: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each learns statistics of its own, so that the figures are others than one process's."""
    monkeypatch.chdir(place)
    short = {"pretrain__source": "scratch", "pretrain__train__epochs": 1}
    params = changed(
        few, ranking__classifiers=["test_resnet"], pretrain__train__batch_size=4, **short
    )
    write_params(place, params)
    first = BACKBONE.read_bytes()
    stage(place, "pretrain")
    Backbone(params.backbone, BACKBONE)  # It takes them.
    assert BACKBONE.read_bytes() != first
    BACKBONE.write_bytes(first)
    stage(place, "classify", "test_resnet")
    found = list(read_predictions(classifier_file("test_resnet"), "test"))
    assert [each.id for each in found] == ["014", "015", "016", "017"]
    assert all(each.scores.sum() == pytest.approx(1) for each in found)
    assert not [path for path in Path(".scratch").iterdir() if path.is_dir()]
