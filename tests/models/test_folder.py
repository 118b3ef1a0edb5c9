"""A trained model's folder tells what its weights are, and notices when it does not fit them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.methods.bases import cam
from pipeline.models.folder import describe, read_description
from pipeline.packed.store import PackedSplit
from pipeline.params import Params


@pytest.fixture
def folder(tmp_path: Path, quick: Params, packed_once: Path) -> Path:
    folder = tmp_path / "cam_single"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"weights")
    describe(folder, "cam_single", cam.METHOD, PackedSplit(packed_once / "single/train"), quick)
    return folder


@pytest.fixture
def edit(folder: Path) -> Callable[[Callable[[dict[str, Any]], object]], None]:
    """Change the content of model.json."""

    def change(by: Callable[[dict[str, Any]], object]) -> None:
        content = json.loads((folder / "model.json").read_text())
        by(content)
        (folder / "model.json").write_text(json.dumps(content))

    return change


def fails(folder: Path, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_description(folder)


def test_a_model_is_described(folder: Path, quick: Params) -> None:
    found = read_description(folder)
    assert (found.model, found.track, found.data_set) == ("cam_single", "single", "boxes")
    assert (found.classes, found.seed) == (("red", "lime", "blue"), quick.seed)
    assert found.parameters["spn"] == {
        "convolution": True,
        "channels": 16,
        "groups": 2,
        "dropout": 0.5,
    }
    assert found.parameters["backbone"]["name"] == "test_efficientnet"


def test_describing_twice_gives_the_same_bytes(
    folder: Path, quick: Params, packed_once: Path
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    describe(folder, "cam_single", cam.METHOD, PackedSplit(packed_once / "single/train"), quick)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_card_tells_what_it_was_trained_on(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "boxes, one label for each picture" in card
    assert "red, lime, blue" in card
    assert "--model data/models/cam_single" in card


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    fails(tmp_path / "gone", "gone/model.json: cannot be read .No such file.*; name the folder of")
    fails(tmp_path, "model.json: cannot be read .*data/models/spg for one")


def test_another_version_is_told_before_all_else(folder: Path, edit: Callable[..., None]) -> None:
    edit(lambda content: content.update(format=2, unknown=1))
    fails(folder, r"model.json: format 2, this version of the pipeline reads 1; train the model")


@pytest.mark.parametrize("key", ["format", "classes", "weights"])
def test_a_missing_key_is_named(folder: Path, edit: Callable[..., None], key: str) -> None:
    edit(lambda content: content.pop(key))
    fails(folder, rf"model.json: damaged \({key}: Field required\); restore the file")


@pytest.mark.parametrize("content", ["", "{", "[]", "\0"])
def test_a_damaged_description_is_refused(folder: Path, content: str) -> None:
    (folder / "model.json").write_text(content)
    fails(folder, "model.json: damaged .*; restore the file, or train")


def test_other_weights_are_refused(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"others")
    fails(folder, "weights.safetensors: sha256 is .* not what model.json beside it describes")
    (folder / "weights.safetensors").unlink()
    fails(folder, "weights.safetensors: not found; restore")
