import hashlib
import stat
import zipfile

import pytest

from pipeline.datasets import archive
from pipeline.errors import InputError


def make(path, *members):
    """A zip of (name or ZipInfo, content)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members:
            content.writestr(name, data)
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(path, target, message, checksum=None):
    with pytest.raises(InputError, match=message):
        archive.unpack(path, target, checksum or sha256(path))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out" / "cutouts"


@pytest.fixture
def zipped(tmp_path):
    return tmp_path / "a.zip"


def test_a_sound_archive_is_unpacked_over_an_older_folder(zipped, target):
    make(zipped, ("manifest.json", "{}"), ("birds/1.png", "x"))
    target.mkdir(parents=True)
    (target / "stale").touch()
    archive.unpack(zipped, target, sha256(zipped))
    files = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert files == {"manifest.json", "birds/1.png"}
    assert [path.name for path in target.parent.iterdir()] == ["cutouts"]


def test_a_wrong_checksum_names_both_and_the_file(zipped, target):
    make(zipped, ("a", "x"))
    refused(zipped, target, f"a.zip: sha256 is {sha256(zipped)}, expected {'0' * 64}", "0" * 64)
    assert not target.parent.exists()


def test_a_missing_archive_is_named(zipped, target):
    refused(zipped, target, "a.zip: not found", "0" * 64)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:/evil"])
def test_a_member_that_leads_elsewhere_is_refused(zipped, target, name):
    make(zipped, ("good", "x"), (name, "x"))
    refused(zipped, target, "a.zip: member .*evil' .*refused")
    assert list(target.parent.iterdir()) == []
    assert not list(target.parents[1].rglob("*evil*"))


def test_a_link_is_refused(zipped, target):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    make(zipped, (link, "/etc/passwd"))
    refused(zipped, target, "member 'link' is a link")


def test_an_archive_that_would_grow_too_large_is_refused(zipped, target, monkeypatch):
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    make(zipped, ("a", "x" * 600), ("b", "x" * 600))
    refused(zipped, target, "unpacks to 1200 bytes, over 1000")


@pytest.mark.parametrize("keep", [0, 20, -30])
def test_a_truncated_archive_is_corrupt_whatever_its_checksum(zipped, target, keep):
    make(zipped, ("a", "x" * 1000))
    zipped.write_bytes(zipped.read_bytes()[:keep])
    refused(zipped, target, "a.zip: corrupt archive")


def test_a_damaged_member_leaves_the_older_folder(zipped, target):
    make(zipped, ("a", "x"), ("b", bytes(range(256))))
    content = bytearray(zipped.read_bytes())
    content[content.index(bytes(range(64))) + 9] ^= 0xFF
    zipped.write_bytes(content)
    target.mkdir(parents=True)
    (target / "old").touch()
    refused(zipped, target, "a.zip: corrupt archive")
    assert [path.name for path in target.parent.rglob("*")] == ["cutouts", "old"]
