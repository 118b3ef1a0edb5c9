import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

import stages.download
from pipeline.download.archives import DISTRIBUTIONS
from pipeline.errors import InputError
from stages.download import download
from stages.paths import RAW
from tests.parameters import changed
from tests.pictures import draw

REPOSITORY = Path(__file__).parents[2]


def using(params, **names):
    return params.model_copy(update={"data": params.data.model_copy(update=names)})


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """A working folder with a small embedded archive and its checksum."""
    monkeypatch.chdir(tmp_path)
    zipped = Path("data/cutouts/cutouts.zip")
    zipped.parent.mkdir(parents=True)
    with zipfile.ZipFile(zipped, "w") as content:
        content.writestr("manifest.json", "{}")
    digest = hashlib.sha256(zipped.read_bytes()).hexdigest()
    zipped.with_name("cutouts.zip.sha256").write_text(f"{digest}  cutouts.zip\n")
    return zipped


@pytest.fixture
def photographs(tiny_voc, tiny_cub, tmp_path, monkeypatch, params):
    """Parameters that name both external data sets, with their variables set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOC_ROOT", str(tiny_voc))
    monkeypatch.setenv("CUB_ROOT", str(tiny_cub))
    return using(params, multi="voc2007", single="cub")


def raw():
    return {path.relative_to("data/raw").as_posix() for path in Path("data/raw").rglob("*")}


def test_the_embedded_archive_is_unpacked_once_for_both_tracks(embedded, params):
    download(using(params, multi="cutouts", single="cutouts"))
    assert raw() == {"cutouts", "cutouts/manifest.json"}


def test_the_archive_of_the_repository_is_the_one_of_its_checksum(tmp_path, monkeypatch, params):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages.download, "EMBEDDED", REPOSITORY / "data")
    download(using(params, multi="cutouts", single="cutouts"))
    assert "cutouts/manifest.json" in raw()


def test_a_corrupt_archive_leaves_the_older_data(embedded, params):
    chosen = using(params, multi="cutouts", single="cutouts")
    download(chosen)
    embedded.write_bytes(embedded.read_bytes()[:-5])
    with pytest.raises(InputError, match="data/cutouts/cutouts.zip: sha256 is "):
        download(chosen)
    assert raw() == {"cutouts", "cutouts/manifest.json"}
    kept = {"cutouts", "raw", "files", "seen.json", "outside.txt"}
    assert {path.name for path in Path("data").iterdir()} == kept


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff\xfe"])
def test_the_recorded_checksum_must_be_one(embedded, params, content):
    embedded.with_name("cutouts.zip.sha256").write_bytes(content)
    with pytest.raises(InputError, match="cutouts.zip.sha256: holds no sha256; .*git checkout"):
        download(using(params, multi="cutouts", single="cutouts"))


@pytest.mark.parametrize("name", ["cutouts.zip", "cutouts.zip.sha256"])
def test_an_archive_and_its_checksum_are_needed(embedded, params, name):
    embedded.with_name(name).unlink()
    with pytest.raises(
        InputError, match=f"{name}: not found .git checkout data/cutouts restores it"
    ):
        download(using(params, multi="cutouts", single="cutouts"))


def test_a_folder_that_cannot_be_filled_is_named(embedded, params):
    Path("data/raw").symlink_to("nowhere")
    with pytest.raises(InputError, match="data/raw: cannot be filled: .*check"):
        download(using(params, multi="cutouts", single="cutouts"))


def test_external_photographs_are_inventoried_without_their_place(photographs, tiny_voc):
    download(photographs)
    assert raw() == {"voc2007.json", "cub.json"}
    inventory = Path("data/raw/voc2007.json").read_text()
    assert json.loads(inventory)["files"] == 30
    assert str(tiny_voc) not in inventory


def test_the_inventory_is_the_same_elsewhere_and_changes_with_a_file(
    photographs, tiny_voc, tmp_path, monkeypatch
):
    def inventory():
        download(photographs)
        return Path("data/raw/voc2007.json").read_text()

    first = inventory()
    shutil.copytree(tiny_voc, tmp_path / "moved", copy_function=shutil.copyfile)
    monkeypatch.setenv("VOC_ROOT", str(tmp_path / "moved"))
    assert inventory() == first
    picture = tmp_path / "moved/VOCdevkit/VOC2007/JPEGImages/000001.jpg"
    picture.write_bytes(bytes(picture.stat().st_size))
    assert inventory() != first


def test_without_a_root_the_data_set_is_downloaded(photographs, tiny_voc, tmp_path, monkeypatch):
    called = []

    def provide(distribution, root):
        called.append((distribution, root))
        shutil.copytree(tiny_voc, root)

    monkeypatch.setattr(stages.download, "provide", provide)
    monkeypatch.setenv("WSOL_DATA", str(tmp_path / "big disk"))
    download(photographs)
    given = Path("data/raw/voc2007.json").read_text()
    assert called == []
    monkeypatch.delenv("VOC_ROOT")
    Path("data/seen.json").unlink()
    download(photographs)
    assert called == [(DISTRIBUTIONS["voc2007"], tmp_path / "big disk/voc2007")]
    assert Path("data/raw/voc2007.json").read_text() == given


def test_a_download_that_was_deleted_after_packing_is_not_fetched_again(
    photographs, tiny_voc, monkeypatch, capsys
):
    fetched = []

    def provide(distribution, root):
        fetched.append(distribution.name)
        shutil.copytree(tiny_voc, root)

    monkeypatch.setattr(stages.download, "provide", provide)
    monkeypatch.delenv("VOC_ROOT")
    download(photographs)
    given = Path("data/raw/voc2007.json").read_text()
    shutil.rmtree("data/downloads")
    download(photographs)
    assert Path("data/raw/voc2007.json").read_text() == given
    assert fetched == ["voc2007"]
    assert "data/downloads/voc2007: not there any more; what was packed" in capsys.readouterr().err


def test_weights_of_another_content_are_noticed_and_a_copy_is_not(embedded, params):
    weights, record = Path("mine.safetensors"), Path("data/files/pretrain.file.json")
    chosen = changed(using(params, multi="cutouts", single="cutouts"), pretrain__source="file")
    chosen = changed(chosen, pretrain__file=str(weights))

    def recorded():
        download(chosen)
        return record.read_text()

    weights.write_bytes(b"one")
    first = recorded()
    shutil.copyfile(weights, "copy")
    Path("copy").replace(weights)
    assert recorded() == first
    weights.write_bytes(b"two")
    assert recorded() != first
    assert Path("data/outside.txt").read_text() == "pretrain.file\n"


def test_weights_that_are_missing_are_told_before_anything_is_done(embedded, params):
    chosen = changed(params, pretrain__source="file", pretrain__file="mine.safetensors")
    with pytest.raises(InputError, match=r"pretrain\.file: mine.safetensors not found; correct"):
        download(chosen)
    assert not Path("data/raw").exists()


def test_without_anything_outside_there_is_nothing_to_look_at_again(embedded, params):
    download(using(params, multi="cutouts", single="cutouts"))
    assert Path("data/outside.txt").read_text() == "nothing\n"
    assert json.loads(Path("data/seen.json").read_text()) == {}
    assert json.loads(Path("data/files/pretrain.file.json").read_text()) == {}


def test_what_is_outside_is_listed(photographs):
    download(photographs)
    assert Path("data/outside.txt").read_text() == "cub\nvoc2007\n"


def test_a_damaged_record_of_what_was_seen_is_made_anew(photographs):
    download(photographs)
    seen = Path("data/seen.json")
    first = seen.read_bytes()
    seen.write_bytes(first[:20])
    download(photographs)
    assert seen.read_bytes() == first


def test_a_user_who_must_bring_the_data_learns_the_variable(photographs):
    with pytest.raises(InputError, match="has no folder metadata/CUB; .*set WSOL_ROOT to the"):
        download(using(photographs, single="wsol_cub"))


def test_a_user_with_own_pictures_learns_the_variable(embedded, params, monkeypatch, tmp_path):
    monkeypatch.delenv("FOLDER_ROOT", raising=False)
    own = changed(params, data__single="folder")
    with pytest.raises(InputError, match="FOLDER_ROOT is not set: set it to your folder"):
        download(own)
    monkeypatch.setenv("FOLDER_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere: no such folder; set FOLDER_ROOT to"):
        download(own)


def test_a_picture_more_in_the_users_folder_is_noticed(embedded, params, monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDER_ROOT", str(tmp_path / "own"))
    draw(tmp_path / "own/cat/0.jpg", (50, 40), [])
    own = changed(params, data__single="folder")
    download(own)
    before = json.loads((RAW / "folder.json").read_text())
    draw(tmp_path / "own/cat/1.jpg", (50, 40), [])
    download(own)
    after = json.loads((RAW / "folder.json").read_text())
    assert (before["files"], after["files"]) == (1, 2) and before["content"] != after["content"]


def test_a_root_without_the_layout_is_refused(photographs, tmp_path, monkeypatch):
    monkeypatch.setenv("CUB_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere: has no folder CUB_200_2011; set CUB_ROOT to"):
        download(photographs)
    assert not Path("data").exists() or not list(Path("data").iterdir())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"multi": "imagenet"}, "data.multi: 'imagenet' is none of cutouts, voc2007"),
        ({"single": "voc2007"}, "data.single: 'voc2007' is none of cutouts, cub"),
    ],
)
def test_a_data_set_must_exist_and_suit_its_track(photographs, names, message):
    with pytest.raises(InputError, match=message):
        download(using(photographs, **names))
