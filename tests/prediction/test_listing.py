"""Which pictures words name, in which order, and what they are called."""

import os
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.prediction.listing import check_stems, pictures_of

ALL = ["0.png", "1.png", "2.png", "3.png", "more/4.png", "more/5.png"]


@pytest.fixture(autouse=True)
def here(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)


def test_a_folder_has_all_pictures_below_it_and_nothing_else(photos: Path) -> None:
    for name in ("notes.txt", ".hidden.png", "more/a.JPEG"):
        (photos / name).touch()
    (photos / ".cache").mkdir()
    (photos / ".cache/a.png").touch()
    assert pictures_of(["photos"]) == (photos, [*ALL, "more/a.JPEG"])
    assert pictures_of(["photos/more/"]).names == ["4.png", "5.png", "a.JPEG"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["photos/1.png"], ["1.png"]),
        (["photos/more/4.png", "photos/1.png"], ["more/4.png", "1.png"]),
        (["photos/*.png"], ALL[:4]),
        (["photos/**/*.png"], ALL),
        (["photos/*"], ALL),
        (["photos/more/5.png", "photos"], ["more/5.png", *ALL[:5]]),
    ],
)
def test_names_are_paths_below_what_all_have_in_common(
    photos: Path, words: list[str], names: list[str]
) -> None:
    root, found = pictures_of(words)
    assert sorted(found) == sorted(names)
    assert all((root / name).exists() for name in found)


def test_a_file_is_taken_whatever_its_name(photos: Path) -> None:
    (photos / "0.png").rename(photos / "picture[1]")
    assert pictures_of(["photos/picture[1]"]).names == ["picture[1]"]


def test_a_picture_that_is_named_twice_counts_once() -> None:
    assert pictures_of(["photos/1.png", "./photos/1.png", "photos/1.*"]).names == ["1.png"]


def test_results_are_no_pictures(photos: Path) -> None:
    for below in ("predictions/.predict", "predictions/overlays"):
        (photos / below).mkdir(parents=True)
    (photos / "predictions/overlays/0.jpg").touch()
    assert pictures_of(["photos"]).names == ALL


def test_a_name_that_no_result_could_have_is_refused(photos: Path) -> None:
    (photos / "1.png").rename(os.fsdecode(bytes(photos) + b"/\xe4.png"))
    with pytest.raises(InputError, match="udce4.png': the name is no UTF-8"):
        pictures_of(["photos"])


def test_names_that_differ_in_their_ending_alone_are_refused() -> None:
    check_stems(["a/1.png", "b/1.png", "a/1.b.png"])
    with pytest.raises(InputError, match="a/1.png and a/1.jpg: both would give the file 1"):
        check_stems(["a/1.png", "b/1.png", "a/1.jpg"])
