"""From the official archives, served on loopback, to scores: download to evaluate."""

import hashlib
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import stages.download
from pipeline.download import resuming
from pipeline.download.archives import DISTRIBUTIONS, Distribution
from pipeline.errors import InputError
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from stages.download import download
from stages.evaluate import evaluate
from stages.paths import download_folder, scores_file, split_folder
from stages.preprocess import preprocess
from stages.train import train
from tests.datasets.layouts import write_tiny_coco, write_tiny_ilsvrc
from tests.download.server import Faults, LoopbackServer
from tests.parameters import changed

TRACKS = {
    "voc2007": "multi",
    "voc2012": "multi",
    "coco2014": "multi",
    "cub": "single",
    "ilsvrc": "single",
}


def tar(path: Path, root: Path, members: Callable[[str], bool] = lambda name: True) -> None:
    """Pack the chosen files below `root`, with their folders, as .tar or .tgz by name."""
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_dir() or members(file.relative_to(root).as_posix()):
                archive.add(file, file.relative_to(root).as_posix(), recursive=False)


def zipped(path: Path, root: Path, folder: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((root / folder).rglob("*")):
            archive.write(file, file.relative_to(root).as_posix())


def pack_voc2007(root: Path, archives: Path) -> None:
    def tested(name: str) -> bool:
        stem = Path(name).stem
        return stem == "test" or (stem.isdigit() and int(stem) % 2 == 0)

    tar(archives / "VOCtrainval_06-Nov-2007.tar", root, lambda name: not tested(name))
    tar(archives / "VOCtest_06-Nov-2007.tar", root, tested)


def pack_voc2012(root: Path, archives: Path) -> None:
    folder = (root / "VOCdevkit/VOC2007").rename(root / "VOCdevkit/VOC2012")
    lists = folder / "ImageSets/Main"
    (lists / "trainval.txt").rename(lists / "train.txt")
    (lists / "test.txt").rename(lists / "val.txt")
    tar(archives / "VOCtrainval_11-May-2012.tar", root)


def pack_coco(root: Path, archives: Path) -> None:
    write_tiny_coco(root)
    for name, folder in [
        ("train2014", "train2014"),
        ("val2014", "val2014"),
        ("annotations_trainval2014", "annotations"),
    ]:
        zipped(archives / f"{name}.zip", root, folder)


def pack_cub(root: Path, archives: Path) -> None:
    (root / "attributes.txt").write_text("1 has_bill_shape::curved\n")
    tar(archives / "CUB_200_2011.tgz", root)


def pack_ilsvrc(root: Path, archives: Path) -> None:
    write_tiny_ilsvrc(root)
    data = root / "ILSVRC/Data/CLS-LOC"
    inner = root / "inner"
    inner.mkdir()
    for synset in (data / "train").iterdir():
        tar(inner / f"{synset.name}.tar", synset)
    tar(archives / "ILSVRC2012_img_train.tar", inner)
    tar(archives / "ILSVRC2012_img_val.tar", data / "val")
    tar(archives / "ILSVRC2012_bbox_val_v3.tgz", root / "ILSVRC/Annotations/CLS-LOC")
    tar(archives / "ILSVRC2014_devkit.tgz", root / "ILSVRC/devkit")


PACKERS = {
    "voc2007": pack_voc2007,
    "voc2012": pack_voc2012,
    "coco2014": pack_coco,
    "cub": pack_cub,
    "ilsvrc": pack_ilsvrc,
}


def described(distribution: Distribution, folder: Path) -> Distribution:
    """The distribution with sizes and checksums of the archives in `folder`."""

    def measured(name: str) -> dict[str, object]:
        content = (folder / name).read_bytes()
        checksum = f"md5:{hashlib.md5(content).hexdigest()}"
        return {"size": len(content), "checksum": checksum, "unpacked_size": 2**20}

    archives = tuple(replace(a, **measured(a.name)) for a in distribution.archives)
    return replace(distribution, archives=archives)


@pytest.fixture
def official(
    tmp_path: Path, tiny_voc: Path, tiny_cub: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Makes the archives of a data set and enters their checksums in the catalogue."""

    def make(name: str) -> Path:
        roots = {"voc2007": tiny_voc, "voc2012": tiny_voc, "cub": tiny_cub}
        archives, root = tmp_path / "archives", roots.get(name, tmp_path / "layout")
        archives.mkdir()
        PACKERS[name](root, archives)
        small = {name: described(DISTRIBUTIONS[name], archives)}
        monkeypatch.setattr(stages.download, "DISTRIBUTIONS", DISTRIBUTIONS | small)
        return archives

    return make


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], LoopbackServer]]:
    """Serves a folder as the only mirror."""
    servers = []

    def start(folder: Path) -> LoopbackServer:
        server = LoopbackServer(folder).__enter__()
        servers.append(server)
        monkeypatch.setenv("WSOL_MIRROR", server.url)
        return server

    monkeypatch.setattr(resuming, "BACKOFF_S", 0)
    yield start
    for server in servers:
        server.__exit__(None, None, None)


def using(params: Params, name: str) -> Params:
    """`params` with the data set on its track; one epoch of a few images."""
    return changed(
        params,
        **{f"data__{TRACKS[name]}": name},
        evaluate__ten_crop=False,
        spn__train_multi__epochs=1,
        spn__train_single__epochs=1,
    )


@pytest.fixture
def embedded(workspace: Path) -> None:
    """The archive of the track that is not under test, and no packed data."""
    shutil.copytree(Path(__file__).parents[1] / "data/cutouts", "data/cutouts")
    shutil.rmtree("data/packed")


@pytest.mark.parametrize("name", TRACKS)
def test_a_data_set_goes_from_its_archives_to_scores(
    name: str,
    official: Callable[[str], Path],
    serve: Callable[[Path], LoopbackServer],
    embedded: None,
    quick: Params,
) -> None:
    server = serve(official(name))
    track, params = TRACKS[name], using(quick, name)
    download(params)
    preprocess(params, track)
    train(params, f"cam_{track}")
    evaluate(params, f"cam_{track}")
    scores = json.loads(scores_file(f"cam_{track}").read_text())
    packed = {split: PackedSplit(split_folder(track, split)) for split in ("train", "val", "test")}
    assert all(len(split) for split in packed.values())
    assert scores["n"]["test"] == len(packed["test"])
    assert scores["dataset"] == packed["test"].name
    assert "images" in scores["dataset"], "tiny data must not carry the benchmark's name"
    asked = len(server.requests)
    download(params)
    assert len(server.requests) == asked, "what is there is not fetched again"


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (Faults(statuses=[404] * 9), "404"),
        (Faults(statuses=[500] * 99), "500"),
        (Faults(drops=[10] * 99), "10"),
        (Faults(replaced={"Content-Length": "77"}), "77"),
        (Faults(replaced={"Content-Type": "text/html"}), "web page"),
    ],
)
def test_a_faulty_server_ends_in_one_message_and_no_data(
    faults: Faults,
    told: str,
    official: Callable[[str], Path],
    serve: Callable[[Path], LoopbackServer],
    embedded: None,
    quick: Params,
) -> None:
    server = serve(official("cub"))
    server.faults["/CUB_200_2011.tgz"] = faults
    with pytest.raises(InputError, match=rf"CUB_200_2011.tgz: cannot be fetched[^$]*{told}"):
        download(using(quick, "cub"))
    assert not Path("data/raw").exists()
    assert not (download_folder("cub") / "CUB_200_2011").exists()


def test_a_changed_archive_is_kept_aside_and_never_used(
    official: Callable[[str], Path],
    serve: Callable[[Path], LoopbackServer],
    embedded: None,
    quick: Params,
) -> None:
    archive = official("cub") / "CUB_200_2011.tgz"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 255
    archive.write_bytes(content)
    serve(archive.parent)
    with pytest.raises(InputError, match="kept as .*CUB_200_2011.tgz.corrupt"):
        download(using(quick, "cub"))
    kept = download_folder("cub") / "archives/CUB_200_2011.tgz.corrupt"
    assert kept.read_bytes() == bytes(content)
    assert not (download_folder("cub") / "CUB_200_2011").exists()


def test_a_folder_stands_in_for_the_servers(
    official: Callable[[str], Path],
    embedded: None,
    quick: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WSOL_MIRROR_ILSVRC", str(official("ilsvrc")))
    download(using(quick, "ilsvrc"))
    images, annotations, blacklist = 20, 10, 1
    found = json.loads(Path("data/raw/ilsvrc.json").read_text())["files"]
    assert found == images + annotations + blacklist
    assert not (download_folder("ilsvrc") / "archives/ILSVRC2012_img_train.tar").exists()


def test_ilsvrc_must_be_brought_by_the_user(embedded: None, quick: Params) -> None:
    with pytest.raises(InputError) as raised:
        download(using(quick, "ilsvrc"))
    message = str(raised.value)
    for archive in DISTRIBUTIONS["ilsvrc"].archives:
        assert archive.name in message
        assert archive.checksum in message
    assert "set WSOL_MIRROR_ILSVRC" in message
