"""The folder of a trained model, complete in itself: what its network is, and its weights."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from pipeline.checksum import CorruptFile, verify
from pipeline.errors import InputError
from pipeline.files import atomic_path, write_json
from pipeline.models.card import card
from pipeline.models.interface import WEIGHTS, Method
from pipeline.models.recorded import recorded
from pipeline.packed.record import Task
from pipeline.packed.store import PackedSplit
from pipeline.params import Params

FORMAT: Literal[1] = 1
"""Version of the content of model.json."""

DESCRIPTION, CARD = "model.json", "README.md"
"""Names of files in the folder, besides those of `pipeline.models.interface`."""


class Description(BaseModel, frozen=True, extra="forbid"):
    """The content of model.json: all that is needed to use the weights beside it.

    Attributes:
        model: its name in `pipeline.methods.registry`.
        track: `single` if each training picture showed one class, `multi` if several.
        classes: their names, in the order of the network's outputs.
        short_side: as `pipeline.packed.record.Dataset` of the training pictures.
        parameters: values of params.yaml that decide the network, see `pipeline.models.recorded`.
        weights: "sha256:<hex>" of the weights.
    """

    format: Literal[1]
    model: str
    track: Task
    classes: tuple[str, ...]
    data_set: str
    short_side: int | None
    seed: int
    parameters: dict[str, dict[str, Any]]
    weights: str


def describe(folder: Path, model: str, method: Method, split: PackedSplit, params: Params) -> None:
    """Write model.json and README.md beside the weights in `folder`; no date is in them.

    Args:
        model: its name.
        split: one of those that it was trained on.
    """
    description = Description(
        format=FORMAT,
        model=model,
        track=split.task,
        classes=split.classes,
        data_set=split.name,
        short_side=split.short_side,
        seed=params.seed,
        parameters=recorded(params, method.keys),
        weights=f"sha256:{hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()}",
    )
    write_json(folder / DESCRIPTION, description.model_dump())
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(card(description.model_dump()), encoding="utf-8")


def read_description(folder: Path) -> Description:
    """Return the description in `folder`, whose weights are those that it was written with.

    Raises:
        InputError: a file is missing, damaged or of another version.
    """
    path = folder / DESCRIPTION
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); name the folder of a trained model, "
            "data/models/spg for one; `dvc repro` makes them"
        ) from None
    try:
        description = Description.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_fault(error)}") from None
    _check_weights(folder / WEIGHTS, description)
    return description


def _fault(error: ValidationError) -> str:
    """What is wrong with model.json, and what to do; another version alone, for its keys differ."""
    problems = {problem["loc"]: problem for problem in error.errors(include_url=False)}
    if (problem := problems.get(("format",))) and problem["type"] != "missing":
        return (
            f"format {problem['input']!r}, this version of the pipeline reads {FORMAT}; "
            "train the model again, or use the version that wrote it"
        )
    (loc, first), *_ = problems.items()
    key = ".".join(map(str, loc)) or "the whole"
    return f"damaged ({key}: {first['msg']}); restore the file, or train the model again"


def _check_weights(path: Path, description: Description) -> None:
    if not path.is_file():
        raise InputError(f"{path}: not found; restore the file, or train the model again")
    try:
        verify(path, description.weights)
    except CorruptFile as error:
        raise InputError(
            f"{error}: not what {DESCRIPTION} beside it describes; restore both, or train the "
            "model again"
        ) from None
