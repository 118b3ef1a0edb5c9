import pytest

from pipeline.errors import InputError
from pipeline.reporting.illustrations.listing import (
    Illustration,
    absent,
    read_listing,
    write_listing,
)


def test_a_list_is_read_back_wherever_the_pictures_lie(tmp_path):
    made = tmp_path / "new/a.jpg"
    figures = [Illustration(made, "title", "alt", "caption"), absent("other", "No boxes.")]
    write_listing(tmp_path / "list.json", figures)
    assert str(tmp_path) not in (tmp_path / "list.json").read_text()
    first, second = read_listing(tmp_path / "list.json", tmp_path / "old")
    assert first == Illustration(tmp_path / "old/a.jpg", "title", "alt", "caption")
    assert second == figures[1]


def test_a_missing_list_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(InputError, match=r"list\.json: not found; run `dvc repro illustrate`"):
        read_listing(tmp_path / "list.json", tmp_path)
