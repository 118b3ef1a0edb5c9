import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.reporting.figures import Panel, draw_examples, read_history


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


def test_history_is_read_from_csv_whatever_other_columns_it_has(tmp_path):
    (tmp_path / "spg.csv").write_text("epoch,loss,b1\n1,0.9,0.1\n2,0.5,0.2\n")
    assert read_history(tmp_path / "spg.csv") == ([1.0, 2.0], [0.9, 0.5])
    with pytest.raises(InputError, match=r"spn\.csv: not found.*dvc repro"):
        read_history(tmp_path / "spn.csv")
