import re

import pytest
from PIL import Image

from pipeline.reporting.html import Picture, page
from pipeline.reporting.tables import fill
from pipeline.reporting.twins import compare_twins


@pytest.fixture
def pictures(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.webp")
    return [Picture(tmp_path / "a.webp", "Maps", 'of "birds"', "a caption")]


@pytest.fixture
def text(scores, differences, pictures):
    params = {"seed": 0, "spg": {"delta_h": 0.7, "b1": {"delta_h": 0.5}}}
    return page(fill(scores), compare_twins(scores, differences), pictures, params)


def test_the_page_stands_alone(text, tmp_path):
    assert not re.search(r"https?://|<script|<link|@import", text)
    assert re.findall(r'src="([^"]{23})', text) == ["data:image/webp;base64,"]
    assert str(tmp_path) not in text


def test_pictures_have_alternative_texts_and_tables_have_heads(text):
    assert 'alt="of &quot;birds&quot;"' in text
    assert text.count("<table") == text.count("<caption>") == text.count("<thead>")


def test_every_table_and_parameter_is_shown(text):
    for table in ("spn-1", "spn-6", "spg-1", "spg-4"):
        assert f'<section id="{table}">' in text
    assert re.search(r"spg\.b1\.delta_h</th><td>0\.5</td>", text)


def test_links_lead_somewhere(text):
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))


def test_a_model_stands_beside_its_twin_with_their_difference(text):
    assert re.search(r"GT-known error ↓.*SPG-plain 42\.3.*SPG 37\.9.*−4\.4 \[−6\.4, −2\.4\]", text)


def test_names_from_data_are_escaped(scores, differences, pictures):
    for model in ("cam_multi", "spn_multi"):
        scores[model]["dataset"] = "<b>mine</b>"
    text = page(fill(scores), compare_twins(scores, differences), pictures, {})
    assert "<b>mine" not in text and "&lt;b&gt;mine" in text
