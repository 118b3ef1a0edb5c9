"""The page's text: whole, self-contained, escaped."""

import re
from dataclasses import replace

import pytest

from pipeline.reporting.catalogue import TABLES
from pipeline.reporting.page.environment import environment
from pipeline.reporting.page.rendering import page
from pipeline.reporting.tables import fill
from pipeline.reporting.twins import compare_twins
from tests.reporting.conftest import invented_differences
from tests.reporting.page.conftest import SCORES, galleries


@pytest.fixture(scope="module")
def text(report):
    return page(report)


def words(html):
    """The text of a piece of HTML."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_the_page_stands_alone(text, report):
    assert not re.search(r"https?://|<link (?!rel=\"icon\" href=\"data:,\")|@import|url\(", text)
    sources = re.findall(r'(?:src|href)="([^"#]{5,24})', text)
    assert len(sources) > 30 and all(source.startswith("data:") for source in sources)
    assert str(report.pictures[0].path.parent) not in text


def test_the_same_report_gives_the_same_text(text, report):
    assert page(report) == text


def test_every_table_and_parameter_is_shown(text):
    for table in TABLES:
        assert f'<section id="{table.id}"' in text
    assert re.search(r"spg\.b1\.delta_h</code></th><td>0\.6</td>", text)


def test_ids_are_unique_and_links_and_uses_lead_to_them(text):
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_a_model_stands_beside_its_twin_with_their_difference(text):
    rows = [words(row) for row in re.findall(r"<tr>.*?</tr>", text, re.S)]
    shown = "SPG against SPG-plain 42.3 37.9 ▲ −4.4 [−6.4, −2.4] better"
    assert any(row.startswith("GT-known error ↓ SPG 4") and shown in row for row in rows)
    table = text.split('<section id="spg-4"')[1].split("</section>")[0]
    (row,) = (r for r in re.findall(r"<tr>.*?</tr>", table, re.S) if words(r).startswith("SPG 37"))
    assert "▲ twin −4.4 [−6.4, −2.4] , better" in words(row)


def test_splits_are_counted(text):
    card = words(text.split('id="data-multi"')[1].split("</table>")[0])
    # Pictures 0 to 9: the odd five show a second box, difficult in three of them (1, 5 and 9).
    assert "train 10 12 10 15 3" in card
    assert "Licence. Each photograph has its own licence" in card


def test_names_from_data_are_escaped(report):
    scores = SCORES | {
        model: SCORES[model] | {"dataset": "<b>mine</b>"} for model in ("cam_multi", "spn_multi")
    }
    bad = '"><script>alert(1)</script>'
    (first, *rest), card = report.galleries, report.cards[0]
    items = tuple(replace(item, class_name=bad) for item in first.items)
    counts = tuple(replace(count, by_class={bad: 1}) for count in card.counts)
    text = page(
        replace(
            report,
            tables=fill(scores),
            twins=compare_twins(scores, invented_differences(scores)),
            galleries=[replace(first, items=items, title=bad), *rest],
            cards=[replace(card, name=bad, classes=(bad,), counts=counts)],
            params=report.params | {"data": {"multi": bad}},
        )
    )
    assert "<b>mine" not in text and "&lt;b&gt;mine" in text
    assert text.count("<script>") == 1
    assert text.count("&gt;&lt;script&gt;alert(1)") > 10


def test_without_boxes_the_page_says_so(report, splits, params, monkeypatch):
    without = {track: Unboxed(own["test"]) for track, own in splits.items()}
    found = galleries(*without.values(), params, threshold=None)
    assert not any(gallery.judged for gallery in found)
    text = page(replace(report, galleries=found))
    assert text.count("have no boxes, so that hits and misses cannot be told") == 2
    assert "no box to judge by" in text
    assert not re.search(r'class="verdict (hit|miss)"|name="outcome"', text)


class Unboxed:
    """A packed split without its boxes."""

    def __init__(self, split):
        self._split, self.name, self.classes = split, split.name, split.classes
        self.columns = split.columns

    def __getitem__(self, index):
        record = self._split[index]
        return replace(record, boxes_xyxy=record.boxes_xyxy[:0], box_labels=record.box_labels[:0])

    def __iter__(self):
        return iter(self._split)


def test_the_environment_tells_versions_and_the_machine_the_same_each_time():
    found = dict(environment())
    assert found == dict(environment())
    assert {"Python", "torch", "numpy", "system", "processor"} <= set(found)
    assert re.fullmatch(r"\d+\.\d+.*", found["torch"])
