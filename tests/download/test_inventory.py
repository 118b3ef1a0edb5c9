"""What lies in a folder, in few words."""

import os
import shutil
from pathlib import Path

import pytest

import pipeline.download.inventory
from pipeline.download.inventory import Inventory, inventory
from pipeline.errors import InputError

ALL = (Path(),)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "images").mkdir(parents=True)
    (folder / "list.txt").write_text("a\nb\n")
    for name in "ab":
        (folder / f"images/{name}.jpg").write_bytes(name.encode() * 100)
    return folder


def later(path: Path) -> None:
    """Set the time of change one second ahead."""
    time = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(time, time))


def test_what_is_inside_counts_and_not_where_it_lies(root: Path, tmp_path: Path) -> None:
    first = inventory(root, ALL)
    assert first.files == 3
    moved = Path(shutil.copytree(root, tmp_path / "moved"))
    assert inventory(moved, ALL) == first
    later(moved / "list.txt")
    assert inventory(moved, ALL).content == first.content


@pytest.mark.parametrize("content", [b"B" * 100, b"b" * 99])
def test_another_content_is_noticed_whatever_its_size(root: Path, content: bytes) -> None:
    first = inventory(root, ALL)
    (root / "images/b.jpg").write_bytes(content)
    later(root / "images/b.jpg")
    assert inventory(root, ALL, first).content != first.content


def test_a_new_a_renamed_and_a_missing_file_are_noticed(root: Path) -> None:
    found = [inventory(root, ALL)]
    (root / "images/c.jpg").touch()
    found.append(inventory(root, ALL, found[-1]))
    (root / "images/c.jpg").rename(root / "images/d.jpg")
    found.append(inventory(root, ALL, found[-1]))
    (root / "images/a.jpg").unlink()
    found.append(inventory(root, ALL, found[-1]))
    assert [each.files for each in found] == [3, 4, 4, 3]
    assert len({each.content for each in found}) == 4


def test_files_that_were_seen_are_not_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    first = inventory(root, ALL)
    monkeypatch.setattr(pipeline.download.inventory, "_sha256", unread)
    assert inventory(root, ALL, first) == first
    later(root / "list.txt")
    with pytest.raises(AssertionError, match="was read"):
        inventory(root, ALL, first)


def test_only_the_named_parts_count_and_one_may_be_missing(root: Path) -> None:
    parts = (Path("images"), Path("devkit"))
    first = inventory(root, parts)
    (root / "list.txt").write_text("")
    assert inventory(root, parts) == first
    (root / "devkit").mkdir()
    (root / "devkit/blacklist.txt").touch()
    assert inventory(root, parts).content != first.content


def test_one_file_is_taken_stock_of_alone(root: Path) -> None:
    first = inventory(root, (Path("list.txt"),))
    assert first.files == 1
    (root / "images/a.jpg").unlink()
    assert inventory(root, (Path("list.txt"),)) == first


def test_links_are_followed(root: Path, tmp_path: Path) -> None:
    first = inventory(root, ALL)
    (root / "images").rename(tmp_path / "elsewhere")
    (root / "images").symlink_to(tmp_path / "elsewhere")
    assert inventory(root, ALL) == first


def test_a_folder_that_cannot_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(InputError, match=r"root: cannot be read \(Permission denied\); check its"):
        inventory(root, ALL)


def test_a_file_name_that_is_no_utf_8_is_inventoried(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    assert inventory(tmp_path, ALL).files == 1


def test_an_inventory_is_read_as_it_was_written(root: Path) -> None:
    found = inventory(root, ALL)
    assert Inventory.model_validate_json(found.model_dump_json()) == found
