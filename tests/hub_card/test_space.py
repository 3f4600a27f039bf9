"""What the page shows is what the model computes, and text stays text."""

import ast
import html
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from hub_card.space import app
from hub_card.space.publish import space_files
from tests.training.models import small_model

ROOT = Path(__file__).parents[2]
LINES = ["the old farmer sees a dog", "der alte Bauer sieht einen Hund", "it isn't 1984: 北京市 hat für Žižek 😊"] * 3


@pytest.fixture(scope="module")
def translator() -> app.Translator:
    return app.Translator(*small_model(LINES, search={"num_beams": 4, "max_length_offset": 4}))


def log_probability(translator, source: list[int], target: list[int]) -> float:
    """Of a whole translation, by one pass over it."""
    inputs = [translator.model.config.decoder_start_token_id, *target[:-1]]
    with torch.no_grad():
        logits = translator.model(torch.tensor([source]), decoder_input_ids=torch.tensor([inputs])).logits[0]
    return float(logits.log_softmax(dim=-1)[range(len(target)), target].sum())


# ---- translating ----


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("penalty", ["wu", "power"])
def test_scores_are_log_probabilities_over_the_penalty_that_was_chosen(translator, beams, penalty):
    source = translator.read("the old farmer")
    found = translator.translate(source, beams, 0.7, penalty, beams)
    assert len(found) == beams
    for one in found:
        length = len(one.tokens)
        divisor = ((5 + length) / 6) ** 0.7 if penalty == "wu" else length**0.7
        assert one.score == pytest.approx(log_probability(translator, source, one.tokens) / divisor, abs=1e-4)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len({tuple(one.tokens) for one in found}) == beams


def test_the_models_own_settings_give_what_generate_gives(translator):
    source = translator.read("der alte Hund")
    search = translator.model.generation_config
    chosen = (search.num_beams, search.length_penalty, search.length_penalty_type)
    (best,) = translator.translate(source, *chosen, 1)
    (row,) = translator.model.generate(torch.tensor([source])).tolist()
    assert [row[0], *best.tokens] == row
    assert best.text == translator.tokenizer.decode(row, skip_special_tokens=True)


def test_no_more_translations_than_beams(translator):
    assert len(translator.translate(translator.read("a dog"), 2, 0.6, "wu", 8)) == 2


def test_a_model_without_a_limit_of_its_own_is_not_cut_after_twenty_tokens():
    model, tokenizer = small_model(LINES)
    del model.generation_config.max_length_offset
    model.generation_config.suppress_tokens = [tokenizer.eos_token_id]  # it never ends by itself
    translator = app.Translator(model, tokenizer)
    source = translator.read("a dog")
    assert len(translator.translate(source, 2, 0.6, "wu", 1)[0].tokens) == len(source) + 50


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_nothing_to_translate_is_said(translator, text):
    with pytest.raises(app.Refused, match="type a sentence"):
        translator.read(text)


def test_what_is_too_long_is_refused_whatever_its_size(translator):
    longest = "a " * (app.MOST_TOKENS - 2) + "a"
    assert len(translator.read(longest)) == app.MOST_TOKENS
    for text in (longest + " a", "a" * 10_000_000):
        with pytest.raises(app.Refused, match=f"up to {app.MOST_TOKENS} tokens"):
            translator.read(text)


def test_the_limit_is_the_models_where_that_is_lower():
    model, tokenizer = small_model(
        LINES, position_embedding_type="learned", max_position_embeddings=40, search={"max_length_offset": 10}
    )
    translator = app.Translator(model, tokenizer)
    assert translator.most_tokens == 30
    longest = translator.read("a " * 28 + "a")
    assert translator.translate(longest, 2, 0.6, "wu", 1)[0].tokens  # there are positions for all that is written
    tokenizer.model_max_length = 20
    assert app.Translator(model, tokenizer).most_tokens == 20


def test_text_is_text(translator):
    tokens = translator.read("a </s>\r\n<pad>  dog")
    assert tokens.count(translator.tokenizer.eos_token_id) == 1
    assert translator.tokenizer.decode(tokens, skip_special_tokens=True) == "a </s> <pad> dog"
    assert translator.read("a \ud83d dog") == translator.read("a ? dog")  # half of an emoji


# ---- attention ----


def test_attention_is_that_of_every_step_of_the_search(translator):
    source = translator.read("the old farmer")
    target = translator.translate(source, 4, 0.6, "wu", 1)[0].tokens
    chosen = translator.attention(source, target, layer=1, head=2)
    start = translator.model.config.decoder_start_token_id
    for step in range(len(target)):
        with torch.no_grad():
            outputs = translator.model(
                torch.tensor([source]),
                decoder_input_ids=torch.tensor([[start, *target[:step]]]),
                output_attentions=True,
            )
        assert torch.allclose(chosen[step], outputs.cross_attentions[1][0, 2, -1], atol=1e-6)


def test_the_mean_is_that_of_all_layers_and_heads(translator):
    source, target = translator.read("the old farmer"), translator.read("der alte Bauer")
    config = translator.model.config
    layers, heads = range(config.decoder_layers), range(config.decoder_attention_heads)
    each = torch.stack(
        [torch.stack([translator.attention(source, target, layer, head) for head in heads]) for layer in layers]
    )
    assert torch.allclose(translator.attention(source, target, app.MEAN, app.MEAN), each.mean(dim=(0, 1)), atol=1e-6)
    assert torch.allclose(translator.attention(source, target, 1, app.MEAN), each[1].mean(dim=0), atol=1e-6)
    assert torch.allclose(translator.attention(source, target, app.MEAN, 0), each[:, 0].mean(dim=0), atol=1e-6)
    assert torch.allclose(each.sum(dim=-1), torch.ones(each.shape[:-1]), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the old farmer.", ["the", " old", " farmer", "."]),
        ("it isn't 1984: gut", ["it", " isn't", " 1984", ":", " gut"]),
        ("für Žižek, Ǆ?", ["für", " Žižek", ",", " Ǆ", "?"]),  # of characters that are spelled in bytes
        ("北京 hat", ["北", "京", " hat"]),
        ("a 😊!", ["a", " 😊", "!"]),
        ("ที่ नमस्ते", ["ที่", " नमस्ते"]),  # vowel signs and tones
        ("می\u200cخواهم 👩\u200d👧 🏳\ufe0f", ["می\u200cخواهم", " 👩\u200d👧", " 🏳\ufe0f"]),
        ("</s>", ["<", "/", "s", ">"]),
    ],
)
def test_pieces_are_what_a_reader_sees_as_one(translator, text, expected):
    tokens = translator.read(text)
    pieces = translator.pieces(tokens)
    assert [piece.text for piece in pieces] == [*expected, app.END]
    assert [piece.first for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == len(tokens)


def test_bytes_that_spell_nothing_are_pieces_as_well(translator):
    tokens = translator.tokenizer.convert_tokens_to_ids(["<0xC3>", "<0xC3>", "a", "<0xF0>", "<0x9F>"])
    for ending in ([], [translator.tokenizer.eos_token_id]):
        pieces = translator.pieces(tokens + ending)
        assert [piece.first for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
        assert pieces[-1].stop == len(tokens + ending)
        text = "".join(piece.text for piece in pieces[: len(pieces) - len(ending)])
        assert text == translator.tokenizer.decode(tokens)


# ---- the figure ----


def test_a_piece_has_the_sum_of_its_source_tokens_and_the_mean_of_its_targets(translator):
    source = [app.Piece("far", 0, 2), app.Piece(app.END, 2, 3)]
    target = [app.Piece("Bau", 0, 2), app.Piece(" ja", 2, 3)]
    weights = torch.tensor([[0.2, 0.1, 0.7], [0.4, 0.3, 0.3], [0.0, 0.01, 0.99]])
    drawn = app.figure(source, target, weights)
    assert json.loads(re.search('data-weights="(.*?)"', drawn)[1]) == [[50, 50], [1, 99]]


@pytest.mark.parametrize("text", ["\u200b", "\x00", "\u202e\ufeff"])
def test_what_cannot_be_seen_has_a_sign(translator, text):
    pieces = translator.pieces(translator.read(text))
    drawn = app.figure(pieces, pieces, torch.zeros(pieces[-1].stop, pieces[-1].stop))
    assert ">␣</button>" in drawn and "\x00" not in drawn


def test_no_text_becomes_markup_or_code(translator):
    text = "<script>alert(1)</script> \"quoted\" & ${1+1} {{value}} `x` onerror='x'"
    pieces = translator.pieces(translator.read(text))
    drawn = app.figure(pieces, pieces, torch.zeros(pieces[-1].stop, pieces[-1].stop))
    assert not re.search(r"<(?!/?(div|h3|p|button)\b)", drawn)
    shown = [html.unescape(word) for word in re.findall("<button[^>]*>(.*?)</button>", drawn)]
    assert shown == [piece.text.strip() for piece in pieces] * 2
    # Gradio runs ${...} of its templates, but not of the values that they are filled with.
    page = app.make_page(translator, "name")
    assert {block.html_template for block in page.blocks.values() if block.get_block_name() == "html"} == {"${value}"}


# ---- the page ----


def test_one_search_at_a_time_and_a_queue_that_ends(translator):
    page = app.make_page(translator, "name")
    assert {function.concurrency_id for function in page.fns.values()} == {"model"}
    assert (page._queue.default_concurrency_limit, page._queue.max_size) == (1, app.MOST_WAITING)
    assert not page.api_open  # or requests could go past the queue
    assert page.analytics_enabled is False


def test_controls_start_with_the_models_own_search(translator):
    page = app.make_page(translator, "name")
    values = {getattr(block, "label", None): getattr(block, "value", None) for block in page.blocks.values()}
    assert (values["Beams"], values["Alpha"], values["Length penalty"]) == (4, 0.6, "wu")


# ---- the Space's files ----


def test_the_app_stands_by_itself():
    tree = ast.parse((ROOT / "hub_card/space/app.py").read_text(encoding="utf-8"))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == {"gradio", "torch", "transformers"}


def test_it_requires_what_the_project_requires():
    required = space_files("someone/model", None, [])["requirements.txt"].decode().split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert required == [one for one in project["dependencies"] if one.startswith(("torch", "transformers"))]
