"""The page in a browser: type a sentence, press Translate, read the translation, see the attention."""

import math
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from huggingface_hub import HfApi
from playwright.sync_api import Browser, Page, expect

from hub_card.space.app import MEAN, Translator
from hub_card.space.publish import publish, space_files
from tests.browser import DESKTOP, PHONE, chromium, screenshot
from tests.hub_server import HubServer
from tests.training.models import Parts, save, small_model

PAIRS = {
    "The old farmer sees a dog.": "Der alte Bauer sieht einen Hund.",
    "The dog sees a farmer.": "Der Hund sieht einen Bauern.",
    "A young dog sleeps today.": "Ein junger Hund schläft heute.",
}
EXAMPLES = list(PAIRS)
NAME = "tester/tiny"

# Runs a Space where the package cannot be imported.
WITHOUT_THE_PACKAGE = """
import runpy, sys
sys.modules["modeling_vanilla_transformer"] = None
runpy.run_path("app.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def parts() -> Parts:
    """A tiny model that knows its few sentences by heart."""
    model, tokenizer = small_model([*PAIRS, *PAIRS.values()] * 3, search={"num_beams": 4, "max_length_offset": 9})
    batch = tokenizer(EXAMPLES, text_target=list(PAIRS.values()), return_tensors="pt", padding=True)
    batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
    optimizer = torch.optim.Adam(model.train().parameters(), 2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def address(parts, tmp_path_factory) -> Iterator[str]:
    """Where a published Space serves the page of the model, which comes with its code from the Hub."""
    folder = tmp_path_factory.mktemp("space")
    with HubServer(folder / "hub") as hub:
        hub.add(NAME, {file.name: file.read_bytes() for file in save(parts, folder / "model").iterdir()})
        api = HfApi(endpoint=hub.url, token=hub.token)
        publish(api, "tester/space", space_files(NAME, None, EXAMPLES), private=False)
        (folder / "space").mkdir()
        for path, content in hub.files("tester/space", repo_type="space").items():
            (folder / "space" / path).write_bytes(content)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_THE_PACKAGE],
            cwd=folder / "space",
            env=hub.environment() | {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"},
        )
        try:
            wait_for(url, process)
            yield url
        finally:
            process.terminate()
            process.wait()


def wait_for(url: str, process: subprocess.Popen) -> None:
    """Until it is served."""
    for _ in range(600):
        assert process.poll() is None, "the page ended by itself"
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"nothing is served at {url} after two minutes")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@contextmanager
def opened(browser: Browser, address: str, **options) -> Iterator[Page]:
    """The page, watched: it asks nobody but its own server for anything, and has no error to report."""
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    page = context.new_page()
    page.set_default_timeout(10_000)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on(
        "request", lambda request: None if request.url.startswith((address, "data:")) else wrong.append(request.url)
    )
    page.goto(address)
    try:
        yield page
        assert wrong == []
    finally:
        context.close()


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    with opened(browser, address) as page:
        yield page


def translate(page: Page, text: str) -> None:
    """Types a text, presses the button, and waits for an answer."""
    page.get_by_label("Sentence").fill(text)
    page.get_by_role("button", name="Translate").click()
    page.locator("[data-side=translation]:visible, .refusal:visible").first.wait_for()


def words(page: Page, side: str) -> list[str]:
    return page.locator(f"[data-side={side}] button").all_inner_texts()


def shades(page: Page, side: str) -> list[float]:
    """How strongly each word of a side is shaded, as it is painted."""
    painted = page.locator(f"[data-side={side}] button").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    )
    return [float(re.search(r"[/,] ?([\d.]+)\)$", colour)[1]) for colour in painted]


def expected_shades(translator: Translator, source: list[int], target: list[int], place: int, *chosen: int) -> list:
    """Of the source's words for the word at a place of the translation, with the layer and head that are chosen."""
    piece = translator.pieces(target)[place]
    row = translator.attention(source, target, *chosen)[piece.first : piece.stop].mean(dim=0)
    weights = [float(row[one.first : one.stop].sum()) for one in translator.pieces(source)]
    return [0.75 * math.sqrt(round(100 * weight) / 100) for weight in weights]


def word(page: Page, side: str, place: int):
    return page.locator(f"[data-side={side}] button").nth(place)


def pieces_of(translator: Translator, tokens: list[int]) -> list[str]:
    return [piece.text.strip() or "␣" for piece in translator.pieces(tokens)]


# ---- translating ----


def test_a_sentence_is_translated_and_its_attention_is_seen(page, parts):
    translator = Translator(*parts)
    source = translator.read(EXAMPLES[0])
    found = translator.translate(source, 4, 0.6, "wu", 4)
    assert found[0].text == PAIRS[EXAMPLES[0]]
    expect(page).to_have_title(NAME)
    screenshot(page, "space-empty")
    translate(page, EXAMPLES[0])
    expect(page.get_by_label("Translation", exact=True)).to_have_value(found[0].text)

    # All of them, with their scores.
    ranked = page.get_by_role("radio", name=re.compile("^−")).all()
    assert len(ranked) == 4
    labels = page.locator(".ranking label").all_inner_texts()
    for label, one in zip(labels, found, strict=True):
        assert label.strip().startswith(f"−{-one.score:.3f}")

    # The words of both sides, shaded as soon as one of them is pointed at.
    assert words(page, "source") == pieces_of(translator, source)
    assert words(page, "translation") == pieces_of(translator, found[0].tokens)
    assert set(shades(page, "source")) == {0}
    for place in (0, len(words(page, "translation")) - 1):
        word(page, "translation", place).hover()
        expected = expected_shades(translator, source, found[0].tokens, place, MEAN, MEAN)
        assert shades(page, "source") == pytest.approx(expected, abs=0.01)
        assert set(shades(page, "translation")) == {0}
        strongest = words(page, "source")[expected.index(max(expected))]
        told = page.locator("[aria-live]").filter(has_text="looks at")
        expect(told).to_contain_text(re.compile(rf"looks at: .*{re.escape(strongest)}\u2069 \d+%"))
    screenshot(page, "space", full_page=True)

    word(page, "source", 2).hover()
    assert set(shades(page, "source")) == {0} and max(shades(page, "translation")) > 0
    page.get_by_role("heading", name=NAME).hover()
    assert set(shades(page, "source") + shades(page, "translation")) == {0}


def test_another_translation_layer_or_head_is_another_figure(page, parts):
    translator = Translator(*parts)
    source = translator.read(EXAMPLES[0])
    second = translator.translate(source, 4, 0.6, "wu", 4)[1]
    translate(page, EXAMPLES[0])
    page.locator(".ranking label").nth(1).click()
    expect(page.locator("[data-side=translation] button")).to_have_text(pieces_of(translator, second.tokens))
    for label, choice, layer, head in (("Layer", "2", 1, MEAN), ("Head", "3", 1, 2)):
        before = page.locator("[data-weights]").get_attribute("data-weights")
        page.get_by_label(label).click()
        page.get_by_role("option", name=choice).click()
        expect(page.locator("[data-weights]")).not_to_have_attribute("data-weights", before)
        word(page, "translation", 0).hover()
        expected = expected_shades(translator, source, second.tokens, 0, layer, head)
        assert shades(page, "source") == pytest.approx(expected, abs=0.01)
        page.get_by_role("heading", name=NAME).hover()


def choose(page, name, value):
    """Type a number until it has arrived: what is typed while the panel is still opening is lost."""
    for milliseconds in (1000, 1000, 5000):
        page.get_by_label(f"number input for {name}").fill(value)
        try:
            return expect(page.get_by_label(f"range slider for {name}")).to_have_value(value, timeout=milliseconds)
        except AssertionError:
            if milliseconds == 5000:
                raise


def test_the_search_can_be_chosen(page, parts):
    translator = Translator(*parts)
    found = translator.translate(translator.read(EXAMPLES[1]), 2, 1.5, "power", 2)
    page.get_by_role("button", name="Search").click()
    for name, value in (("Beams", "2"), ("Alpha", "1.5")):
        choose(page, name, value)
    page.get_by_label(re.compile("transformers'")).check()
    translate(page, EXAMPLES[1])
    labels = page.locator(".ranking label")
    expect(labels).to_have_count(2)  # of the four that are asked for: no more than beams
    for label, one in zip(labels.all_inner_texts(), found, strict=True):
        assert label.strip().startswith(f"−{-one.score:.3f}")


def test_an_example_needs_no_typing(page):
    page.get_by_role("button", name=EXAMPLES[1]).click()
    expect(page.get_by_label("Sentence")).to_have_value(EXAMPLES[1])


def test_everybody_gets_the_answer_to_their_own_question(browser, address):
    with opened(browser, address) as one, opened(browser, address) as other:
        asked = list(zip((one, other), EXAMPLES, strict=False))
        for page, sentence in asked:
            page.get_by_label("Sentence").fill(sentence)
        for page, _ in asked:
            page.get_by_role("button", name="Translate").click()
        for page, sentence in asked:
            expect(page.get_by_label("Translation", exact=True)).to_have_value(PAIRS[sentence])
        for page, sentence in asked:  # whose figure is drawn anew
            page.get_by_label("Layer").click()
            page.get_by_role("option", name="2").click()
            assert words(page, "source")[1] == sentence.split()[1]


# ---- what goes wrong ----


def test_what_cannot_be_translated_is_said_in_the_page(page):
    translate(page, EXAMPLES[0])
    alert = page.get_by_role("alert").filter(has_text="translate")
    for text, message in ((" ", "type a sentence"), ("dog " * 2000, "too long")):
        translate(page, text)
        expect(alert).to_contain_text(message)
        expect(page.get_by_label("Translation", exact=True)).to_have_value("")
        expect(page.locator(".ranking")).to_be_hidden()
    screenshot(page, "space-refused")
    translate(page, EXAMPLES[0])
    expect(alert).to_be_hidden()
    expect(page.locator(".ranking")).to_be_visible()


def test_text_that_looks_like_code_is_shown_and_not_run(page):
    translate(page, "<script>alert(1)</script> ${alert(2)} {{value}} <img src=x onerror=alert(3)>")
    shown = "".join(words(page, "source"))
    assert shown.startswith("<script>alert(1)</script>${alert(2)}{{value}}<imgsrc=xonerror=alert(3)>")
    word(page, "translation", 0).hover()
    word(page, "source", 0).hover()
    assert page.locator("[data-weights] script, [data-weights] img").count() == 0


# ---- for everybody ----


def test_all_of_it_works_from_the_keyboard(page):
    page.get_by_label("Sentence").focus()
    page.keyboard.type(EXAMPLES[0])
    page.keyboard.press("Shift+Enter")
    expect(word(page, "source", 0)).to_be_visible()
    word(page, "source", 0).focus()
    page.keyboard.press("ArrowRight")
    expect(word(page, "source", 1)).to_be_focused()
    assert max(shades(page, "translation")) > 0
    page.keyboard.press("End")
    expect(word(page, "source", len(words(page, "source")) - 1)).to_be_focused()
    page.keyboard.press("Tab")
    expect(word(page, "translation", 0)).to_be_focused()  # a side is one stop
    expect(page.locator("[aria-live]").filter(has_text="looks at")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    expect(word(page, "source", len(words(page, "source")) - 1)).to_be_focused()


def test_every_control_has_a_name(page):
    translate(page, EXAMPLES[0])
    page.get_by_role("button", name="Search").click()
    controls = page.locator("textarea:visible, input:visible, button:visible, select:visible")
    nameless = [
        control.evaluate("one => one.outerHTML")
        for control in controls.all()
        if re.search('^- (textbox|button|slider|spinbutton|radio|combobox|listbox)(?! ")', control.aria_snapshot())
    ]
    assert nameless == []


@pytest.mark.parametrize(("name", "options"), [("phone", {"viewport": PHONE}), ("dark", {"color_scheme": "dark"})])
def test_it_fits_a_phone_and_a_dark_room(browser, address, name, options):
    with opened(browser, address, **options) as page:
        translate(page, EXAMPLES[0])
        word(page, "translation", 0).hover()
        assert max(shades(page, "source")) > 0
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        background, text = (
            page.evaluate(f"getComputedStyle(document.body).{key}.match(/\\d+/g).map(Number)")
            for key in ("backgroundColor", "color")
        )
        assert (sum(background) < sum(text)) == (name == "dark")
        screenshot(page, f"space-{name}", full_page=True)


def test_no_word_is_wider_than_the_page(browser, address):
    with opened(browser, address, viewport=PHONE) as page:
        translate(page, "dog" * 60)
        page.locator(".ranking label span").first.evaluate("one => one.textContent = 'dog'.repeat(60)")
        rights = page.locator("[data-side] button, .ranking label span").evaluate_all(
            "all => all.map((one) => one.getBoundingClientRect().right)"
        )
        assert max(rights) < PHONE["width"]
