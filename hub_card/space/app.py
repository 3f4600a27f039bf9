"""A page that translates with a model and shows where it looks.

This file stands by itself, as it does in a Space on the Hub, where the model comes by its name and brings its code.
What the page is about stands beside it in space.json: {"model": ..., "revision": ..., "examples": [...]}.
"""

import html
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

# What one translation may cost, on a machine that many people share.
MOST_TOKENS = 256
MOST_CHARACTERS = 4000
MOST_BEAMS = 8
MOST_WAITING = 64

# What the log-probability of a translation is divided by, of its length in tokens and alpha.
LENGTH_PENALTIES = {
    "wu": lambda length, alpha: ((5 + length) / 6) ** alpha,
    "power": lambda length, alpha: length**alpha,
}
PENALTY_NAMES = [("the paper's: ((5 + length) / 6)^alpha", "wu"), ("transformers': length^alpha", "power")]

# How the end of sentence is written, which no text gives: its parentheses are pieces of their own.
END = "(end)"

# What stands for all layers, or all heads, where one could be chosen.
MEAN = -1

# Scripts that put no blanks between words: Thai and Lao, Burmese, Khmer, and the Chinese and Japanese ones.
_WITHOUT_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u9fff\U00020000-\U0003ffff]")

# Characters that hold others together, such as the parts of an emoji; and the categories of those that show at the
# character before them, if at all: accents, vowel signs, formats.
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_DEPENDENT = ("Mn", "Mc", "Me", "Cf")


class Refused(ValueError):
    """A text that isn't translated; the message is for whoever typed it."""


class Translation(NamedTuple):
    text: str
    score: float
    """The log-probability divided by the length penalty, by which the search ranks."""
    tokens: list[int]
    """Without the start token; the end of sentence is the last, if the model came to it."""


class Piece(NamedTuple):
    """A word as a reader sees it: the tokens from `first` to before `stop`."""

    text: str
    first: int
    stop: int


# ---------------------------------------------------------------------------------------------------------------------
# The model


class Translator:
    """A model and its tokenizer, and all that the page asks of them."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        # Only eager attention returns its weights. To have it always spares changing it under somebody else's search.
        model.set_attn_implementation("eager")
        config = model.config
        offset = getattr(model.generation_config, "max_length_offset", None)
        self.max_length_offset: int = 50 if offset is None else offset  # without any, transformers' is 20 tokens
        self.most_tokens: int = min(MOST_TOKENS, tokenizer.model_max_length)
        if config.position_embedding_type == "learned":
            self.most_tokens = min(self.most_tokens, config.max_position_embeddings - self.max_length_offset)

    def read(self, text: str) -> list[int]:
        """The tokens of a text, in which any white space is a blank.

        Raises:
            Refused: there is nothing to translate, or too much.
        """
        # Half a character, which JSON can carry, is no text for a tokenizer: it becomes a question mark.
        text = " ".join(text.encode(errors="replace").decode().split())
        if not text:
            raise Refused("There is nothing to translate yet: type a sentence.")
        # A special token's name, such as </s>, is text like any other here.
        tokens = self.tokenizer(text[:MOST_CHARACTERS], split_special_tokens=True, verbose=False)["input_ids"]
        if len(text) > MOST_CHARACTERS or len(tokens) > self.most_tokens:
            raise Refused(
                f"This is too long: the page takes up to {self.most_tokens} tokens, some {self.most_tokens * 2 // 3} "
                "words. Translate it sentence by sentence."
            )
        return tokens

    @torch.no_grad()
    def translate(self, source: list[int], beams: int, alpha: float, penalty: str, count: int) -> list[Translation]:
        """The best `count` translations of the tokens `source`, or as many as there are beams, the best one first."""
        # With one beam nothing is ranked, and generate would warn of settings that are for several.
        ranking = (alpha, "never") if beams > 1 else (1.0, False)
        outputs = self.model.generate(
            torch.tensor([source], device=self.model.device),
            do_sample=False,
            num_beams=beams,
            num_return_sequences=min(count, beams),
            length_penalty=ranking[0],
            length_penalty_type=penalty,
            early_stopping=ranking[1],
            max_length_offset=self.max_length_offset,
            output_scores=True,
            return_dict_in_generate=True,
        )
        rows = [self._written(row) for row in outputs.sequences.tolist()]
        if beams > 1:
            scores = outputs.sequences_scores.tolist()
        else:
            steps = self.model.compute_transition_scores(outputs.sequences, outputs.scores, normalize_logits=True)
            scores = [float(steps.sum()) / LENGTH_PENALTIES[penalty](len(rows[0]), alpha)]
        texts = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        return [Translation(*found) for found in zip(texts, scores, rows, strict=True)]

    def _written(self, row: list[int]) -> list[int]:
        """A row of `generate` without the start token and without what fills it up behind the end of sentence."""
        tokens, end = row[1:], self.tokenizer.eos_token_id
        return tokens[: tokens.index(end) + 1] if end in tokens else tokens

    @torch.no_grad()
    def attention(self, source: list[int], target: list[int], layer: int, head: int) -> torch.Tensor:
        """How much each target token looks at each source token as it is predicted, (target length, source length):
        of a layer and a head, from 0, or the mean of all (`MEAN`). Each row sums to 1."""
        inputs = [self.model.config.decoder_start_token_id, *target[:-1]]
        outputs = self.model(
            torch.tensor([source], device=self.model.device),
            decoder_input_ids=torch.tensor([inputs], device=self.model.device),
            output_attentions=True,
            use_cache=False,
        )
        weights = torch.stack(outputs.cross_attentions)[:, 0].float().cpu()  # (layers, heads, target, source length)
        layers, heads = (slice(None) if one == MEAN else slice(one, one + 1) for one in (layer, head))
        return weights[layers, heads].mean(dim=(0, 1))

    def pieces(self, tokens: list[int]) -> list[Piece]:
        """The words, numbers and marks that the tokens spell, in order; every token is part of one."""
        found: list[Piece] = []
        text, end = "", self.tokenizer.eos_token_id
        for stop in range(1, len(tokens) + 1):
            longer = self.tokenizer.decode(tokens[:stop])
            if longer.endswith("\N{REPLACEMENT CHARACTER}") and tokens[stop : stop + 1] not in ([], [end]):
                continue  # a character that bytes spell, and not all of them yet
            new = longer[len(text) :]
            if tokens[stop - 1] == end:
                found.append(Piece(END, stop - 1, stop))
            elif found and (found[-1].text.isspace() or _in_one_word(text[-1:] + new[:1])):
                found[-1] = Piece(found[-1].text + new, found[-1].first, stop)
            else:
                found.append(Piece(new, found[-1].stop if found else 0, stop))
            text = longer
        return found


def _in_one_word(characters: str) -> bool:
    """Whether a word can go on from the first of two characters to the second; no character is part of any word."""
    if len(characters) < 2 or characters[0] in _JOINERS or unicodedata.category(characters[1]) in _DEPENDENT:
        return True
    return all(
        (unicodedata.category(one)[0] in "LMN" or one in "'\N{RIGHT SINGLE QUOTATION MARK}")
        and not _WITHOUT_BLANKS.match(one)
        for one in characters
    )


# ---------------------------------------------------------------------------------------------------------------------
# The page


def figure(source: Sequence[Piece], translation: Sequence[Piece], weights: torch.Tensor) -> str:
    """The attention between two sides as HTML, for `FIGURE_SCRIPT` to bring to life.

    Finished HTML, because a template of Gradio's would run what looks like its code, ${...}, in the text of a side.

    Args:
        source: the pieces of the source.
        translation: those of the translation.
        weights: between their tokens, (translation length, source length). A piece of the source has the sum of its
            tokens' weights, a piece of the translation the mean of its own.
    """
    rows = torch.stack([weights[piece.first : piece.stop].mean(dim=0) for piece in translation])
    table = torch.stack([rows[:, piece.first : piece.stop].sum(dim=1) for piece in source], dim=1)
    percent = json.dumps((100 * table).round().int().tolist(), separators=(",", ":"))
    return (
        f'<div data-weights="{percent}">{_side("source", source)}{_side("translation", translation)}'
        f'<p class="told" aria-live="polite"></p></div>'
    )


def _side(name: str, pieces: Sequence[Piece]) -> str:
    words = []
    for place, piece in enumerate(pieces):
        # Only one word of a side is a stop of the Tab key; the arrow keys go from it to the others.
        blank = " " if piece.text == END or piece.text[:1].isspace() else ""
        shown = html.escape(_seen(piece.text))
        words.append(f'{blank}<button type="button" tabindex="{-(place > 0)}">{shown}</button>')
    return f'<h3>{name}</h3><p role="group" aria-label="{name}" data-side="{name}" dir="auto">{"".join(words)}</p>'


def _seen(text: str) -> str:
    """A piece's text without the blanks around it; a sign where nothing of it can be seen."""
    text = text.strip()
    return text if any(map(str.isprintable, text)) else "\N{OPEN BOX}"


FIGURE_STYLE = """
h3 { margin: 0 0 2px; font-size: 0.85rem; font-weight: 500; color: var(--body-text-color-subdued); }
h3::first-letter { text-transform: uppercase; }
[data-side] { margin: 0 0 14px; font-size: 1.15rem; line-height: 2; --shade: var(--primary-500); }
.dark & [data-side] { --shade: var(--primary-600); }
[data-side] button {
  max-width: 100%; padding: 3px 1px; border: 0; border-radius: 4px; cursor: pointer;
  font: inherit; color: inherit; text-align: start; overflow-wrap: anywhere;
  background: color-mix(in srgb, var(--shade) calc(var(--shading, 0) * 75%), transparent);
}
[data-side] button:focus-visible, [data-side] button.chosen { outline: 2px solid var(--primary-500); }
.told { margin: 0; min-height: 3em; color: var(--body-text-color-subdued); }
"""

FIGURE_SCRIPT = """
const isolated = (text) => `\\u2068${text}\\u2069`;  // words from right to left leave the others in their places
const words = (side) => [...element.querySelectorAll(`[data-side=${side}] button`)];

function show(word) {
  for (const one of element.querySelectorAll("[data-side] button")) {
    one.style.removeProperty("--shading");
    one.classList.toggle("chosen", one === word);
  }
  const told = element.querySelector(".told");
  told.textContent = "";
  if (!word) return;
  const table = JSON.parse(element.querySelector("[data-weights]").dataset.weights);
  const isSource = word.parentElement.dataset.side === "source";
  const others = words(isSource ? "translation" : "source");
  const place = words(isSource ? "source" : "translation").indexOf(word);
  const weights = others.map((_, other) => (isSource ? table[other][place] : table[place][other]));
  // By the square root, so that weak attention can be seen as well.
  others.forEach((other, index) => other.style.setProperty("--shading", Math.sqrt(weights[index] / 100)));
  const strongest = others.map((other, index) => [weights[index], other.textContent])
    .filter(([weight]) => weight > 0).sort((one, two) => two[0] - one[0]).slice(0, 4)
    .map(([weight, text]) => `${isolated(text)} ${weight}%`).join(", ") || "nothing";
  told.textContent = `${isolated(word.textContent)} ${isSource ? "is looked at by" : "looks at"}: ${strongest}`;
}

const wordOf = (event) => event.target.closest("[data-side] button");
const focused = () => element.querySelector("[data-side] button:focus");

element.addEventListener("mouseover", (event) => { if (wordOf(event)) show(wordOf(event)); });
element.addEventListener("mouseout", (event) => { if (wordOf(event)) show(focused()); });
element.addEventListener("click", (event) => wordOf(event)?.focus());  // not every browser does it by itself
element.addEventListener("focusin", (event) => { if (wordOf(event)) show(wordOf(event)); });
element.addEventListener("focusout", (event) => { if (wordOf(event)) show(); });
element.addEventListener("keydown", (event) => {
  const word = wordOf(event);
  const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  if (!word || !(event.key in steps)) return;
  const side = words(word.parentElement.dataset.side);
  const next = side[Math.min(Math.max(side.indexOf(word) + steps[event.key], 0), side.length - 1)];
  event.preventDefault();
  word.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
"""

PAGE_STYLE = """
.gradio-container { width: 100%; max-width: 960px !important; margin: 0 auto; }
.ranking .wrap { flex-direction: column; }
.ranking label { width: 100%; font-variant-numeric: tabular-nums; }
.ranking label span { min-width: 0; overflow-wrap: anywhere; }
.refusal { margin: 0; padding: 10px 14px; border-radius: 8px; border-left: 3px solid var(--primary-500);
  background: var(--background-fill-secondary); }
"""

# Fonts that the reader has, none is fetched; and colours whose contrast is enough for small text.
THEME = gr.themes.Default(
    primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_600",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
    checkbox_label_background_fill_selected="*primary_100",
    checkbox_label_background_fill_selected_dark="*primary_900",
    checkbox_label_text_color_selected="*body_text_color",
)


def make_page(translator: Translator, name: str, examples: Sequence[str] = ()) -> gr.Blocks:
    """The page of a model.

    Args:
        translator: the model.
        name: what the page calls it.
        examples: sentences to try.
    """
    config, search = translator.model.config, translator.model.generation_config

    def translate(text, beams, alpha, penalty, count, layer, head):
        """What the page shows of a text: a message, the best translation, all of them, and the figure of the best."""
        try:
            source = translator.read(text)
        except Refused as refusal:
            message = gr.HTML(f'<p class="refusal" role="alert">{html.escape(str(refusal))}</p>', visible=True)
            return message, "", gr.Column(visible=False), None, "", None
        found = translator.translate(source, int(beams), alpha, penalty, int(count))
        scores = [f"{one.score:.3f}".replace("-", "\N{MINUS SIGN}") for one in found]
        # Isolated, so that text from right to left leaves the score in its place.
        isolated = [f"\N{FIRST STRONG ISOLATE}{one.text}\N{POP DIRECTIONAL ISOLATE}" for one in found]
        labels = [f"{score}  {text}" for score, text in zip(scores, isolated, strict=True)]
        state = (source, [one.tokens for one in found])
        return (
            gr.HTML(visible=False),
            found[0].text,
            gr.Column(visible=True),
            gr.Radio(choices=[(label, rank) for rank, label in enumerate(labels)], value=0),
            draw(state, 0, layer, head),
            state,
        )

    def draw(state, rank, layer, head):
        """The figure of the translation that has the rank, from 0."""
        source, translations = state
        weights = translator.attention(source, translations[rank], layer, head)
        return figure(translator.pieces(source), translator.pieces(translations[rank]), weights)

    with gr.Blocks(title=name, analytics_enabled=False) as page:
        gr.Markdown(f"# {name}\nTranslation with a Transformer, and where it looks while it writes.")
        state = gr.State()
        with gr.Row():
            with gr.Column():
                text = gr.Textbox(label="Sentence", lines=3, max_lines=8, placeholder="Shift+Enter translates it.")
                button = gr.Button("Translate", variant="primary")
            with gr.Column():
                # Without Gradio's button to copy it, which takes the box's label away from screen readers.
                translation = gr.Textbox(label="Translation", lines=3, interactive=False)
        message = gr.HTML(visible=False)
        if examples:
            gr.Examples([[example] for example in examples], text)
        with gr.Accordion("Search", open=False):
            with gr.Row():
                own = min(search.num_beams or 1, MOST_BEAMS)
                beams = gr.Slider(1, MOST_BEAMS, own, step=1, label="Beams", info="hypotheses that are kept")
                count = gr.Slider(1, MOST_BEAMS, 4, step=1, label="Translations", info="no more than beams")
            with gr.Row():
                own = getattr(search, "length_penalty_type", None) or "power"
                penalty = gr.Radio(PENALTY_NAMES, value=own, label="Length penalty")
                own = 1.0 if search.length_penalty is None else search.length_penalty
                alpha = gr.Slider(
                    min(0, own),
                    max(2, own),
                    own,
                    step=0.1,
                    label="Alpha",
                    info="the higher, the longer the translations",
                )
        with gr.Column(visible=False) as results:
            ranking = gr.Radio(
                [],
                label="Translations, the best first",
                info="The score is the log-probability divided by the length penalty.",
                elem_classes="ranking",
            )
            gr.Markdown(
                "## Attention\nPoint at a word, or go to it with Tab and the arrow keys: the shades say how much the "
                "model looks at each word of the source while it writes a word of the translation."
            )
            with gr.Row():
                layer = gr.Dropdown(_numbered(config.decoder_layers), value=MEAN, label="Layer")
                head = gr.Dropdown(_numbered(config.decoder_attention_heads), value=MEAN, label="Head")
            drawing = gr.HTML(
                css_template=FIGURE_STYLE, js_on_load=FIGURE_SCRIPT, apply_default_css=False, container=True
            )

        inputs = [text, beams, alpha, penalty, count, layer, head]
        outputs = [message, translation, results, ranking, drawing, state]
        # One after the other, whoever asks: each has the whole machine for a moment.
        gr.on([button.click, text.submit], translate, inputs, outputs, concurrency_id="model", api_name="translate")
        changes = [ranking.input, layer.input, head.input]
        gr.on(changes, draw, [state, ranking, layer, head], drawing, concurrency_id="model", api_visibility="private")
    return page.queue(max_size=MOST_WAITING, default_concurrency_limit=1, api_open=False)


def _numbered(count: int) -> list[tuple[str, int]]:
    return [("mean", MEAN), *((str(number + 1), number) for number in range(count))]


def launch(page: gr.Blocks, **options: Any) -> None:
    """Serve a page until the process is stopped; `options` are Gradio's: `server_name`, `server_port`, ..."""
    page.launch(theme=THEME, css=PAGE_STYLE, run_history=False, ssr_mode=False, **options)


def main() -> None:
    """Serve the page that space.json describes."""
    about = json.loads((Path(__file__).parent / "space.json").read_text(encoding="utf-8"))
    name, where = about["model"], {"revision": about["revision"], "trust_remote_code": True}
    model = AutoModelForSeq2SeqLM.from_pretrained(name, **where)
    tokenizer = AutoTokenizer.from_pretrained(name, **where)
    launch(make_page(Translator(model, tokenizer), name, about["examples"]))


if __name__ == "__main__":
    main()
