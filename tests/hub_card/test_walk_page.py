"""The walk's page in a browser: every step, every switch, and the numbers that its scripts compute."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from hub_card.walk.page import write_page
from hub_card.walk.trace import walk
from tests.browser import DESKTOP, PHONE, chromium, screenshot
from tests.hub_card.walks import assert_close, oracle_of, random_parts

# What a page must not run as code, and must show as it is.
SENTENCE = 'the old <b>farmer</b> </script> sees "a" dog'

STEPS = """
    start tokens embeddings positions order projections scores scaling softmax sums heads norm feed_forward layers
    decoder_input masked cross decoder_layers probabilities beams alignment parallel
""".split()

# Whatever the page does without a file or a network, within so many milliseconds of the click.
AT_ONCE = 100

# When this is over, what the page draws a frame after a click has been drawn, too.
FRAME = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))"

# Whether there is anything on each of the canvases.
DRAWN = """(within = document) => [...within.querySelectorAll("canvas")].map(canvas => {
    const empty = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    return canvas.toDataURL() !== empty.toDataURL();
})"""

# Goes through all steps, and takes the time of each until all is drawn: of the click, or of another word.
ONCE_THROUGH = (
    f"async () => {{ const frame = {FRAME};"
    """
    const answered = async act => {
        await frame();
        const began = performance.now();
        act();
        await frame();
        return performance.now() - began;
    };
    const key = new KeyboardEvent("keydown", { key: "t", bubbles: true });
    const times = {};
    for (const { id } of walk.STEPS.slice(1)) {
        const click = await answered(() => document.getElementById("next").click());
        times[id] = Math.max(click, await answered(() => document.body.dispatchEvent(key)));
    }
    return times;
}"""
)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def parts():
    """A model of the quickstart's sizes."""
    return random_parts(d_model=128, encoder_ffn_dim=512, decoder_ffn_dim=512)


@pytest.fixture(scope="module")
def file(parts, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("walk") / "walk.html"
    write_page(walk(*parts, SENTENCE, name="a model"), path)
    return path


def opened(browser: Browser, file: Path, **options) -> Page:
    """The page, which fails at its end if the console had anything to say."""
    page = browser.new_page(**({"viewport": DESKTOP} | options))
    page.said = []  # type: ignore[attr-defined]
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else page.said.append(request.url),
    )
    page.goto(file.as_uri())
    page.wait_for_function("globalThis.walk !== undefined")
    return page


@pytest.fixture
def page(browser, file):
    page = opened(browser, file)
    yield page
    assert page.said == []
    page.close()


def show(page: Page, step: str) -> None:
    page.evaluate("step => { location.hash = step }", step)
    page.wait_for_function("step => walk.STEPS[walk.state.step].id === step", arg=step)


def pictures(page: Page) -> list[str]:
    page.evaluate(FRAME)
    return page.eval_on_selector_all("#main canvas", "all => all.map(canvas => canvas.toDataURL())")


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def test_every_step_is_reached_by_keys_and_by_mouse(page):
    assert page.evaluate("walk.STEPS.map(step => step.id)") == STEPS
    headings = [heading(page)]
    for number in range(2, len(STEPS) + 1):
        page.keyboard.press("ArrowRight")
        headings.append(heading(page))
        expect(page.locator("#place")).to_have_text(f"Step {number} of {len(STEPS)}")
        assert headings[-1] in page.locator("#live").inner_text()  # what a screen reader is told
        assert page.locator("#steps [aria-current]").inner_text() == f"{number}. {headings[-1]}"
    assert len(set(headings)) == len(STEPS)
    expect(page.locator("#next")).to_be_disabled()
    for expected in reversed(headings[:-1]):
        page.locator("#previous").click()
        assert heading(page) == expected
    expect(page.locator("#previous")).to_be_disabled()
    for expected in headings[1:]:
        page.locator("#next").click()
        assert heading(page) == expected
    page.locator("#steps a").nth(6).click()
    expect(page.locator("h1")).to_have_text(headings[6])  # a link's step comes a moment after the click
    assert page.url.endswith("#scores")


def test_what_the_scripts_compute_is_the_models(parts, page):
    model, _ = parts
    oracle = oracle_of(model, page.evaluate("walk.FACTS"))
    names = [*oracle.derived, "encoder.output", "decoder.1.cross.scores"]  # these two as they are stored
    found = page.evaluate(
        """names => names.map(name => {
            const rows = one => Array.from({ length: one.rows },
                (_, r) => Array.from(one.values.slice(r * one.columns, (r + 1) * one.columns)));
            const found = walk.matrix(name);
            return Array.isArray(found) ? found.map(rows) : rows(found);
        })""",
        names,
    )
    for name, values in zip(names, found, strict=True):
        assert_close(name, values, (oracle.derived | oracle.matrices)[name])
    alignment = page.evaluate("Array.from(walk.alignment().values)")
    upper = np.mean([oracle.derived[f"decoder.{layer}.cross.mean_weights"] for layer in (1,)], axis=0)
    assert_close("alignment", alignment, upper.ravel())


def test_every_step_of_the_model_shows_its_equation(page):
    for step in STEPS:
        show(page, step)
        equations = page.locator(".equation math")
        assert (equations.count() > 0) == (step not in ("start", "tokens", "alignment")), step


def test_of_another_activation_function_nobody_says_that_it_is_the_papers(browser, page, tmp_path):
    write_page(walk(*random_parts(activation_function="gelu"), "the dog"), tmp_path / "walk.html")
    other = opened(browser, tmp_path / "walk.html")
    for one, papers in ((page, True), (other, False)):
        show(one, "feed_forward")
        assert ("max" in one.locator(".equation").inner_text()) == papers
        assert ("becomes 0" in one.locator("#main").inner_text()) == papers
    assert other.said == []
    other.close()


def test_the_contents_show_where_the_reader_is(page):
    for step in ("parallel", "start"):
        show(page, step)
        expect(page.locator("#steps [aria-current]")).to_be_in_viewport(ratio=1)


def test_a_scale_says_where_colours_end_before_the_values(page):
    show(page, "embeddings")
    greatest = page.evaluate("Math.max(...walk.matrix('source.embeddings').values.map(Math.abs))")
    low, high = re.findall(r"[≤≥] ([−.\d]+)", page.locator(".legend").first.inner_text())
    assert low == f"−{high}" and float(high) < greatest
    show(page, "softmax")
    assert page.locator(".legend").last.inner_text() == "01.000"  # of weights, no value lies beyond


def test_layer_head_and_word_change_the_picture(page):
    for step, keys in (("softmax", "LHT"), ("masked", "HT"), ("cross", "HT"), ("norm", "LT"), ("probabilities", "T")):
        show(page, step)
        for key in keys:
            before = pictures(page)
            page.keyboard.press(key)
            assert pictures(page) != before, (step, key)
            page.keyboard.press(f"Shift+{key}")
            assert pictures(page) == before, (step, key)
    show(page, "softmax")
    before = pictures(page)
    page.get_by_label("Head", exact=True).select_option("2")
    assert pictures(page) != before
    page.get_by_label("Head: one back").click()
    page.get_by_label("Head: one back").click()
    assert pictures(page) == before
    show(page, "layers")
    page.get_by_label("Layer 2, Head 3").click()
    assert page.evaluate("walk.state.encoder") == {"layer": 1, "head": 2, "token": 1}
    expect(page.get_by_label("Layer 2, Head 3")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Layer 2, Head 3")).to_be_focused()


def test_values_are_read_by_pointer_and_by_keys(page):
    show(page, "softmax")
    weights = page.evaluate("Array.from(walk.matrix('encoder.0.weights')[0].values)")
    canvas = page.locator("#main canvas").nth(1)
    readout = page.locator("output").nth(1)
    canvas.focus()
    page.keyboard.press("ArrowDown")  # the chosen word's row, the second
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    length = page.evaluate("walk.FACTS.source.ids.length")
    tokens = page.evaluate("walk.FACTS.source.texts.map(token => token.trim())")
    shown = readout.inner_text()
    assert shown.startswith(f"{tokens[2]} → {tokens[1]}: ")
    assert float(shown.rsplit(" ", 1)[1].replace("−", "-")) == pytest.approx(weights[2 * length + 1], abs=6e-4)
    page.keyboard.press("Enter")
    assert page.evaluate("walk.state.encoder.token") == 2 and heading(page).startswith("Softmax")
    expect(canvas).to_be_focused()
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] - 10, "y": box["height"] - 10})
    assert readout.inner_text().startswith(f"{tokens[-1]} → {tokens[-1]}: ")


def test_without_positions_another_order_only_changes_places(page):
    show(page, "order")
    assert "nothing to compare yet" in page.locator(".result").inner_text()
    plain = page.locator(".read").inner_text()
    still = pictures(page)[2]
    page.get_by_label("Put the words into another order").check()
    assert sorted(page.locator(".read").inner_text().split()) == sorted(plain.split()) != plain.split()
    assert "another order is another sentence" in page.locator(".result").inner_text()
    first, second, apart = pictures(page)
    assert first != second and apart != still
    page.get_by_label("Add the position signals").uncheck()
    assert "rounding alone" in page.locator(".result").inner_text()
    assert pictures(page)[2] == still
    expect(page.get_by_label("Add the position signals")).to_be_focused()
    page.keyboard.press("ArrowRight")  # from the switch, too, the keys go on
    assert heading(page) == "Queries, keys and values"


def test_the_beams_grow_and_the_best_wins(page):
    show(page, "beams")
    facts = page.evaluate("walk.FACTS")
    assert f"“{facts['translation']}”" in page.locator(".result").inner_text().replace("\n", " ")
    assert page.locator(".values").last.locator("tr.strong").count() == 1
    sizes = []
    for _ in range(facts["search"]["steps"]):
        sizes.append(page.locator(".tree .node").count())
        page.keyboard.press("Shift+T")
    assert sizes[0] == len(facts["search"]["nodes"]) + 1 and sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1 + sum(node["step"] == 0 for node in facts["search"]["nodes"])


def test_arrow_keys_move_the_tree_where_it_is_wider_than_the_page(browser, file):
    page = opened(browser, file, viewport=PHONE)
    show(page, "beams")
    tree = page.get_by_role("group", name="The tree of the beams")
    tree.focus()
    end = tree.evaluate("tree => tree.scrollLeft")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("([tree, end]) => tree.scrollLeft < end", arg=[tree.element_handle(), end])
    assert heading(page) == "Beam search"
    assert page.said == []
    page.close()


def test_what_is_not_written_yet_and_what_is_masked_are_not_shown(page):
    show(page, "masked")
    for _ in range(3):
        page.keyboard.press("T")
    while page.evaluate("walk.state.decoder.token") > 2:
        page.keyboard.press("Shift+T")
    page.locator("#main canvas").first.focus()
    page.keyboard.press("ArrowRight")  # row 2
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("output").first.inner_text().endswith(": −∞")
    page.keyboard.press("ArrowDown")
    assert page.locator("output").first.inner_text().endswith(": not written yet")


def test_chinese_and_dark_by_a_switch(page):
    for step in STEPS:
        show(page, step)
        english = page.locator("#main").inner_text()
        page.keyboard.press("c")
        chinese = page.locator("#main").inner_text()
        assert english != chinese and re.search(r"[\u4e00-\u9fff]", chinese), step
        assert "undefined" not in english + chinese and "{" not in english + chinese, step
        page.locator("#language").click()
        assert page.locator("#main").inner_text() == english
    show(page, "softmax")
    light = pictures(page)
    page.keyboard.press("d")
    assert pictures(page) != light
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
    page.get_by_role("button", name="Light").click()
    assert pictures(page) == light


def test_what_is_below_the_screen_is_drawn_a_frame_later(page):
    show(page, "decoder_input")
    drawn = f"""() => [...document.querySelectorAll(".matrix")].map(figure =>
        [figure.getBoundingClientRect().top <= innerHeight, ({DRAWN})(figure)[0]])"""
    for step in ("layers", "decoder_layers"):
        at_once = page.evaluate(
            f"""async step => {{
            location.hash = step;
            await new Promise(done => addEventListener("hashchange", done, {{ once: true }}));
            return ({drawn})();
        }}""",
            step,
        )
        assert {True, False} == {seen for seen, _ in at_once}
        assert all(seen == full for seen, full in at_once)
        height = page.evaluate("document.documentElement.scrollHeight")
        page.evaluate(FRAME)
        assert all(full for _, full in page.evaluate(drawn))
        assert page.evaluate("document.documentElement.scrollHeight") == height  # nothing moved
    left_empty = page.evaluate(
        f"""async () => {{
            const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {{ key, bubbles: true }}));
            press("d");
            const old = [...document.querySelectorAll("#main canvas")].at(-1);
            press("ArrowLeft");
            await ({FRAME})();
            return old.toDataURL() === old.cloneNode().toDataURL();
        }}"""
    )
    assert left_empty  # what has left the page is not drawn any more
    assert all(full for _, full in page.evaluate(drawn))


def test_where_all_words_are_shown_each_has_its_greatest_lines(page):
    show(page, "alignment")
    lines, words = page.evaluate("""() => {
        const rows = {};
        for (const line of document.querySelectorAll("svg.lines line"))
            rows[line.getAttribute("y1")] = 1 + (rows[line.getAttribute("y1")] ?? 0);
        return [Object.values(rows), walk.alignment().rows];
    }""")
    assert len(lines) == words and max(lines) <= 10
    assert "the 10 it attends to most" in page.locator("#main").inner_text()


def test_on_paper_everything_is_drawn_at_once(page):
    full = page.evaluate(f"""() => {{
        dispatchEvent(new Event("beforeprint"));
        const full = ({DRAWN})();
        dispatchEvent(new Event("afterprint"));
        return full;
    }}""")
    assert len(full) > 50 and all(full)
    assert page.locator("h1").count() == 1


def test_a_click_is_answered_at_once(file, page):
    """The best of several rounds counts: what other programs do meanwhile is not the page's. Each begins anew, since
    what a step has computed it need not compute again."""
    best: dict[str, float] = {}
    for _ in range(10):
        page.goto(file.as_uri())  # a reload would begin at the last step
        page.wait_for_function("globalThis.walk !== undefined")
        times = page.evaluate(ONCE_THROUGH)
        best = {step: min(time, best.get(step, time)) for step, time in times.items()}
        if max(best.values()) < AT_ONCE:
            break
    assert list(best) == STEPS[1:]
    assert {step: time for step, time in best.items() if time >= AT_ONCE} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone(browser, file, theme):
    page = opened(browser, file, viewport=PHONE, color_scheme=theme, has_touch=True)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    for step in STEPS:
        show(page, step)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], step
    show(page, "cross")
    screenshot(page, f"walk_phone_{theme}", full_page=True)
    page.get_by_text("All steps").click()
    page.get_by_role("link", name="Beam search").click()
    expect(page.locator("h1")).to_have_text("Beam search")
    expect(page.get_by_role("link", name="Tokens and their ids")).to_be_hidden()
    assert page.said == []
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_looks_as_it_should(browser, file, theme):
    page = opened(browser, file, color_scheme=theme)
    for step in ("projections", "masked", "beams"):
        show(page, step)
        screenshot(page, f"walk_{step}_{theme}", full_page=True)
    assert page.said == []
    page.close()


def test_on_paper_all_steps_follow_each_other(page, tmp_path):
    show(page, "heads")
    page.pdf(path=tmp_path / "walk.pdf")
    pages = len(re.findall(rb"/Type /Page\b", (tmp_path / "walk.pdf").read_bytes()))
    assert pages >= len(STEPS)
    assert page.locator("h1").count() == 1 and heading(page).startswith("All heads")  # and as it was afterwards


def test_a_sentence_is_never_code(page):
    assert page.evaluate("walk.FACTS.sentence") == SENTENCE
    show(page, "start")
    assert SENTENCE in page.locator("#main").inner_text()
    assert page.title().endswith(SENTENCE)
    page.evaluate("for (const side of ['source', 'target', 'input']) walk.FACTS[side].texts.fill('<i class=evil>')")
    page.evaluate("walk.FACTS.translation = walk.FACTS.search.nodes[0].text = '<i class=evil>'")
    for step in STEPS:
        show(page, step)
        assert page.locator(".evil").count() == 0, step
