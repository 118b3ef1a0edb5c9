"""The page opened and clicked through in a real Chromium, without a window.

On Debian: `apt-get install --no-install-recommends chromium`; any Chromium on PATH will do.
"""

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from pipeline.reporting.page.rendering import write_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SHOWN = ".card:visible"
CONTRAST = """
(selector) => {
  const number = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const own = document.querySelector(selector);
  let behind = own;
  while (number(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const [a, b] = [getComputedStyle(own).color, getComputedStyle(behind).backgroundColor]
    .map((colour) => luminance(number(colour)) + 0.05).sort((x, y) => y - x);
  return a / b;
}
"""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: `apt-get install --no-install-recommends chromium` (Debian)")
    with sync_playwright() as playwright:
        # Containers run as root, which Chromium's sandbox refuses; the page is our own.
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(path, report)
    return path.as_uri()


@pytest.fixture
def visit(browser, address):
    """Open the page with options of a browser's context; nothing may be asked for or complained."""
    contexts, complaints, asked = [], [], []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url for url in asked if not url.startswith("data:")} == {address}


def maps_shown(card):
    """The layers that are drawn over the picture of a card."""
    return [m.get_attribute("data-layer") for m in card.locator(".map:visible").all()]


def choose(card, layer):
    """Click on a layer of a card."""
    card.locator(".view:visible").get_by_label(layer, exact=True).click()


def test_filters_change_what_is_shown(visit):
    gallery = visit().locator("#several")
    shown, counted = gallery.locator(SHOWN), gallery.locator("output")
    expect(shown).to_have_count(5)
    expect(counted).to_have_text("5 of 5 pictures: 4 hit, 1 missed")
    gallery.get_by_label("Class").select_option("lime")
    expect(shown).to_have_count(2)
    gallery.get_by_label("Result").select_option("miss")
    expect(shown).to_have_count(1)
    expect(shown.locator(".verdict:visible")).to_contain_text("✗ miss")
    gallery.get_by_label("Result").select_option("loss")
    expect(shown).to_have_count(1)
    gallery.get_by_label("Method").select_option("CAM")
    expect(shown).to_have_count(0)
    gallery.get_by_label("Result").select_option("")
    expect(shown).to_have_count(2)
    expect(counted).to_have_text("2 of 5 pictures: 2 hit, 0 missed")


def test_layers_and_boxes_change_the_picture(visit):
    gallery = visit().locator("#one")
    gallery.get_by_label("Method").select_option("SPG")
    card = gallery.locator(SHOWN).first
    seen = set()
    for name in ("Attention", "Mask A", "B2", "Input"):
        choose(card, name)
        seen.add(card.locator("svg.picture:visible").screenshot())
    assert len(seen) == 4 and maps_shown(card) == []
    gallery.get_by_label("All show").select_option("mask-a")
    assert [maps_shown(each) for each in gallery.locator(SHOWN).all()] == [["mask-a"]] * 4
    gallery.get_by_label("Method").select_option("CAM")
    gallery.get_by_label("All show").select_option("mask-a")  # which CAM has not
    assert maps_shown(card) == ["response"]
    expect(card.locator("rect.true:visible")).to_have_count(1)
    gallery.get_by_role("checkbox", name="Boxes").uncheck()
    expect(card.locator("rect:visible")).to_have_count(0)


def test_everything_is_reached_by_keyboard_and_focus_is_seen(visit):
    page = visit()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    gallery = page.locator("#several")
    gallery.get_by_label("Class").focus()
    page.keyboard.press("ArrowDown")
    expect(gallery.locator(SHOWN)).to_have_count(1)
    for _ in range(5):  # method, result, layer, boxes, first picture
        page.keyboard.press("Tab")
        outline = "getComputedStyle(document.activeElement.nextElementSibling?.matches('span') ? "
        outline += (
            "document.activeElement.nextElementSibling : document.activeElement).outlineStyle"
        )
        assert page.evaluate(outline) == "solid"
    card = gallery.locator(SHOWN).first
    assert maps_shown(card) == ["response"]
    page.keyboard.press("ArrowLeft")
    assert maps_shown(card) == ["proposal"]
    page.keyboard.press("ArrowLeft")
    assert maps_shown(card) == []


def test_links_land_on_their_sections(visit):
    page = visit()
    targets = [link.get_attribute("href") for link in page.locator("a[href^='#']").all()]
    assert len(targets) > 15
    for target in targets:
        page.locator(f"a[href='{target}']").first.evaluate("link => link.click()")
        expect(page.locator(target)).to_be_in_viewport()


def test_a_phone_shows_the_gains_without_scrolling(visit):
    page = visit(viewport={"width": 360, "height": 700})
    gains = page.locator("#gains-papers .delta").all()
    assert gains
    for gain in gains:
        place = gain.bounding_box()
        assert 0 <= place["x"] < place["x"] + place["width"] <= 360


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_does_not_scroll_sideways(visit, width):
    page = visit(viewport={"width": width, "height": 700})
    for folded in page.locator("summary").all():
        folded.evaluate("summary => { summary.parentElement.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_both_schemes_can_be_read(visit, scheme, dark):
    page = visit(color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(int(part) for part in paper.strip("rgb()").split(", ")) < 60) == dark
    texts = ("h1", ".lead", ".note", ".interval", ".delta.better", ".legend .worse", ".facts span")
    for selector in (*texts, ".verdict.hit", ".layers span", ".layers :checked + span", "summary"):
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector


def test_without_scripts_there_are_tables_and_layers_and_no_filters(visit):
    page = visit(java_script_enabled=False)
    expect(page.locator("#spg-4 table.measured")).to_be_visible()
    expect(page.locator(".filters").first).to_be_hidden()
    card = page.locator("#several .card").first
    choose(card, "Input")
    assert maps_shown(card) == []


def test_print_leaves_out_what_is_for_clicking_and_unfolds_the_rest(visit):
    page = visit()
    page.emulate_media(media="print")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator(".filters").first).to_be_hidden()
    expect(page.locator("#spg-1 table.published")).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("#spg-1 table.published")).to_be_visible()
    page.set_viewport_size({"width": 1032, "height": 700})  # A4 on its side, without margins
    assert page.evaluate("document.documentElement.scrollWidth") == 1032
