from pathlib import Path

import pytest

from pipeline.reporting.readme import END, START, results, write_results
from pipeline.reporting.twins import PAPERS, compare_twins
from tests.reporting.conftest import invented_differences


@pytest.fixture
def found(scores):
    return compare_twins(scores, invented_differences(scores, [*PAPERS, "has"]))


@pytest.fixture
def readme(tmp_path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"# Before\n\n{START}\nold\n{END}\n\nafter\n")
    return path


def test_results_come_between_the_markers_and_the_rest_stays(readme, found):
    write_results(readme, found)
    text = readme.read_text()
    assert text == f"# Before\n\n{START}\n{results(found)}\n{END}\n\nafter\n"
    write_results(readme, found)
    assert readme.read_text() == text


def test_the_table_is_short_and_of_the_papers_own_models(found):
    origin, _, *table = results(found).splitlines()
    assert origin.startswith("Data: cutouts_multi, cutouts_single. ")
    assert len(table) - 2 == 10
    assert "| SPG 4 | GT-known error ↓ | SPG-plain 42.3 | SPG 37.9 | −4.4 [−6.4, −2.4] |" in table
    assert not any("HaS" in line for line in table)


def test_of_spgs_boxes_from_other_maps_the_recommended_are_there(scores):
    label = "SPG, boxes from its guidance"
    scores["spg:guidance"] = scores["spg:attention+b"] | {"label": label}
    differences = invented_differences(scores, [*PAPERS, "spg:attention+b", "spg:guidance"])
    table = results(compare_twins(scores, differences)).splitlines()[4:]
    assert [line.split(" | ")[3] for line in table[10:]] == [f"{label} 25.9", f"{label} 33.3"]


@pytest.mark.parametrize("text", ["no markers\n", f"{START}\nno end\n", f"{END}\n{START}\n"])
def test_a_file_without_both_markers_stays_as_it_is(readme, found, text):
    readme.write_text(text)
    write_results(readme, found)
    assert readme.read_text() == text


def test_no_file_is_made(tmp_path, found):
    write_results(tmp_path / "README.md", found)
    assert not list(tmp_path.iterdir())
