from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.reporting.figures import Panel, Point, draw_examples, read_history


def panel(heat=None):
    image = np.full((20, 30, 3), 128, np.uint8)
    box = np.array([[40, 10, 80, 50]], np.float32)
    return Panel(image, (120, 80), heat, box, np.zeros((0, 4), np.float32))


def test_examples_are_a_webp_of_stable_bytes(tmp_path):
    rows = {"1: bird": [panel(), panel(np.eye(20, 30, dtype=np.float32))]}
    first = draw_examples(tmp_path / "first.webp", ("image", "map"), rows)
    again = draw_examples(tmp_path / "again.webp", ("image", "map"), rows)
    assert first.read_bytes() == again.read_bytes()
    with Image.open(first) as picture:
        assert picture.format == "WEBP"


def test_true_boxes_are_drawn_where_they_lie(tmp_path):
    with Image.open(draw_examples(tmp_path / "a.webp", ("image",), {"1": [panel()]})) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    blue = (pixels[..., 2] > 200) & (pixels[..., 0] < 100)
    grey = (abs(pixels - 128) < 3).all(-1)
    left, right = np.flatnonzero(grey.any(0))[[0, -1]]
    centre = np.flatnonzero(blue.any(0)).mean()
    assert (centre - left) / (right - left) == pytest.approx(60 / 120, abs=0.02)


def test_points_are_drawn_where_they_lie_and_words_below(tmp_path):
    def pixels(name, **more):
        given = {"true_xyxy": np.zeros((0, 4), np.float32), **more}
        path = draw_examples(tmp_path / name, ("image",), {"1": [replace(panel(), **given)]})
        with Image.open(path) as picture:
            assert picture.format == "JPEG"
            return np.asarray(picture.convert("L")).astype(int)

    plain, marked = pixels("a.jpg"), pixels("b.jpg", points=(Point(90, 20, True),))
    grey = abs(plain - 128) < 3
    left, right = np.flatnonzero(grey.sum(0) > 50)[[0, -1]]
    top, bottom = np.flatnonzero(grey.sum(1) > 50)[[0, -1]]
    rows, columns = np.nonzero(abs(marked - plain) > 60)
    assert (columns.mean() - left) / (right - left) == pytest.approx(90.5 / 120, abs=0.02)
    assert (rows.mean() - top) / (bottom - top) == pytest.approx(20.5 / 80, abs=0.02)
    assert pixels("c.jpg", note="hit").shape[0] > plain.shape[0]


def test_a_scale_makes_equal_values_look_alike(tmp_path):
    low, high = np.zeros((20, 30), np.float32), np.ones((20, 30), np.float32)
    shown = [replace(panel(heat), scale=(0, 2)) for heat in (low, high, 2 * high)]
    path = draw_examples(tmp_path / "a.png", ("0", "1", "2"), {"1": shown})
    with Image.open(path) as picture:
        line = np.asarray(picture.convert("L"))[-30].astype(int)
    brightness = [line[int(line.size * share)] for share in (0.15, 0.47, 0.8)]
    assert brightness == sorted(set(brightness))


def test_history_is_read_from_csv_whatever_other_columns_it_has(tmp_path):
    (tmp_path / "spg.csv").write_text("epoch,loss,b1\n1,0.9,0.1\n2,0.5,0.2\n")
    assert read_history(tmp_path / "spg.csv") == ([1.0, 2.0], [0.9, 0.5])
    assert read_history(tmp_path / "spg.csv", "b1") == ([1.0, 2.0], [0.1, 0.2])
    assert read_history(tmp_path / "spg.csv", "object_energy") == ([], [])
    with pytest.raises(InputError, match=r"spn\.csv: not found.*dvc repro"):
        read_history(tmp_path / "spn.csv")
