import re

import pytest

from pipeline.errors import InputError
from pipeline.params import Params
from studies.runs import lists
from studies.study import read_study
from tests.conftest import REPOSITORY
from tests.parameters import changed

TEXT = """
title: A study
data: pictures
judged_on: val
seeds: [0, 1]
settings: {input.size: 64}
rows:
- {row: CAM, model: cam_multi}
- {row: SPN, model: spn_multi, twin: CAM}
- {row: wide, model: spn_corrected, settings: {spn.channels: 8}, twin: CAM}
figures:
- {name: mAP, key: classification_map, higher: true}
"""
OWN = sorted((REPOSITORY / "studies").glob("*.yaml"))


@pytest.fixture
def read(tmp_path):
    """Read a study whose text is TEXT, with a part of it replaced."""

    def reading(old="", new=""):
        assert old in TEXT
        (tmp_path / "mine.yaml").write_text(TEXT.replace(old, new))
        return read_study(tmp_path / "mine.yaml")

    return reading


def test_rows_of_equal_settings_are_trained_in_one_run(read):
    found = read().experiments().values()
    assert [[row.row for row in rows] for _, rows in found] == [["CAM", "SPN"], ["wide"]]
    assert [settings for settings, _ in found] == [
        {"input.size": 64},
        {"input.size": 64, "spn.channels": 8},
    ]


def test_a_sweep_runs_all_rows_at_each_value(read):
    swept = read("seeds:", "sweep: {key: cutouts.context_bias, values: [0.0, 0.25]}\nseeds:")
    rows = {row.row: row for row in swept.all_rows}
    assert list(rows) == ["CAM, 0", "SPN, 0", "wide, 0", "CAM, 0.25", "SPN, 0.25", "wide, 0.25"]
    assert rows["wide, 0.25"].settings == {"spn.channels": 8, "cutouts.context_bias": 0.25}
    assert (rows["SPN, 0.25"].twin, rows["CAM, 0"].twin) == ("CAM, 0.25", None)
    assert len(swept.experiments()) == 4


def test_a_run_lists_the_methods_of_its_rows_alone(read):
    (_, plain), (_, wide) = read().experiments().values()
    assert lists(plain)["methods"] == []
    assert lists(wide)["methods"] == ["spn_corrected"]
    assert lists(wide)["saliency.tracks"] == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("twin: CAM}\n- {row: wide", "twin: CMA}\n- {row: wide", "'CMA' is none of the rows CAM"),
        ("model: spn_multi", "model: spn", "model spn is none of cam_multi"),
        ("row: SPN", "row: CAM", "two rows have one name"),
        ("judged_on: val", "judged_on: train", "judged_on"),
        ("seeds: [0, 1]", "seeds: []", "seeds"),
        ("title: A study", "titel: A study", "titel"),
        ("seeds: [0, 1]", "seeds: [0, 1", "no YAML"),
    ],
)
def test_a_fault_is_told_with_the_file(read, old, new, told):
    with pytest.raises(InputError, match=rf"mine\.yaml: .*{re.escape(told)}"):
        read(old, new)


def test_a_study_that_is_absent_is_told_beside_those_that_there_are(tmp_path):
    with pytest.raises(InputError, match="nowhere.yaml: no such study"):
        read_study(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("path", OWN, ids=[path.stem for path in OWN])
def test_the_settings_of_our_studies_are_those_of_params_yaml(path, params: Params):
    for settings, _ in read_study(path).experiments().values():
        changed(params, **{key.replace(".", "__"): value for key, value in settings.items()})
