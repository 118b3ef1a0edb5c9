"""Reading the text files of a data set."""

from pathlib import Path

import pytest

from pipeline.datasets.listing import check_names, pixels, read_bytes, read_lines
from pipeline.errors import InputError


def test_lines_are_stripped_and_empty_ones_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbffirst\r\n\r\n  second one \n")
    assert read_lines(path, "names") == ["first", "second one"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty; it holds names"),
        (b" \r\n", "empty; it holds names"),
        (b"\xff\xfe1\x00", "no UTF-8 text"),
        (None, "not found; it holds names"),
    ],
)
def test_a_bad_list_is_named(tmp_path: Path, content: bytes | None, fault: str) -> None:
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=f"a.txt: {fault}"):
        read_lines(tmp_path / "a.txt", "names")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        read_bytes(tmp_path, "names")


def test_pixels_may_be_fractions_and_negative() -> None:
    assert [pixels(text) for text in ("45.7", "-3", " 1e6 ")] == [45.7, -3, 1e6]


@pytest.mark.parametrize("text", ["", "wide", "nan", "inf", "-1000001"])
def test_other_text_is_no_number_of_pixels(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        pixels(text)


@pytest.mark.parametrize("name", ["/a", "..", "../a", "a/../../b", "a\\b", "a\0b"])
def test_a_name_may_not_lead_out_of_the_folder(name: str) -> None:
    with pytest.raises(InputError, match="list.txt: .* leads out of the folder"):
        check_names(["a", name], Path("list.txt"))


def test_a_name_may_be_listed_once_only() -> None:
    check_names(["a", "a..b/c", "b"], Path("list.txt"))
    with pytest.raises(InputError, match="'a' is listed 2 times"):
        check_names(["a", "b", "a"], Path("list.txt"))
