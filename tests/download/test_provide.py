"""Facts of providing a data set: done once, restartable, alone, and clear about what is missing."""

import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.download import provide as module
from pipeline.download.archives import DISTRIBUTIONS, Archive, Distribution
from pipeline.download.provide import disk_space, download_size, provide
from pipeline.errors import InputError
from tests.download.server import Faults, LoopbackServer

TRAINVAL = {
    "VOCdevkit/VOC2007/JPEGImages/000005.jpg": b"trainval",
    "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt": b"000005\n",
    "VOCdevkit/VOC2007/ImageSets/Main/both.txt": b"same",
}
TEST = {
    "VOCdevkit/VOC2007/JPEGImages/000001.jpg": b"test",
    "VOCdevkit/VOC2007/ImageSets/Main/test.txt": b"000001\n",
    "VOCdevkit/VOC2007/ImageSets/Main/both.txt": b"same",
    "VOCdevkit/VOC2007/SegmentationClass/000068.png": b"mask",
}


def tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as content:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            content.addfile(info, io.BytesIO(data))
    return path


def described(path: Path, **changes: object) -> Archive:
    """The catalogue's entry of a file made here."""
    archive = Archive(
        name=path.name,
        size=path.stat().st_size,
        checksum=f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}",
        published="here",
        mirrors=("https://mirror.invalid/files",),
        unpacked_size=10_000,
        contains=Path("VOCdevkit/VOC2007"),
    )
    return replace(archive, **changes)  # type: ignore[arg-type]


def tree(root: Path) -> dict[str, bytes]:
    """The visible files of `root`, without the archives."""
    found = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in found.items()
        if not name.parts[0].startswith(".") and name.parts[0] != "archives"
    }


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A folder with the two archives of VOC 2007."""
    tar(tmp_path / "server/trainval.tar", TRAINVAL)
    tar(tmp_path / "server/test.tar", TEST)
    return tmp_path / "server"


@pytest.fixture
def voc(server: Path) -> Distribution:
    lists = Path("VOCdevkit/VOC2007/ImageSets/Main")
    archives = tuple(
        described(server / f"{name}.tar", contains=lists / f"{name}.txt")
        for name in ("trainval", "test")
    )
    return Distribution("voc2007", archives, "a note")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data/voc2007"


@pytest.fixture(autouse=True)
def no_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WSOL_MIRROR", "WSOL_MIRROR_VOC2007", "WSOL_MIRROR_ILSVRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fetched(server: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Downloads come from the folder `server`; the list tells the addresses that were asked."""
    asked: list[list[str]] = []

    def fetch(
        addresses: Sequence[str], target: Path, *, size: int | None = None, checksum: str = ""
    ) -> Path:
        asked.append(list(addresses))
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(server / target.name, target))

    monkeypatch.setattr(module, "fetch", fetch)
    return asked


def killed_at(monkeypatch: pytest.MonkeyPatch, function: str, call: int) -> Callable[[], None]:
    """Make the given call of a function of the module end the process; return the undoing."""
    real, calls = getattr(module, function), iter(range(1, 100))

    def deadly(*arguments: object, **keywords: object) -> object:
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    monkeypatch.setattr(module, function, deadly)
    return lambda: monkeypatch.setattr(module, function, real)


def test_two_archives_are_merged_in_one_tree(
    voc: Distribution, root: Path, fetched: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST
    assert {path.name for path in root.iterdir()} == {
        ".unpacked.json", ".lock", "VOCdevkit", "archives",
    }  # fmt: skip
    assert capsys.readouterr().err.count(": unpacking") == 2


def test_the_record_lists_each_archive_with_its_checksum(
    voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    provide(voc, root)
    record = json.loads((root / ".unpacked.json").read_text())
    assert record == {archive.name: archive.checksum for archive in voc.archives}


def test_a_complete_data_set_is_not_touched_even_without_its_archives(
    voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    provide(voc, root)
    shutil.rmtree(root / "archives")
    root.chmod(0o500)
    fetched.clear()
    provide(voc, root)
    root.chmod(0o700)
    assert not fetched
    assert not (root / "archives").exists()


def test_what_was_removed_is_provided_again(
    voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    provide(voc, root)
    shutil.rmtree(root / "VOCdevkit")
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST


def test_an_archive_whose_files_were_removed_is_unpacked_again_alone(
    voc: Distribution, root: Path, fetched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    provide(voc, root)
    (root / voc.archives[1].contains).unlink()
    fetched.clear()
    revive = killed_at(monkeypatch, "_merge", 1)
    with pytest.raises(KeyboardInterrupt):
        provide(voc, root)
    revive()
    assert voc.archives[1].name not in (root / ".unpacked.json").read_text()
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST
    assert fetched == [["https://mirror.invalid/files/test.tar"]] * 2


def test_what_was_removed_is_not_complete_before_all_of_it_is_back(
    voc: Distribution, root: Path, fetched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    provide(voc, root)
    shutil.rmtree(root / "VOCdevkit")
    revive = killed_at(monkeypatch, "fetch", 2)
    with pytest.raises(KeyboardInterrupt):
        provide(voc, root)
    assert tree(root) == TRAINVAL
    revive()
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST


def test_another_checksum_in_the_catalogue_replaces_that_part_alone(
    voc: Distribution, root: Path, server: Path, fetched: list[list[str]]
) -> None:
    provide(voc, root)
    tar(server / "test.tar", TEST | {"VOCdevkit/VOC2007/new": b"x"})
    changed = described(server / "test.tar", contains=voc.archives[1].contains)
    fetched.clear()
    provide(replace(voc, archives=(voc.archives[0], changed)), root)
    assert fetched == [["https://mirror.invalid/files/test.tar"]]
    assert tree(root)["VOCdevkit/VOC2007/new"] == b"x"


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("function", ["fetch", "unpack", "_merge", "write_json"])
def test_a_killed_call_is_continued(
    function: str,
    call: int,
    voc: Distribution,
    root: Path,
    fetched: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revive = killed_at(monkeypatch, function, call)
    with pytest.raises(KeyboardInterrupt):
        provide(voc, root)
    revive()
    fetched.clear()
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST
    begun = call - 1 if function == "write_json" else call  # its first call forgets the removed
    assert len(fetched) == 2 - max(0, begun - 1)
    assert not (root / ".unpacking").exists()


def test_a_merge_killed_halfway_moves_the_rest_without_unpacking_again(
    voc: Distribution, root: Path, fetched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, moved = os.replace, list[str]()

    def replace_(source: Path, target: Path) -> None:
        if source.name in ("000001.jpg", "test.txt"):
            moved.append(source.name)
            if len(moved) == 2:
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_)
    with pytest.raises(KeyboardInterrupt):
        provide(voc, root)
    monkeypatch.setattr(os, "replace", real)
    assert tree(root) != TRAINVAL | TEST
    monkeypatch.setattr(module, "unpack", None)
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST


def test_what_a_kill_left_half_unpacked_gives_its_space_back_at_once(
    voc: Distribution, root: Path, fetched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    half = root / ".unpacking/.trainval.tar.123.part"
    (half / "VOCdevkit").mkdir(parents=True)
    there = []
    monkeypatch.setattr(module, "free_space", lambda *_: there.append(half.exists()))
    provide(voc, root)
    assert there == [False]
    assert not (root / ".unpacking").exists()
    assert tree(root) == TRAINVAL | TEST


def test_a_file_in_the_way_is_named_and_stays(
    voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    root.mkdir(parents=True)
    (root / "VOCdevkit").write_text("mine")
    with pytest.raises(InputError, match="VOCdevkit: is in the way; move it elsewhere"):
        provide(voc, root)
    assert (root / "VOCdevkit").read_text() == "mine"
    (root / "VOCdevkit").unlink()
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST


def test_a_full_disk_while_files_are_moved_is_told(
    voc: Distribution, root: Path, fetched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module, "_merge", full)
        with pytest.raises(InputError, match="voc2007: cannot be filled: the disk is full"):
            provide(voc, root)
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST


def test_a_folder_in_the_way_of_a_file_is_named(
    voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    (root / "VOCdevkit/VOC2007/JPEGImages/000005.jpg/mine").mkdir(parents=True)
    with pytest.raises(InputError, match="000005.jpg: is in the way"):
        provide(voc, root)


def test_an_archive_of_another_layout_is_told(
    voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    other = replace(voc.archives[0], contains=Path("elsewhere"))
    for _ in range(2):
        with pytest.raises(
            InputError, match="has no elsewhere after unpacking .*trainval.tar; rep"
        ):
            provide(replace(voc, archives=(other, voc.archives[1])), root)


def test_a_root_that_cannot_be_made_is_named(voc: Distribution, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/data: cannot be filled: .*Not a directory: .*check"):
        provide(voc, tmp_path / "file/data")


@pytest.mark.parametrize("content", [b"{", b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_broken_record_is_named(
    content: bytes, voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    provide(voc, root)
    (root / ".unpacked.json").write_bytes(content)
    with pytest.raises(InputError, match="unpacked.json: is no record of archives; delete it"):
        provide(voc, root)


def test_built_in_mirrors_are_bases_of_addresses(
    voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    provide(voc, root)
    assert fetched == [
        ["https://mirror.invalid/files/trainval.tar"],
        ["https://mirror.invalid/files/test.tar"],
    ]


@pytest.mark.parametrize(
    ("variables", "base"),
    [
        ({"WSOL_MIRROR": "http://all/"}, "http://all"),
        ({"WSOL_MIRROR_VOC2007": "http://one"}, "http://one"),
        ({"WSOL_MIRROR": "http://all", "WSOL_MIRROR_VOC2007": "http://one"}, "http://one"),
        ({"WSOL_MIRROR": "http://all", "WSOL_MIRROR_VOC2007": " "}, "http://all"),
        ({"WSOL_MIRROR": "  "}, "https://mirror.invalid/files"),
    ],
)
def test_a_variable_replaces_the_mirrors(
    variables: dict[str, str],
    base: str,
    voc: Distribution,
    root: Path,
    fetched: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    provide(voc, root)
    assert fetched[0] == [f"{base}/trainval.tar"]


def test_a_variable_may_name_several_places_by_white_space(
    voc: Distribution,
    root: Path,
    server: Path,
    fetched: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WSOL_MIRROR", f"http://a/b\n {server}/ ")
    provide(voc, root)
    assert fetched[0] == ["http://a/b/trainval.tar", f"{server}/trainval.tar"]


@pytest.mark.parametrize("place", ["s3://bucket/voc", "http://[::1/voc", "http://host:none/voc"])
def test_an_address_of_another_kind_is_refused_before_anything_is_fetched(
    place: str,
    voc: Distribution,
    root: Path,
    server: Path,
    fetched: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WSOL_MIRROR", f"{server} {place}")
    with pytest.raises(InputError, match="; correct"):
        provide(voc, root)
    assert fetched == []


def test_archives_in_a_local_folder_are_used_where_they_are(
    voc: Distribution, root: Path, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSOL_MIRROR_VOC2007", str(server))
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST
    assert not list((root / "archives").glob("*.tar"))


def test_a_folder_with_spaces_is_a_file_address(
    voc: Distribution, root: Path, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaced = server.rename(server.with_name("my server"))
    monkeypatch.setenv("WSOL_MIRROR", spaced.as_uri())
    assert "%20" in spaced.as_uri()
    provide(voc, root)
    assert tree(root) == TRAINVAL | TEST


@pytest.mark.parametrize("variable", ["WSOL_MIRROR", "WSOL_MIRROR_VOC2007"])
@pytest.mark.parametrize("gone", [["test.tar"], ["trainval.tar", "test.tar"]])
def test_exactly_the_archives_missing_in_a_folder_are_named(
    gone: list[str],
    variable: str,
    voc: Distribution,
    root: Path,
    server: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in gone:
        (server / name).unlink()
    monkeypatch.setenv("WSOL_MIRROR", str(server))
    with pytest.raises(InputError) as error:
        provide(voc, root)
    assert f"not found in {server}; put the missing there or correct WSOL_MIRROR" in str(
        error.value
    )
    names = ["trainval.tar", "test.tar"]
    assert [name for name in names if f"{name} (10,240 bytes, md5:" in str(error.value)] == [
        name for name in names if name in gone
    ]
    assert tree(root) == {}


def test_archives_put_beside_the_data_need_no_address(
    voc: Distribution, root: Path, server: Path
) -> None:
    alone = replace(voc, archives=tuple(replace(a, mirrors=()) for a in voc.archives))
    (root / "archives").mkdir(parents=True)
    shutil.copy(server / "test.tar", root / "archives")
    with pytest.raises(InputError, match=r"put trainval.tar \([^)]*\) into one folder"):
        provide(alone, root)
    shutil.copy(server / "trainval.tar", root / "archives")
    provide(alone, root)
    assert tree(root) == TRAINVAL | TEST


def test_an_archive_that_is_not_the_official_one_is_refused(
    voc: Distribution, root: Path, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (server / "test.tar").open("r+b") as file:
        file.write(b"X")
    monkeypatch.setenv("WSOL_MIRROR", str(server))
    with pytest.raises(InputError, match="test.tar"):
        provide(voc, root)
    assert tree(root) == TRAINVAL


def test_an_archive_over_its_limit_is_refused_and_its_part_not_begun(
    voc: Distribution, root: Path, fetched: list[list[str]]
) -> None:
    small = replace(voc.archives[1], unpacked_size=5)
    with pytest.raises(InputError, match="unpacks to more than 5 bytes"):
        provide(replace(voc, archives=(voc.archives[0], small)), root)
    assert tree(root) == TRAINVAL


def test_without_a_folder_the_files_of_ilsvrc_are_listed(root: Path) -> None:
    with pytest.raises(InputError) as error:
        provide(DISTRIBUTIONS["ilsvrc"], root)
    message = str(error.value)
    assert "image-net.org gives these files after registration" in message
    assert "set WSOL_MIRROR_ILSVRC to it" in message
    assert (
        "ILSVRC2012_img_train.tar (147,897,477,120 bytes, md5:1d675b47d978889d74fa0da5fadfb00e)"
        in message
    )
    assert "ILSVRC2012_bbox_val_v3.tgz (md5:f4cd18b5ea29fe6bbea62ec9c20d80f0)" in message
    assert "ILSVRC2014_devkit.tgz into one folder" in message


def test_ilsvrc_is_laid_out_from_a_users_own_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    inner = tar(tmp_path / "n01440764.tar", {"n01440764_18.JPEG": b"fish"})
    tar(own / "ILSVRC2012_img_train.tar", {"n01440764.tar": inner.read_bytes()})
    tar(own / "ILSVRC2012_img_val.tar", {"ILSVRC2012_val_00000001.JPEG": b"snake"})
    tar(own / "ILSVRC2012_bbox_val_v3.tgz", {"val/ILSVRC2012_val_00000001.xml": b"<a/>"})
    blacklist = "ILSVRC2014_devkit/data/ILSVRC2014_clsloc_validation_blacklist.txt"
    tar(own / "ILSVRC2014_devkit.tgz", {blacklist: b"36\n"})
    official = DISTRIBUTIONS["ilsvrc"]
    archives = tuple(
        described(own / a.name, folder=a.folder, contains=a.contains, mirrors=())
        for a in official.archives
    )
    unpublished = replace(archives[-1], checksum="", published="", size=None)
    monkeypatch.setenv("WSOL_MIRROR_ILSVRC", str(own))
    root = tmp_path / "ilsvrc"
    provide(replace(official, archives=(*archives[:-1], unpublished)), root)
    assert tree(root) == {
        "ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_18.JPEG": b"fish",
        "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG": b"snake",
        "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml": b"<a/>",
        f"ILSVRC/devkit/{blacklist}": b"36\n",
    }
    recorded = json.loads((root / ".unpacked.json").read_text())["ILSVRC2014_devkit.tgz"]
    content = (own / "ILSVRC2014_devkit.tgz").read_bytes()
    assert recorded == f"sha256:{hashlib.sha256(content).hexdigest()}"
    monkeypatch.delenv("WSOL_MIRROR_ILSVRC")
    provide(replace(official, archives=(*archives[:-1], unpublished)), root)


def space_asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that `provide` asks to be free; none are."""
    asked: list[int] = []

    def free_space(folder: Path, needed: int, purpose: str) -> None:
        asked.append(needed)
        if needed:
            raise InputError(f"{folder}: {purpose} needs {needed}")

    monkeypatch.setattr(module, "free_space", free_space)
    return asked


def test_too_little_disk_space_is_told_before_anything_is_fetched(
    voc: Distribution, root: Path, fetched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = space_asked(monkeypatch)
    with pytest.raises(InputError, match="voc2007 needs"):
        provide(voc, root)
    assert asked == [disk_space(voc)]
    assert not fetched


def test_only_what_is_still_to_do_needs_space(
    voc: Distribution,
    root: Path,
    server: Path,
    fetched: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = replace(voc, archives=voc.archives[:1])
    provide(first, root)
    second = voc.archives[1]
    assert second.size is not None
    asked = space_asked(monkeypatch)
    with pytest.raises(InputError):
        provide(voc, root)
    (root / "archives/test.tar.part").write_bytes(bytes(1000))
    with pytest.raises(InputError):
        provide(voc, root)
    monkeypatch.setenv("WSOL_MIRROR", str(server))
    with pytest.raises(InputError):
        provide(voc, root)
    tested = root / ".unpacking/test.tar" / second.contains
    tested.parent.mkdir(parents=True)
    tested.touch()
    provide(voc, root)
    download, unpacked = second.size, second.unpacked_size
    assert asked == [download + unpacked, download - 1000 + unpacked, unpacked, 0]


def test_sizes_are_sums_over_the_archives() -> None:
    voc2007, ilsvrc = DISTRIBUTIONS["voc2007"], DISTRIBUTIONS["ilsvrc"]
    assert download_size(voc2007) == 460_032_000 + 451_020_800
    assert disk_space(voc2007) == download_size(voc2007) + 1_000_000_000
    assert download_size(ilsvrc) == 147_897_477_120 + 6_744_924_160


PROVIDE = """
import sys
from pathlib import Path
from pipeline.download.archives import Archive, Distribution
from pipeline.download.provide import provide
name, size, checksum, mirror, root = sys.argv[1:]
files = Path("VOCdevkit")
archive = Archive(name, int(size), checksum, "here", (mirror,), 2**22, files)
provide(Distribution("voc2007", (archive,), "a note"), Path(root))
"""


def started(archive: Archive, mirror: str, root: Path) -> subprocess.Popen[str]:
    """A process that provides a data set of one archive."""
    arguments = [archive.name, str(archive.size), archive.checksum, mirror, str(root)]
    return subprocess.Popen(
        [sys.executable, "-c", PROVIDE, *arguments],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_two_processes_the_second_waits_says_so_and_does_nothing(
    tmp_path: Path, root: Path
) -> None:
    content = {"VOCdevkit/noise": os.urandom(2**21)}
    archive = described(tar(tmp_path / "served/voc.tar", content))
    with LoopbackServer(tmp_path / "served") as server:
        server.faults["/voc.tar"] = Faults(stall_at=2**20)
        first = started(archive, server.url, root)
        while not server.bytes_served["/voc.tar"]:
            assert first.poll() is None
            time.sleep(0.01)
        second = started(archive, server.url, root)
        assert second.stderr is not None
        said = second.stderr.readline()
        server.faults["/voc.tar"] = Faults()
        told = first.communicate(timeout=30)[1], second.communicate(timeout=30)[1]
        assert server.bytes_served["/voc.tar"] == archive.size
    assert said == f"{root}: waiting for the process that fills it\n"
    assert told == (f"{root}/archives/voc.tar: unpacking\n", "")
    assert (first.returncode, second.returncode) == (0, 0)
    assert tree(root) == content
