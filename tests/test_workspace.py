"""Files that git does not know, as a run in one of DVC's copies of the checkout finds them."""

from pathlib import Path

import pytest

from pipeline.datasets.sources import SOURCES
from pipeline.download.addresses import local_path
from pipeline.errors import InputError
from pipeline.models.pretrained import imagenet_classifier
from pipeline.params import Params
from pipeline.workspace import checkout, located
from stages.paths import download_folder
from tests.parameters import changed


@pytest.fixture(params=["tmpab12", "standalone/tmpab12"])
def copy(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where `dvc exp run --temp` or `--queue` copied the checkout to."""
    folder = tmp_path / ".dvc/tmp/exps" / request.param
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_a_copy_belongs_to_its_checkout(copy: Path, tmp_path: Path) -> None:
    assert checkout() == tmp_path


def test_a_checkout_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkout() == Path()
    assert located("data/mine.pth") == Path("data/mine.pth")


def test_a_file_is_taken_from_the_copy_if_it_has_it(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "list.tsv").touch()
    assert located("list.tsv") == tmp_path / "list.tsv"
    (copy / "list.tsv").touch()
    assert located("list.tsv") == Path("list.tsv")
    assert located(tmp_path / "list.tsv") == tmp_path / "list.tsv"


def test_what_is_nowhere_is_named_where_it_is_missed(
    copy: Path, tmp_path: Path, params: Params
) -> None:
    chosen = changed(params, pretrain__source="file", pretrain__file="mine.pth")
    with pytest.raises(InputError, match=f"pretrain.file: {tmp_path / 'mine.pth'} not found"):
        imagenet_classifier(chosen.backbone, chosen.pretrain)


def test_roots_mirrors_and_downloads_are_those_of_the_checkout(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("photographs", "mirror"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("VOC_ROOT", "photographs")
    external = SOURCES["voc2007"].external
    assert external and external.given() == tmp_path / "photographs"
    assert local_path("mirror") == tmp_path / "mirror"
    for value, folder in (("", "data/downloads"), ("big", "big"), ("/disk", "/disk")):
        monkeypatch.setenv("WSOL_DATA", value)
        assert download_folder("cub") == tmp_path / folder / "cub"
