"""What constants score on lists of boxes, drawn by hand and official."""

import csv
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest

from paper.controls import centred_boxes, controls, energies, main, pointing
from pipeline.datasets.box_list import read_boxes
from pipeline.errors import InputError
from pipeline.evaluation.metrics.object_energy import centred_gaussian, object_energy
from tests.conftest import REPOSITORY

HEAD = "image,width,height,class,xmin,ymin,xmax,ymax\n"
DOG_AND_CAT = HEAD + "a,100,100,dog,26,26,75,75\na,100,100,cat,1,1,10,10\nb,100,50,cat,1,1,100,50\n"
"""By pixels from 1: a dog in the middle half of the sides, a cat in a corner, a cat all over."""


@pytest.fixture
def written(tmp_path):
    def write(text, name="boxes.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def values(path, pixels="from-1", **given):
    found = controls(read_boxes(path, pixels), **given)
    return {(c.control.split(",")[0], c.figure): (c.value, c.n) for c in found}


def test_the_figures_of_boxes_drawn_by_hand(written):
    path = written(DOG_AND_CAT)
    found = values(path, sigmas=(0.2,), listed=written("a\t0\t1\nb\t0\t0\n", "list.tsv"))
    # Object Energy: 25 % + 1 % of a, all of b.
    assert found["uniform map", "Object Energy"] == (pytest.approx((26 + 100) / 2), 2)
    gaussian = centred_gaussian(100, 100, 0.2)
    own = object_energy(gaussian, read_boxes(path, "from-1")["a"].boxes_xyxy)
    energy, _ = found["centred Gaussian", "Object Energy"]
    assert energy == pytest.approx((own + 100) / 2, abs=1e-4)
    # Dogs: 1 of 1 hit; cats: 1 of 2.
    assert found["image centre", "pointing, all"] == (75, 3)
    # By the rule a's cat alone: its dog covers a quarter, and b has no other class.
    assert found["image centre", "pointing, difficult by rule"] == (0, 1)
    assert found["image centre", "pointing, difficult by list"] == (100, 1)
    assert found["whole image", "GT-known error"] == (50, 2)


def test_the_best_centred_box_is_the_smallest_of_equally_good_ones(written):
    path = written(HEAD + "a,100,100,dog,26,26,75,75\n")
    best = next(c for c in controls(read_boxes(path, "from-1")) if "centred box" in c.control)
    # 0.36 of the sides has IoU 0.36² / 0.25 = 0.518 with half of the sides, 0.35 has 0.49.
    assert (best.control, best.value) == ("centred box, 0.36 of the sides", 0)


def test_conventions_of_pixels_name_the_same_boxes(written):
    one = read_boxes(written(HEAD + "a,10,10,x,1,2,3,4\n"), "from-1")
    zero = read_boxes(written(HEAD + "a,10,10,x,0,1,2,3\n"), "from-0")
    half_open = read_boxes(written(HEAD + "a,10,10,x,0,1,3,4\n"), "half-open")
    assert one == zero == half_open
    assert one["a"].boxes_xyxy == [(0, 1, 3, 4)]


def test_a_list_without_classes_has_no_pointing(written):
    path = written("image,width,height,xmin,ymin,xmax,ymax\na,10,10,0,0,4,4\n")
    assert {c.table for c in controls(read_boxes(path, "from-0"))} == {"SPN 1", "SPG 1, 4"}
    with pytest.raises(InputError, match="list.tsv: .* the boxes have no class"):
        list(controls(read_boxes(path, "from-0"), listed=written("a\t1\n", "list.tsv")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: no column image, width, height, xmin, ymin, xmax, ymax"),
        ("image,width,height,xmin,ymin,xmax\n", "line 1: no column ymax"),
        (HEAD, "line 2: no boxes"),
        (HEAD + "a,9,9,x,1,1,5,5\n\n", "line 3: 0 cells for 8 columns"),
        (HEAD + "a,9,9,x,1,1,5\n", "line 2: 7 cells for 8 columns"),
        (HEAD + "a,9,9,x,1,1,five,5\n", "line 2: xmax 'five' is no number of pixels"),
        (HEAD + "a,9,9,x,1,1,nan,5\n", "line 2: xmax 'nan' is no number of pixels"),
        (HEAD + "a,9,9,x,1,1,5,5\na,9,9,x,5,1,3,5\n", "line 3: inverted box"),
        (HEAD + "a,0,9,x,1,1,5,5\n", "line 2: an image of 0 x 9 px"),
        (HEAD + ",9,9,x,1,1,5,5\n", "line 2: no name of an image"),
        (HEAD + "a,9,9,x,0,1,5,5\n", "line 2: the box 0, 1, 5, 5 leaves its image"),
        (HEAD + "a,9,9,x,1,1,5,5\na,8,9,x,1,1,5,5\n", "line 3: image a has 8 x 9 px here"),
    ],
)
def test_a_bad_list_is_told_by_file_and_line(written, text, told):
    with pytest.raises(InputError, match=rf"boxes\.csv: {told}"):
        read_boxes(written(text), "from-1")


def test_a_half_open_box_of_no_width_is_told(written):
    with pytest.raises(InputError, match="line 2: inverted box, or one of no size"):
        read_boxes(written(HEAD + "a,9,9,x,3,1,3,5\n"), "half-open")


def called(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["controls", *map(str, words)])
    main()
    return capsys.readouterr().out


def test_the_three_forms_hold_the_same_figures(written, monkeypatch, capsys):
    words = (written(DOG_AND_CAT), "--pixels", "from-1", "--sigma", "0.3")
    rows = called(monkeypatch, capsys, *words).splitlines()[2:]
    objects = json.loads(called(monkeypatch, capsys, *words, "--json"))
    lines = list(csv.DictReader(io.StringIO(called(monkeypatch, capsys, *words, "--csv"))))
    assert len(rows) == len(objects) == len(lines) == 6
    for row, own, line in zip(rows, objects, lines, strict=True):
        assert {key: str(value) for key, value in own.items()} == line
        assert row.split(" | ")[3] == f"{own['value']:.1f}"


def test_errors_end_in_one_message(tmp_path, written, monkeypatch, capsys):
    for words, told in (
        ([tmp_path / "none.csv"], "none.csv: not found"),
        (
            [written(DOG_AND_CAT), "--pixels", "from-1", "--difficult", tmp_path / "none"],
            "none: not",
        ),
        (
            [
                tmp_path / "boxes.csv",
                "--pixels",
                "from-1",
                "--difficult",
                written("a\t0\t1\n", "list.tsv"),
            ],
            r"list\.tsv: image b is not listed",
        ),
    ):
        with pytest.raises(SystemExit, match=told):
            called(monkeypatch, capsys, *words)
    for sigma in ("0", "-1", "nan", "inf"):
        with pytest.raises(SystemExit) as end:
            called(monkeypatch, capsys, tmp_path / "boxes.csv", "--sigma", sigma)
        assert end.value.code == 2


def official(name: str) -> Path:
    folder = Path(os.environ.get("WSOL_ANNOTATIONS", REPOSITORY.parent / "shared/data/annotations"))
    if not (folder / name).is_file():
        pytest.skip(f"no official boxes: set WSOL_ANNOTATIONS to the folder with {name}")
    return folder / name


PAGE = (REPOSITORY / "docs/controls.md").read_text()
COMMANDS = re.findall(r"^    python -m paper.controls (.*test.*|.*val.*)", PAGE, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_controls_has_what_its_commands_print(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [official(word) if "." in word else word for word in command.split()]
    assert called(monkeypatch, capsys, *words) in PAGE


def test_the_energy_of_constants_on_voc2007_test() -> None:
    """As an independent program measured it; SPN Table 1 prints 62.2 for SPN."""
    images = read_boxes(official("voc2007-test-boxes.csv"), "from-1").values()
    found = [c.value for c in energies(images, (0.15, 0.20))]
    assert found == pytest.approx([43.8, 67.7, 61.6], abs=0.1)


@pytest.mark.parametrize(
    ("pixels", "all_pairs", "listed_pairs"), [("from-1", 69.2, 42.4), ("half-open", 68.8, 41.6)]
)
def test_the_centre_of_voc2007_test_is_a_point_from_the_published_one(
    pixels: str, all_pairs: float, listed_pairs: float
) -> None:
    """SPN Table 2 prints 69.5 and 42.6. A last pixel left out of all boxes costs half a point."""
    listed = official("voc2007-test-difficult-pairs.tsv")
    every, rule, by_list = pointing(read_boxes(official("voc2007-test-boxes.csv"), pixels), listed)
    assert [every.value, by_list.value] == pytest.approx([all_pairs, listed_pairs], abs=0.05)
    assert (every.n, by_list.n) == (7013, 2230)
    assert rule.n == 2270 or pixels != "from-1"


@pytest.mark.parametrize(
    ("name", "pixels", "share", "best", "whole"),
    [
        ("cub-test-boxes.csv", "from-0", 0.64, 40.5, 81.4),
        ("cub-test-boxes.csv", "half-open", 0.64, 40.9, 81.8),
        ("ilsvrc-val-boxes.csv", "from-0", 0.71, 46.2, 59.3),
        ("ilsvrc-val-boxes.csv", "half-open", 0.71, 46.3, 59.7),
    ],
)
def test_the_best_centred_box_of_official_boxes(
    name: str, pixels: str, share: float, best: float, whole: float
) -> None:
    found = list(centred_boxes(read_boxes(official(name), pixels).values()))
    assert found[0].control == f"centred box, {share} of the sides"
    assert [c.value for c in found] == pytest.approx([best, whole], abs=0.05)
