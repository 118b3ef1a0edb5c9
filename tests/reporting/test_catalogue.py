import pytest

from pipeline.errors import InputError
from pipeline.reporting.catalogue import INTERVAL, TABLES, parse

PAPER = """
networks: {vgg16: VGG16}
tables:
  spn-9:
    title: A table
    how_to_read: Percent.
    published_on: VOC2007
    columns:
      one:
      - {column: "{network} all", key: pointing.all, n: pointing_all}
      two:
      - {column: energy, key: object_energy}
    rows:
    - {row: SPN, model: spn_multi, paper: "{network}-SPN"}
    - {row: control, model: spn_multi, columns: two, part: uniform}
    - {row: HaS, model: has, listed: methods}
"""


def test_a_row_has_the_first_columns_unless_it_names_others():
    (table,) = parse(PAPER, "new.yaml")
    first, control, listed = table.measured
    assert (first.key, first.n) == ("pointing.all", "pointing_all")
    assert (control.column, control.key, control.n) == ("energy", "object_energy.uniform", "test")
    assert table.how_to_read == f"Percent. {INTERVAL}"
    assert "`dvc exp run -S 'methods=[has]'`" in listed.switch


def test_a_row_of_the_paper_leads_to_its_line():
    (table,) = parse(PAPER, "new.yaml")
    assert [line.row for line in table.lines_of("VGG16-SPN")] == ["SPN"]
    assert table.lines_of("SPN") == []


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("columns: two", "columns: three", r"row 'control': columns 'three' are none of one, two"),
        ("listed: methods", "listed: method", r"tables\.spn-9\.rows\.2\.listed: "),
        ("paper:", "papr:", r"tables\.spn-9\.rows\.0\.papr: "),
        ("networks:", "networks: [", r"not valid YAML"),
        ("row: SPN, ", "", r"tables\.spn-9\.rows\.0\.row: Field required"),
    ],
)
def test_a_fault_names_the_file_and_the_key(right, wrong, complaint):
    with pytest.raises(InputError, match=f"new\\.yaml: .*{complaint}"):
        parse(PAPER.replace(right, wrong), "new.yaml")


def test_a_row_that_reads_saliency_maps_reads_those_of_its_track():
    for table in TABLES:
        tracks = {"spn-2": "multi"}
        for line in table.measured:
            if "saliency.methods" in line.switch:
                assert line.model.endswith(f"_{tracks.get(table.id, 'single')}")
