"""A model as an ONNX file gives what the network gives, or there is no file."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipeline
from pipeline import export as command
from pipeline.exporting import onnx_file
from pipeline.exporting.soft_proposal import WholeSoftProposal
from pipeline.methods.bases.spn.soft_proposal import SoftProposal
from pipeline.params import Params
from tests.parameters import changed

Leave = Callable[..., Path]


@pytest.fixture
def runtime() -> Any:
    pytest.importorskip("onnxscript", reason="pip install '.[onnx]' brings it")
    return pytest.importorskip("onnxruntime", reason="pip install '.[onnx]' brings it")


@pytest.mark.parametrize(
    "values",
    [
        {"solver": "stationary"},
        {"solver": "stationary", "border_correction": True, "sharpness": 2.0},
        {"solver": "power", "max_iterations": 20, "tolerance": 1e-4},
        {"solver": "power", "max_iterations": 3, "tolerance": 0.0},
    ],
)
def test_the_whole_graph_at_once_has_the_proposal_maps_of_its_blocks(
    params: Params, values: dict[str, Any]
) -> None:
    module = SoftProposal(changed(params, **{f"spn__{k}": v for k, v in values.items()}).spn)
    features = torch.rand(4, 8, 11, 10, generator=torch.Generator().manual_seed(0))
    features[1] += 1000  # distances cancel
    features[2] = 1  # no distances at all
    whole, blocks = WholeSoftProposal(module)(features), module(features)
    torch.testing.assert_close(whole, blocks, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("model", ["spg", "spn_multi", "acol"])
def test_the_file_gives_scores_and_maps_of_the_network_for_any_number_of_pictures(
    leave: Leave,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    runtime: Any,
    model: str,
) -> None:
    folder, path = leave(tmp_path, model), tmp_path / "model.onnx"
    monkeypatch.setattr(sys, "argv", ["export", str(folder), str(path)])
    command.main()
    assert f"{path}\n" in capsys.readouterr().out
    session, trained = runtime.InferenceSession(str(path)), pipeline.load(folder)
    more = {"spg": ["guidance_b1", "guidance_b2", "guidance_c"], "spn_multi": ["proposal_maps"]}
    names = ["scores", "response_maps", *more.get(model, [])]
    assert sorted(output.name for output in session.get_outputs()) == sorted(names)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == list(trained.classes)
    assert told["input_size"] == "64" and told["boxes"] == str(trained.rule)
    for count in (1, 5):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 3, 64, 64), np.uint8)
        with torch.inference_mode():
            found = trained.network.localize(torch.from_numpy(pixels))
        scores, maps = session.run(["scores", "response_maps"], {"images": pixels})
        np.testing.assert_allclose(scores, trained.probabilities(found.logits), atol=1e-5)
        np.testing.assert_allclose(maps, found.response_maps, atol=1e-4)


def test_a_file_that_differs_from_the_network_is_not_kept(
    models: Path, monkeypatch: pytest.MonkeyPatch, runtime: Any
) -> None:
    monkeypatch.setattr(onnx_file, "TOLERANCE", -1.0)
    path = models / "spg.onnx"
    path.write_text("as it was")
    monkeypatch.setattr(sys, "argv", ["export", str(models / "spg"), str(path)])
    with pytest.raises(SystemExit, match="export: scores: the ONNX file differs .* not kept"):
        command.main()
    assert path.read_text() == "as it was"
    assert sorted(each.name for each in models.iterdir() if each.is_file()) == ["spg.onnx"]


def test_without_the_packages_the_remedy_is_told(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr(sys, "argv", ["export", str(models / "spg"), str(models / "spg.onnx")])
    with pytest.raises(SystemExit, match=r"export: package onnx is not installed.*\.\[onnx\]"):
        command.main()
    assert not (models / "spg.onnx").exists()
