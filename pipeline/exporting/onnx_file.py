"""A trained model as an ONNX file, checked against the network that it was made of."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import InputError, first_line
from pipeline.exporting.soft_proposal import WholeSoftProposal
from pipeline.files import atomic_path
from pipeline.methods.bases.spn.soft_proposal import SoftProposal
from pipeline.models.interface import Localizer
from pipeline.prediction.model import TrainedModel

TOLERANCE = 1e-4
"""How far an output of the file may be from the network's, as a share of its largest value."""
OPSET = 18
INPUT, SCORES, RESPONSES, PROPOSALS = "images", "scores", "response_maps", "proposal_maps"
GUIDANCE = "guidance_{}"
"""Names of the input and of the outputs."""
_CHECKED = 3
"""Pictures of the check; the graph is made with two."""


class _Outputs(nn.Module):
    """What a model answers, as a tuple of the tensors that there are."""

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.model, self.network = model, model.network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named(images).values())

    def named(self, images: Tensor) -> dict[str, Tensor]:
        """Return scores (B, C), response maps (B, C, h, w) and further maps (B, h, w) by name."""
        found = cast(Localizer, self.network).localize(images)
        outputs = {
            SCORES: self.model.probabilities(found.logits),
            RESPONSES: found.response_maps,
        }
        if found.proposal_maps is not None:
            outputs[PROPOSALS] = found.proposal_maps
        return outputs | {GUIDANCE.format(name): own for name, own in found.guidance.items()}


def write(model: TrainedModel, path: Path) -> dict[str, float]:
    """Write `model` to `path`; return by output how far the file is from the network.

    The input is `images` (B, 3, S, S) uint8, RGB, for any B. Outputs are `scores` (B, C)
    probabilities, `response_maps` (B, C, h, w) and, where the network has them, `proposal_maps` and
    `guidance_<branch>` (B, h, w). The file's metadata tell the classes, S and the rule for boxes.

    Raises:
        InputError: onnx or onnxruntime is not installed, the network cannot be exported, or an
            output differs by more than TOLERANCE; no file is left then.
    """
    onnx, runtime = _packages()
    outputs = _Outputs(model).eval().cpu()
    with torch.inference_mode():
        examples = _pictures(model.input.size)
        expected = {name: own.numpy() for name, own in outputs.named(examples).items()}
    with atomic_path(path) as temporary:
        graph = _graph(outputs, list(expected), examples[:2])
        onnx.helper.set_model_props(graph, _metadata(model))
        onnx.save(graph, str(temporary))
        with _refused(model):
            session = runtime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
            found = session.run(list(expected), {INPUT: examples.numpy()})
        return _compared(expected, dict(zip(expected, found, strict=True)))


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ModuleNotFoundError as error:
        raise InputError(
            f"package {error.name} is not installed, which ONNX files need; "
            "run `.venv/bin/python -m pip install '.[onnx]'`"
        ) from None
    return onnx, onnxruntime


def _pictures(size: int) -> Tensor:
    """Return pictures (_CHECKED, 3, S, S) uint8: noise of two grains, and one of a single colour.

    All cells of the last have equal features but at the border, where distances cancel.
    """
    generator = torch.Generator().manual_seed(0)
    fine = torch.rand(1, 3, size, size, generator=generator)
    coarse = nn.functional.interpolate(torch.rand(1, 3, 8, 8, generator=generator), (size, size))
    return (torch.cat([fine, coarse, torch.full_like(fine, 0.5)]) * 255).to(torch.uint8)


def _graph(outputs: _Outputs, names: list[str], examples: Tensor) -> Any:
    """Return the ONNX model."""
    whole = deepcopy(outputs)
    for name, module in list(whole.named_modules()):
        if isinstance(module, SoftProposal):
            whole.set_submodule(name, WholeSoftProposal(module))
    with _refused(outputs.model), _quiet():
        program = torch.onnx.export(
            whole,
            (examples,),
            input_names=[INPUT],
            output_names=names,
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    return cast(Any, program).model_proto


@contextmanager
def _refused(model: TrainedModel) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # exporter and runtime refuse networks each in its own way
        raise InputError(
            f"{model.description.model} cannot be exported ({first_line(error)}); "
            "docs/use.md tells which models can"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter tells of its own workings from the user."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(level)


def _metadata(model: TrainedModel) -> dict[str, str]:
    description = model.description
    return {
        "model": description.model,
        "weights": description.weights,
        "track": description.track,
        "classes": json.dumps(description.classes),
        "input_size": str(model.input.size),
        "align_corners": json.dumps(model.input.align_corners),
        "boxes": str(model.rule),
    }


def _compared(
    expected: Mapping[str, NDArray[np.float32]], found: Mapping[str, NDArray[np.float32]]
) -> dict[str, float]:
    """Return the largest difference of each output as a share of its largest value."""
    shares = {}
    for name, own in expected.items():
        scale = float(np.abs(own).max()) or 1.0
        shares[name] = float(np.abs(own - found[name]).max()) / scale
        if not shares[name] <= TOLERANCE:
            raise InputError(
                f"{name}: the ONNX file differs from the network by {shares[name]:.2g} of the "
                f"largest value, {TOLERANCE} is allowed; the file is not kept"
            )
    return shares
