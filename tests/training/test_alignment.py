"""Word alignments: the attention of tokens, gathered by words."""

import numpy as np
import pytest
import torch

from tests.training.models import small_model
from tests.training.text import sentences
from training import alignment
from training.alignment import align, count_words, words_before

SOURCE, TARGET = sentences(30, seed=3)


@pytest.fixture(scope="module")
def parts():
    return small_model(SOURCE + TARGET)


def test_a_word_is_linked_to_the_word_that_most_of_its_weight_goes_to(parts, monkeypatch):
    model, tokenizer = parts
    source, target = "one red  Xy", " rot XyX"
    for text, tokens in ((source, "one, ,red, , ,<0x58>,<0x79>,</s>"), (target, " ,rot, ,<0x58>,<0x79>,<0x58>,</s>")):
        assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) == tokens.split(",")
    weights = np.zeros((1, 7, 8), dtype=np.float32)
    weights[0, 1] = [0.3, 0, 0.1, 0, 0, 0.2, 0.15, 0.25]  # "rot": to Xy go 0.35, to its two tokens together
    weights[0, 2] = [0, 0, 0, 1, 0, 0, 0, 0]  # a blank is of no word
    weights[0, 3:6, 0] = [0.5, 0.2, 0.1]  # "XyX": to one go 0.8,
    weights[0, 3:6, 2] = [0.2, 0.4, 0.3]  # to red 0.9,
    weights[0, 3:6, 7] = [0.3, 0.4, 0.6]  # and to the end of sentence, which is no word, 1.3
    monkeypatch.setattr(alignment, "_cross_attention", lambda *_: weights)
    assert align(model, tokenizer, [source], [target]) == [[(1, 1), (2, 0)]]


def test_the_attention_is_that_of_the_upper_layers(parts):
    model, tokenizer = parts
    sources, targets = (tokenizer(lines[:4])["input_ids"] for lines in (SOURCE, TARGET))
    found = alignment._cross_attention(model, sources, targets)
    for pair, source, target in zip(found, sources, targets, strict=True):
        model.set_attn_implementation("eager")
        with torch.no_grad():
            outputs = model(
                input_ids=torch.tensor([source]),
                decoder_input_ids=torch.tensor([[model.config.decoder_start_token_id, *target[:-1]]]),
                output_attentions=True,
            )
        model.set_attn_implementation("sdpa")
        upper = torch.stack(outputs.cross_attentions)[model.config.decoder_layers // 2 :].mean(dim=(0, 2))[0]
        np.testing.assert_allclose(pair[: len(target), : len(source)], upper.numpy(), atol=1e-6)
    assert model.config._attn_implementation == "sdpa"


def test_every_word_of_a_translation_has_a_link(parts):
    found = align(*parts, SOURCE, TARGET)
    for links, source, target in zip(found, SOURCE, TARGET, strict=True):
        assert [word for _, word in sorted(links, key=lambda link: link[1])] == list(range(len(target.split())))
        assert links == sorted(links) and all(0 <= word < len(source.split()) for word, _ in links)
    # No words, no links; rare characters, of several tokens each, are words like others.
    assert align(*parts, ["one two", "one", " ", "one"], ["", " ", "eins", "日本 猫"]) == [
        [],
        [],
        [],
        [(0, 0), (0, 1)],
    ]


def test_words_are_what_blanks_divide():
    assert count_words("one\u00a0two  three\tfour\u2028five") == 3  # as for the tools that read alignments
    line = "one two。three"
    assert [words_before(line, place) for place in (0, 1, 4, 8)] == [0, 0, 1, 1]
