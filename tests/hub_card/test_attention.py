"""The attention that is shown is the model's own, and knows its tokens."""

import math

import pytest
import torch

from hub_card.attention import MOST_TOKENS, read_attention
from tests.training.models import small_model

SENTENCE = "the old farmer sees a dog"


@pytest.fixture(scope="module")
def parts():
    sizes = dict(
        encoder_layers=1, decoder_layers=3, encoder_attention_heads=2, decoder_attention_heads=4, d_k=5, d_v=7
    )
    return small_model([SENTENCE, "der alte Bauer sieht einen Hund"] * 3, **sizes)


def recomputed(attention, inputs, causal: bool) -> torch.Tensor:
    """softmax(Q K^T / sqrt(d_k)) in float64, from the projections' weights and what went into the attention."""
    queries_from, keys_from = inputs[0].double(), inputs[-1].double()
    query, key = (
        (states @ projection.weight.double().T).unflatten(-1, (attention.num_heads, -1)).transpose(0, 1)
        for states, projection in ((queries_from, attention.q_proj), (keys_from, attention.k_proj))
    )
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if causal:
        scores += torch.full(scores.shape[-2:], -math.inf, dtype=torch.float64).triu(diagonal=1)
    return scores.softmax(dim=-1)


@torch.no_grad()
def test_every_weight_follows_from_the_projections(parts):
    model, tokenizer = parts
    attention = read_attention(model, tokenizer, SENTENCE)
    inputs = {}

    def remember(module, given):
        inputs[module] = [states[0] for states in given[:2] if states is not None]

    layers = [*model.model.encoder.layers, *model.model.decoder.layers]
    modules = [module for layer in layers for name, module in layer.named_children() if name.endswith("_attn")]
    hooks = [module.register_forward_pre_hook(remember) for module in modules]
    source = tokenizer(SENTENCE, return_tensors="pt")
    translation = model.generate(**source)
    inputs.clear()
    model(**source, decoder_input_ids=translation[:, :-1], use_cache=False)
    for hook in hooks:
        hook.remove()

    encoder, decoder = model.model.encoder.layers, model.model.decoder.layers
    assert (len(attention.encoder), len(attention.decoder), len(attention.cross)) == (1, 3, 3)
    for drawn, layer in zip(attention.encoder, encoder, strict=True):
        expected = recomputed(layer.self_attn, inputs[layer.self_attn][:1], causal=False)
        torch.testing.assert_close(drawn.double(), expected, atol=1e-6, rtol=1e-5)
    for drawn, cross, layer in zip(attention.decoder, attention.cross, decoder, strict=True):
        expected = recomputed(layer.self_attn, inputs[layer.self_attn][:1], causal=True)
        torch.testing.assert_close(drawn.double(), expected, atol=1e-6, rtol=1e-5)
        expected = recomputed(layer.encoder_attn, inputs[layer.encoder_attn], causal=False)
        torch.testing.assert_close(cross.double(), expected, atol=1e-6, rtol=1e-5)

    assert attention.source == tokenizer.convert_ids_to_tokens(source["input_ids"][0].tolist())
    words = tokenizer.convert_ids_to_tokens(translation[0].tolist())
    assert (attention.read, attention.written) == (words[:-1], words[1:])


def test_layers_and_heads_are_counted_from_one(parts):
    attention = read_attention(*parts, SENTENCE)
    last = attention.layer("cross")
    assert last.weights is attention.cross[2] and "layer 3 of 3" in last.title
    assert attention.layer("decoder", 1).weights is attention.decoder[0]
    assert torch.equal(last.head(4), attention.cross[2][3])
    assert torch.allclose(last.head().sum(dim=1), torch.ones(len(attention.written)))
    for call, message in (
        (lambda: attention.layer("decoder", 4), "layer=4: the decoder has layers 1 to 3"),
        (lambda: attention.layer("encoder", 0), "layer=0: the encoder has layers 1 to 1"),
        (lambda: attention.layer("self"), "kind='self': the attentions are 'encoder', 'decoder', 'cross'"),
        (lambda: last.head(0), "head=0: this attention has heads 1 to 4"),
        (lambda: last.head(5), "head=5"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_the_model_is_left_as_it_was(parts):
    model, tokenizer = parts
    model.train()
    read_attention(model, tokenizer, "a dog")
    assert model.training and model.config._attn_implementation == "sdpa"
    model.eval()


def test_what_generate_is_set_to_return_is_of_no_account(parts, monkeypatch):
    expected = read_attention(*parts, SENTENCE)
    monkeypatch.setattr(parts[0].generation_config, "return_dict_in_generate", True)
    assert read_attention(*parts, SENTENCE).written == expected.written


def test_a_sentence_is_text_and_has_an_end(parts):
    assert read_attention(*parts, "a</s>b").source.count("</s>") == 1
    for sentence, message in (
        (" \n", "empty"),
        ("a\udcff", "no text, at its character 2"),
        ("a " * MOST_TOKENS, f"attention is drawn of {MOST_TOKENS:,} at most"),
    ):
        with pytest.raises(ValueError, match=message):
            read_attention(*parts, sentence)
