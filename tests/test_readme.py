"""README.md and docs/ say what is so."""

import csv
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.reporting.readme import END, START

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def committed(path: str) -> str:
    """Return the committed text of a file: a run on another machine may have changed it since."""
    command = ["git", "show", f"HEAD:{path}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{path} is not committed here")
    return done.stdout


def rows(text: str) -> list[list[str]]:
    """Return the cells of the rows of Markdown tables, heads and rules left out."""
    lines = re.findall(r"^\| (.*) \|$", text, re.M)
    cells = [line.split(" | ") for line in lines]
    return [
        row
        for row, after in zip(cells, [*cells[1:], [""]], strict=True)
        if "--" not in row[0] + after[0]
    ]


def test_the_results_of_the_readme_are_those_of_the_committed_run() -> None:
    block = committed("README.md").split(START)[1].split(END)[0]
    shown = [row[1:] for row in rows(block)]
    assert 8 < len(shown) <= 12
    twins = [row[:4] for row in rows(committed("reports/tables/twins.md"))]
    papers = re.compile(r"SP[NG] [\d.]+")  # no other boxes of SPG, no control
    assert [row for row in shown if papers.fullmatch(row[2])] == [
        row for row in twins if papers.fullmatch(row[2])
    ]
    assert all(row in twins for row in shown)


def test_every_figure_of_the_results_page_is_that_of_the_committed_run() -> None:
    default, complete = committed("docs/results.md").split("## Every method")
    for text, folder in ((default, "reports/tables"), (complete, "reports/paper/complete")):
        figures = [row for row in rows(text) if row[0].startswith("sp")]
        assert len(figures) > 8
        for table, method, figure, shown in figures:
            lines = csv.DictReader(committed(f"{folder}/{table}.csv").splitlines())
            found = [
                "{:.1f} [{:.1f}, {:.1f}]".format(
                    *(float(line[k]) for k in ("value", "low", "high"))
                )
                for line in lines
                if (line["source"], line["row"]) == ("measured", method)
                and line["column"].split(" ", figure == "all")[-1] == figure
            ]
            assert found == [shown], (folder, table, method)


def test_every_figure_of_the_findings_is_that_of_a_study() -> None:
    folder = REPOSITORY / "reports/studies"
    lines = [row for page in folder.glob("*.md") for row in rows(page.read_text())]
    means = {cell.split(" ")[0] for _, *cells in lines for cell in cells}
    shown = rows((REPOSITORY / "docs/findings.md").read_text())
    assert len(shown) > 20
    for name, *cells in shown:
        known = any(own == name and set(cells) <= set(rest) for own, *rest in lines)
        assert known or (len(cells) == 1 and cells[0] in means), name


def test_every_path_of_the_annotated_tree_exists() -> None:
    text = (REPOSITORY / "README.md").read_text()
    tree = text.split("## How it is built")[1].split("## Limits")[0]
    parents = {0: REPOSITORY}
    lines = re.findall(r"^    ( *)([\w.]+(?:/[\w.]+)*/?(?:, [\w.]+/?)*)  +\S", tree, re.M)
    assert len(lines) > 20
    for indent, names in lines:
        for name in names.split(", "):
            path = parents[len(indent)] / name
            assert path.exists(), path
            parents[len(indent) + 2] = path


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 150


@every_page
def test_no_paragraph_has_more_than_five_lines(page: Path) -> None:
    for paragraph in re.split(r"\n\s*\n|\n(?=- |\d\. )", page.read_text()):
        if not paragraph.startswith(("|", "    ", "```")):
            assert len(paragraph.strip().splitlines()) <= 5, paragraph


@every_page
def test_no_row_of_a_table_has_a_comment(page: Path) -> None:
    assert not re.search(r"^\|.*<!--", page.read_text(), re.M)


@every_page
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@every_page
def test_commands_are_for_any_shell_and_change_parameters_that_exist(page: Path) -> None:
    params = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text())
    text = page.read_text()
    assert not re.search(r"(-S|--set) [^'\s]+=\[", text), "brackets need quotes"
    assert not re.search(r"^    (dvc|make|python) .* #", text, re.M), "zsh takes # for a word"
    for key in re.findall(r"(?:-S|--set) '?([\w.]+)=", text):
        level = params
        for part in key.split("."):
            assert part in level, key
            level = level[part]


def test_the_committed_page_can_be_mailed() -> None:
    assert len(committed("reports/index.html")) <= 4_000_000
